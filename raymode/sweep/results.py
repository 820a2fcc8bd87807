"""The tables of a whole sweep, written as each of its runs ends: `runs.parquet`, and `scores.parquet` now and then.

A run's own `run.json` is the record: written last, by the run itself. The tables are gathered from these, and a run
that stands in `runs.parquet` is not read again, so that the thousandth run costs what the first did.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from raymode.config import Config
from raymode.store import Store
from raymode.sweep.space import SweepCell, to_come

RUNS, SCORES = "runs.parquet", "scores.parquet"
TUNE = "ray-tune-"
"""What Ray Tune's own directories begin with."""
LOOSE = 64
"""Runs whose scores may stand in their own directories alone before they are gathered into one table."""


class Results:
    """Which cells of a sweep have ended, and how; the only writer of its tables."""

    def __init__(
        self, store: Store, planned: Sequence[SweepCell], keep_stopped: bool = False
    ) -> None:
        """keep_stopped: cells that a scheduler has ended need not be run again."""
        self.store, self.planned = store, list(planned)
        self._ended = ("finished", "stopped") if keep_stopped else ("finished",)
        there = set(store.names("runs"))
        known = {name: row for name, row in _rows(store).items() if name in there}
        # Runs of another plan in the same directory stay in the table.
        self.rows = {name: row for name, row in known.items() if row["status"] == "finished"}
        for cell in planned:
            if cell.run_id in there and cell.run_id not in self.rows:
                row = self._read(cell.run_id)
                if row:
                    self.rows[cell.run_id] = row

    def unfinished(self) -> list[SweepCell]:
        """Return the cells that have not ended, failed ones among them."""
        return [cell for cell in self.planned if not self.has_ended(cell)]

    def has_ended(self, cell: SweepCell) -> bool:
        """Return whether there is nothing more to do for a cell."""
        return self.rows.get(cell.run_id, {}).get("status") in self._ended

    def ended(self, cell: SweepCell) -> dict[str, Any]:
        """Take in the row that a cell has written, write the table, and return the row."""
        self.rows[cell.run_id] = self._read(cell.run_id)
        self.write()
        return self.rows[cell.run_id]

    def in_order(self) -> list[dict[str, Any]]:
        """Return the rows of the cells that ended, in the cells' order, as they stand in the table."""
        rows = [self.rows[cell.run_id] for cell in self.planned if cell.run_id in self.rows]
        return _table(rows).to_pylist()  # type: ignore[no-any-return]

    def write(self) -> None:
        """Write `runs.parquet`, if any run has ended: the planned ones in order, then others of this directory."""
        planned = {cell.run_id for cell in self.planned}
        others = [self.rows[name] for name in sorted(self.rows.keys() - planned)]
        rows = [*self.in_order(), *others]
        if rows:
            self.store.write_table(RUNS, _table(rows))

    def gather_scores(self, least: int = LOOSE) -> None:
        """Add the scores of finished runs to the sweep's table, if `least` runs are not in it yet."""
        old = [self.store.read_table(SCORES)] if self.store.exists(SCORES) else []
        known = set(old[0].column("run_id").unique().to_pylist()) if old else set()
        loose = [
            name
            for name, row in sorted(self.rows.items())
            if row["status"] == "finished" and name not in known
        ]
        if len(loose) >= max(1, least):
            fresh = [self.store.read_table(f"runs/{name}/{SCORES}") for name in loose]
            found = pa.concat_tables([*old, *fresh], promote_options="default")
            # Runs end in any order; the table does not depend on it.
            self.store.write_table(SCORES, found.sort_by("run_id"))

    def close(self) -> None:
        """Write both tables whole and remove what Ray Tune left, also by a driver that was killed."""
        self.write()
        self.gather_scores(least=1)
        for name in self.store.names():
            if name.startswith(TUNE):
                self.store.delete(name)

    def _read(self, run: str) -> dict[str, Any]:
        return _record(self.store, f"runs/{run}/", ("run.json", "stopped.json", "failed.json"))


def results_of(config: Config, planned: Sequence[SweepCell]) -> Results:
    """Return the results of a sweep; what its scheduler has stopped has ended, unless there is no scheduler any more."""
    return Results(Store(config.run_dir), planned, keep_stopped=bool(config.sweep.scheduler))


def is_complete(config: Config, results: Results) -> bool:
    """Return whether all cells of a sweep have ended, those too that a search has still to choose."""
    return not results.unfinished() and not to_come(config, results.planned)


def ended_row(cell: SweepCell) -> dict[str, Any]:
    """Return the row of a cell that has finished or was stopped, {} of any other."""
    return _record(Store(cell.config.run_dir), "", ("run.json", "stopped.json"))


def _record(store: Store, directory: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the first of some files that is there, {} if none is."""
    for name in names:
        if store.exists(directory + name):
            row: dict[str, Any] = store.read_json(directory + name)
            return row
    return {}


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as a table with all their columns; where a row has none, it is null."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows])


def _rows(store: Store) -> dict[str, dict[str, Any]]:
    """Return the rows of `runs.parquet` by run_id; none where there is no such table."""
    if not store.exists(RUNS):
        return {}
    return {row["run_id"]: row for row in store.rows(RUNS)}
