"""Asking a sweep's results: data frames, SQL, the best runs. While the sweep runs, too.

    from raymode.sweep.table import Sweep
    Sweep("runs/laptop").runs()
    Sweep("s3://bucket/sweep").sql("select K, avg(pass_at_1) from runs group by K order by K")

and from a shell: `python -m raymode.sweep.table runs/laptop "select K, pass_at_1 from runs"`.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from raymode.errors import DataError, RaymodeError, StorageError, brief
from raymode.store import Store
from raymode.sweep.metrics import higher_is_better
from raymode.sweep.results import RUNS, SCORES

PER_RUN = ("completions", "judged", "choices", "heldout", "groups")
"""Tables of every run; in SQL all runs' together, with the column run_id."""
OF_SETS = ("problems", "solutions")
SHOWN = ("run_id", "status", "P", "K", "loss", "eco_weight", "seed", "heldout_nll", "pass_at_1", "clusters_rarefied",
         "calibration_ratio_set")  # fmt: skip


class Sweep:
    """The results of a sweep in a local directory, `s3://…` or `gs://…`, as they stand at each call."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        if not self.store.exists(RUNS):
            raise StorageError(
                f"{self.store.url}: holds no {RUNS}; is it a sweep's run_dir, and has a run of it ended?"
            )

    def runs(self) -> pd.DataFrame:
        """Return one row per run that finished or failed: its settings, metrics with intervals, costs."""
        frame: pd.DataFrame = self.store.read_table(RUNS).to_pandas()
        return frame

    def scores(self) -> pd.DataFrame:
        """Return one row per run, problem and decoding."""
        frame: pd.DataFrame = self._scores().to_pandas()
        return frame

    def sql(self, query: str) -> pd.DataFrame:
        """Return the answer to a query in DuckDB's SQL over runs, scores, PER_RUN and OF_SETS.

        Raises DataError with DuckDB's own message if it cannot be answered, StorageError for a table that no run has.
        """
        frame: pd.DataFrame = self._connection(query).sql(query).df()
        return frame

    def best(self, metric_name: str, where: str = "", n: int = 1) -> pd.DataFrame:
        """Return the `n` finished runs that are best by a metric, the best first; `where` is a condition in SQL.

        Raises DataError for a column that is no metric or has no better side.
        """
        order = "desc" if higher_is_better(metric_name) else "asc"
        condition = f"and ({where})" if where else ""
        return self.sql(
            f"select * from runs where status = 'finished' and {metric_name} is not null and not isnan({metric_name})"
            f" {condition} order by {metric_name} {order}, run_id limit {int(n)}"
        )

    def pareto(self, *metrics: str, where: str = "") -> pd.DataFrame:
        """Return the finished runs that no other beats in every one of these metrics; best by the first one first."""
        first = self.best(metrics[0], where, n=2**31 - 1)
        frame = first.dropna(subset=list(metrics))
        signs = [1.0 if higher_is_better(name) else -1.0 for name in metrics]
        values = frame[list(metrics)].to_numpy(dtype=float) * signs
        kept = [
            not ((values >= row).all(axis=1) & (values > row).any(axis=1)).any() for row in values
        ]
        return frame[kept].reset_index(drop=True)

    def _connection(self, query: str) -> Any:
        import duckdb

        connection = _Connection(duckdb.connect())
        words = set(re.findall(r"\w+", query.lower()))
        connection.register("runs", self.store.read_table(RUNS))
        if "scores" in words:
            connection.register("scores", self._scores())
        for name in PER_RUN:
            if name in words:
                connection.register(name, self._of_all_runs(name))
        for name in OF_SETS:
            if name in words:
                connection.register(name, self._dataset([f"sets/{name}"]))
        return connection

    def _scores(self) -> pa.Table:
        """Return the scores of all finished runs: those gathered already, and those of runs that ended since."""
        gathered = [self.store.read_table(SCORES)] if self.store.exists(SCORES) else []
        known = set(gathered[0].column("run_id").unique().to_pylist()) if gathered else set()
        fresh = [
            self.store.read_table(f"runs/{run}/scores.parquet")
            for run in self._finished()
            if run not in known
        ]
        return pa.concat_tables([*gathered, *fresh], promote_options="default")

    def _finished(self) -> list[str]:
        runs = self.store.read_table(RUNS, ["run_id", "status"]).to_pylist()
        return [row["run_id"] for row in runs if row["status"] == "finished"]

    def _of_all_runs(self, name: str) -> pa.Table:
        tables = []
        for run in self._finished():
            place = f"runs/{run}/{name}"
            if not self.store.exists(place):
                place += ".parquet"
            if not self.store.exists(place):
                continue
            table = self.store.read_table(place)
            if "run_id" not in table.column_names:
                table = table.append_column("run_id", pa.array([run] * len(table), pa.string()))
            tables.append(table)
        if not tables:
            raise StorageError(f"{self.store.url}: no finished run has a table {name!r}")
        return pa.concat_tables(tables, promote_options="default")

    def _dataset(self, places: list[str]) -> Any:
        paths = [
            self.store.path(f"{place}/{part}")
            for place in places
            for part in self.store.names(place)
            if part.endswith(".parquet")
        ]
        if not paths:
            raise StorageError(f"{self.store.url}/{places[0]}: there is no such table")
        return pads.dataset(paths, filesystem=self.store.filesystem)


class _Connection:
    """DuckDB, with its errors in one line."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def register(self, name: str, table: Any) -> None:
        self.connection.register(name, table)

    def sql(self, query: str) -> Any:
        import duckdb

        try:
            return self.connection.sql(query)
        except duckdb.Error as error:
            raise DataError(f"query: {brief(error)}") from error


def main(arguments: Sequence[str]) -> int:
    """Print a sweep's runs, or the answer to a query; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m raymode.sweep.table",
        description=f"Ask a sweep: SQL over runs, scores, {', '.join((*PER_RUN, *OF_SETS))}.",
    )
    parser.add_argument("sweep", help="run_dir of the sweep: a path, s3:// or gs://")
    parser.add_argument("query", nargs="?", default="", help="SQL; empty = the runs")
    parser.add_argument("--csv", action="store_true", help="print CSV")
    options = parser.parse_args(arguments)
    try:
        sweep = Sweep(options.sweep)
        frame = sweep.sql(options.query) if options.query else _main_columns(sweep.runs())
    except RaymodeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.csv:
        frame.to_csv(sys.stdout, index=False)
    else:
        with pd.option_context("display.width", None, "display.float_format", "{:.4g}".format):
            print(frame.to_string(index=False))
    return 0


def _main_columns(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[[name for name in SHOWN if name in runs.columns]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
