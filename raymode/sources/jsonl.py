"""Reads JSON Lines: a slice is a range of bytes, or a whole file where gzip forbids jumping into it."""

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa

from raymode.errors import DataError, brief
from raymode.sources.slices import BadRow, ColumnSize, Row, Slice
from raymode.store import Store

CHUNK_BYTES = 64 << 20
"""A slice of an uncompressed file: the lines that begin in so many bytes."""
MAX_LINE_BYTES = 512 << 20
SAMPLE_LINES = 32
GZIP_RATIO = 4  # a guess at bytes per compressed byte, for progress and the number of buckets
_BUFFER_BYTES = 1 << 20


def jsonl_slices(url: str, name: str, size: int, split: str) -> list[Slice]:
    """Return the slices of a file of `size` bytes; DataError if its first lines hold no JSON object."""
    zipped = name.endswith(".gz")
    sample = list(islice(JsonlReader(url, name, zipped, 0, None).lines(), SAMPLE_LINES))
    if not sample:
        return []
    objects = [row for _, row in sample if isinstance(row, dict)]
    if not objects:
        raise DataError(
            f"{name}: none of its first {len(sample)} lines is a JSON object; JSON Lines has one in every line"
        )
    sampled = sum(length for length, _ in sample)
    total = size * GZIP_RATIO if zipped else size
    if zipped:
        whole = JsonlReader(url, name, True, 0, None)
        return [Slice(name, split, None, _sizes(objects, total / sampled), whole)]
    starts = range(0, size, CHUNK_BYTES)
    return [
        Slice(
            name if len(starts) == 1 else f"{name}[{number}]",
            split,
            None,
            _sizes(objects, min(CHUNK_BYTES, size - start) / sampled),
            JsonlReader(url, name, False, start, start + CHUNK_BYTES),
        )
        for number, start in enumerate(starts)
    ]


@dataclass(frozen=True, slots=True)
class JsonlReader:
    """Reads the lines of a file that begin at bytes `start` to `stop` (exclusive; None = the end)."""

    url: str
    name: str
    zipped: bool
    start: int
    stop: int | None

    def rows(self, columns: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield the rows; a line that is not a JSON object is a BadRow."""
        for _, row in self.lines():
            if isinstance(row, BadRow):
                yield row
            else:
                yield {name: row[name] for name in columns if name in row}

    def lines(self) -> Iterator[tuple[int, Row | BadRow]]:
        """Yield the bytes of each line that is not blank, and what it says."""
        try:
            with self._open() as stream:
                place = self.start
                if self.start:  # a line belongs to the slice in which it begins
                    stream.seek(self.start - 1)
                    line = stream.readline(MAX_LINE_BYTES)
                    place += len(line) + _skip_rest(stream, line) - 1
                while self.stop is None or place < self.stop:
                    line = stream.readline(MAX_LINE_BYTES)
                    if not line:
                        return
                    length = len(line) + _skip_rest(stream, line)
                    if line.strip():
                        yield length, self._parse(line, place, length)
                    place += length
        except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.name}: cannot be read ({brief(error)})") from error

    def _open(self) -> BinaryIO:
        store = Store(self.url)
        if self.zipped:
            raw = store.filesystem.open_input_stream(store.root, compression=None)
            return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
        raw = store.filesystem.open_input_file(store.root)
        return io.BufferedReader(raw, _BUFFER_BYTES)

    def _parse(self, line: bytes, place: int, length: int) -> Row | BadRow:
        where = f"{self.name}, byte {place}"
        if length > len(line):
            return BadRow("too_long", f"{where}: a line of {length} bytes")
        try:
            row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError) as error:
            return BadRow("bad_json", f"{where}: {error}")
        if not isinstance(row, dict):
            return BadRow("bad_json", f"{where}: expected an object, found {type(row).__name__}")
        return row


def _skip_rest(stream: BinaryIO, line: bytes) -> int:
    """Read on to the end of a line that is too long; return how many bytes that was."""
    skipped = 0
    while len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
        line = stream.readline(MAX_LINE_BYTES)
        skipped += len(line)
    return skipped


def _sizes(objects: Sequence[Row], factor: float) -> tuple[ColumnSize, ...]:
    """Return the columns of a sample, its sizes times `factor`."""
    values: Counter[str] = Counter()
    bytes_: Counter[str] = Counter()
    for row in objects:
        for name, value in row.items():
            values[name] += count_values(value)
            bytes_[name] += len(json.dumps(value))
    return tuple(
        ColumnSize(name, int(values[name] * factor), int(bytes_[name] * factor)) for name in values
    )


def count_values(value: Any) -> int:
    """Return how many values a cell holds: of a list its elements, of a dict of lists those of the longest."""
    if isinstance(value, dict):
        return max(map(count_values, value.values()), default=0)
    return len(value) if isinstance(value, list) else 1
