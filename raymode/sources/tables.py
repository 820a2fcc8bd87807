"""raymode's own set tables as a source again: a directory with problems/ and solutions/ in it.

Part n of `problems` and part n of `solutions` hold the same problems in the same order, so they are read side by side,
one problem at a time. Splits, labels and claims stay as they are; verdicts and clusters are found anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow.fs as pafs

from raymode.errors import ConfigError, DataError, StorageError
from raymode.schema import PROBLEMS
from raymode.sources.files import file_info, location, open_store
from raymode.sources.parquet import parquet_slices
from raymode.sources.slices import BadRow, Row, Slice, set_aside
from raymode.store import Store

_PROBLEM_COLUMNS = tuple(PROBLEMS.names)
_SOLUTION_COLUMNS = ("problem_id", "code", "language", "label", "claimed", "copies")
_REQUIRED = tuple(field.name for field in PROBLEMS if not field.nullable)


@dataclass(frozen=True, slots=True)
class TablesSource:
    """Set tables. path: directory or URL with problems/ and solutions/; limit: problems read, 0 = all."""

    path: str
    limit: int = 0

    def partitions(self) -> list["TablesPartition"]:
        """Return one part per file of the tables; StorageError or DataError if they are not such tables."""
        store = _open(self.path)
        files = _files(store, self.path)
        parts: list[TablesPartition] = []
        left = self.limit
        for file in files:
            problems = _whole(store, f"problems/{file}")
            for part in problems:
                part.require(_REQUIRED)
            solutions = _whole(store, f"solutions/{file}")
            for part in solutions:
                part.require(_SOLUTION_COLUMNS[:-1])
            rows = sum(part.count or 0 for part in problems)
            most = min(rows, left) if self.limit else rows
            parts.append(TablesPartition(file, tuple(problems), tuple(solutions), most, rows))
            left -= most
            if self.limit and not left:
                break
        return parts


@dataclass(frozen=True, slots=True)
class TablesPartition:
    """The first `most` of the `rows` problems in one file, with their solutions."""

    name: str
    problems: tuple[Slice, ...]
    solutions: tuple[Slice, ...]
    most: int
    rows: int

    @property
    def programs(self) -> int:
        """How many solutions the part holds, about if it is cut."""
        total = sum(part.count or 0 for part in self.solutions)
        return total * self.most // self.rows if self.rows else 0

    def read(self) -> Iterator[tuple[Row, list[Row]]]:
        """Yield the problems; solutions whose problem is missing come last, with a problem that says so."""
        groups = groupby(_rows(self.solutions, _SOLUTION_COLUMNS), key=_problem_id)
        group = next(groups, None)
        seen: set[Any] = set()
        for number, problem in enumerate(_rows(self.problems, _PROBLEM_COLUMNS)):
            if number == self.most < self.rows:
                return
            name = _problem_id(problem)
            seen.add(name)
            solutions: list[Row] = []
            if group and group[0] == name:
                solutions = list(group[1])
                group = next(groups, None)
            yield problem, solutions
        while group:
            yield self._without_problem(group[0], list(group[1]), seen)
            group = next(groups, None)

    def _without_problem(
        self, name: Any, solutions: list[Row], seen: set[Any]
    ) -> tuple[Row, list[Row]]:
        if name in seen:
            raise DataError(
                f"solutions/{self.name}: problem {name!r} is not in the order of problems/{self.name}; sort both alike"
            )
        bad = BadRow("no_problem", f"problems/{self.name} has no problem {name!r}")
        return set_aside(name, bad), solutions


def _rows(parts: tuple[Slice, ...], columns: tuple[str, ...]) -> Iterator[Row]:
    for part in parts:
        for row in part.rows(columns):
            assert not isinstance(row, BadRow)  # Parquet rows are whole
            yield row


def _problem_id(row: Row) -> Any:
    return row["problem_id"]


def _whole(store: Store, name: str) -> list[Slice]:
    """Return the slices of one file of a table."""
    return parquet_slices(f"{location(store)}/{name}", name, "")


def _files(store: Store, path: str) -> list[str]:
    """Return the names of the files, which are the same in both tables."""
    problems, solutions = (
        [name for name in store.names(table) if name.endswith(".parquet")]
        for table in ("problems", "solutions")
    )
    if not problems:
        found = ", ".join(store.names()[:5]) or "nothing"
        raise DataError(
            f"path {path}: expected set tables, a directory with problems/ and solutions/ in it; found: {found}"
        )
    alone = sorted({*problems} ^ {*solutions})
    if alone:
        raise DataError(
            f"path {path}: {alone[0]} stands in only one of problems/ and solutions/ ({len(alone)} such files);"
            " the sets are unfinished or not raymode's"
        )
    return problems


def _open(path: str) -> Store:
    if not path:
        raise ConfigError("path: is empty; name a directory with problems/ and solutions/ in it")
    store = open_store(path)
    if file_info(store, path).type != pafs.FileType.Directory:
        raise StorageError(f"path {path}: there is no such directory")
    return store
