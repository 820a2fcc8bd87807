"""Reads Parquet row group by row group, in small batches: a slice is a row group, or a small file.

In memory are, per column, a page and a batch of rows, not the row group. How large a page is, its writer decided:
usually a megabyte, or 1024 values where they are larger.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raymode.errors import DataError, brief
from raymode.sources.slices import ColumnSize, Row, Slice
from raymode.store import Store

SMALL_BYTES = 4 << 20
"""A file with no more than so many bytes, uncompressed, is one slice."""
BATCH_ROWS = 8  # a row may be a problem with thousands of programs
BUFFER_BYTES = 1 << 20  # per column; without a buffer a column's whole row group is read at once
REMOTE_BUFFER_BYTES = 8 << 20  # one request each


def parquet_slices(url: str, name: str, split: str) -> list[Slice]:
    """Return the slices of a file; DataError if it is not Parquet."""
    with _open(url, name) as file:
        metadata = file.metadata
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        top = [field.name for field in file.schema_arrow]
    if sum(group.total_byte_size for group in groups) <= SMALL_BYTES:
        whole = ParquetReader(url, name, tuple(range(len(groups))))
        return [Slice(name, split, metadata.num_rows, _sizes(top, groups), whole)]
    return [
        Slice(
            f"{name}[{index}]",
            split,
            group.num_rows,
            _sizes(top, [group]),
            ParquetReader(url, name, (index,)),
        )
        for index, group in enumerate(groups)
    ]


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """Reads `row_groups` of one file."""

    url: str
    name: str
    row_groups: tuple[int, ...]

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows; only `columns` are read from storage."""
        with _open(self.url, self.name) as file:
            batches = file.iter_batches(
                BATCH_ROWS, list(self.row_groups), list(columns), use_threads=False
            )
            try:
                for batch in batches:
                    for index in range(batch.num_rows):
                        yield batch.slice(index, 1).to_pylist()[0]
            except (pa.ArrowException, OSError) as error:
                raise _broken(self.name, error) from error


def _open(url: str, name: str) -> Any:
    """Return the open file, which closes itself at the end of a `with`."""
    store = Store(url)
    try:
        stream = store.filesystem.open_input_file(store.root)
        size = BUFFER_BYTES if store.is_local else REMOTE_BUFFER_BYTES
        return pq.ParquetFile(stream, buffer_size=size, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> DataError:
    return DataError(f"{name}: not a readable Parquet file ({brief(error)})")


def _sizes(top: Sequence[str], groups: Sequence[Any]) -> tuple[ColumnSize, ...]:
    """Add up the leaves of each top-level column: the values of its fullest leaf, the bytes of all."""
    values: Counter[str] = Counter()
    bytes_: Counter[str] = Counter()
    for group in groups:
        fullest: Counter[str] = Counter()
        for index in range(group.num_columns):
            leaf = group.column(index)
            column = next(
                name
                for name in top
                if leaf.path_in_schema == name or leaf.path_in_schema.startswith(f"{name}.")
            )
            empty = leaf.statistics.null_count if leaf.is_stats_set else 0  # empty lists too
            fullest[column] = max(fullest[column], leaf.num_values - empty)
            bytes_[column] += leaf.total_uncompressed_size
        values.update(fullest)
    return tuple(ColumnSize(name, values[name], bytes_[name]) for name in top)
