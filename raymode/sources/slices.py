"""A slice: the part of a file or data set that one reader reads row by row, whatever the format.

A reader holds one row, or a small batch, at a time. A row that cannot be read is a BadRow, so that it can be
set aside with its reason while the rows around it go on.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from raymode.errors import DataError
from raymode.seed import SEED_BITS, derive_seed

Row = dict[str, Any]

SET_ASIDE = "set_aside"
"""Key of a problem that its source found unusable: a dict of `reason`, one word, and `detail`."""

_SPLITS = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid",
    "dev": "valid", "test": "test", "heldout": "heldout",
}  # fmt: skip
_OWN_SPLITS = ("heldout_parameters", "heldout_families")
_SPLIT_WORD = re.compile(rf"(?<![a-z])({'|'.join(_SPLITS)})(?![a-z])")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not there to use: `reason` is one word to count by, `detail` says where and why."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ColumnSize:
    """About how many values (list elements, where it holds lists) and bytes, uncompressed, a column has."""

    name: str
    values: int
    bytes: int


class Reader(Protocol):
    """What reads one slice; it can be pickled."""

    def rows(self, columns: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield every row with those of `columns` that it has, in order; DataError if the file is broken."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a source's rows.

    name: unique in the source; split: "train", "valid", "test", "heldout", or "" if the data does not say;
    count: rows, None if only reading tells; most: how many rows are read at most, None for all.
    """

    name: str
    split: str
    count: int | None
    sizes: tuple[ColumnSize, ...]
    reader: Reader
    most: int | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [size.name for size in self.sizes]

    def values(self, columns: Sequence[str]) -> int:
        """Return about how many values `columns` hold together, in the rows that are read."""
        total = sum(size.values for size in self.sizes if size.name in columns)
        if self.most is None or not self.count:
            return total
        return total * min(self.most, self.count) // self.count

    def bytes(self, columns: Sequence[str]) -> int:
        """Return about how many bytes, uncompressed, `columns` hold together."""
        return sum(size.bytes for size in self.sizes if size.name in columns)

    def require(self, columns: Sequence[str]) -> None:
        """Raise DataError if one of `columns` is missing."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise DataError(
                f"{self.name}: column {', '.join(map(repr, missing))} is missing; found: {', '.join(self.columns) or 'none'}"
            )

    def rows(self, columns: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield the rows, with those of `columns` that the slice has."""
        there = [name for name in columns if name in self.columns]
        return islice(self.reader.rows(there), self.most)


def first_rows(slices: Sequence[Slice], limit: int) -> list[Slice]:
    """Return slices that hold the first `limit` rows of `slices`; 0 = all.

    Where only reading tells how many rows there are, at most `limit` rows are read to count them.
    """
    if not limit:
        return list(slices)
    kept: list[Slice] = []
    for part in slices:
        count = part.count
        if count is None:
            count = sum(1 for _ in islice(part.rows(part.columns[:1]), limit))
        kept.append(dataclasses.replace(part, most=min(count, limit)))
        limit -= min(count, limit)
        if not limit:
            break
    return kept


def said_split(name: str) -> str:
    """Return the split that a file's or data set's split's name speaks of: the last such word, or ""."""
    words = _SPLIT_WORD.findall(name.lower().replace("held_out", "heldout"))
    return _SPLITS[words[-1]] if words else ""


def choose_split(said: Sequence[object], problem_id: str, seed: int, fraction: float) -> str:
    """Return the split of a problem: "train" or "heldout", or one of the embedded source's own.

    said: what the row, then the file, calls it; the first that is known counts. If none is, a share `fraction`
    of the problems is held out, chosen by a hash of `seed` and the id.
    """
    for word in said:
        if word in _OWN_SPLITS:
            return str(word)
        known = _SPLITS.get(word.lower()) if isinstance(word, str) else None
        if known:
            return "train" if known == "train" else "heldout"
    share = derive_seed(seed, "split", problem_id) / 2**SEED_BITS
    return "heldout" if share < fraction else "train"


def set_aside(problem_id: str | None, bad: BadRow) -> Row:
    """Return a problem that stands for a row nobody can use."""
    return {"problem_id": problem_id, SET_ASIDE: dataclasses.asdict(bad)}
