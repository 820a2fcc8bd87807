"""Running a sweep on Ray Tune: every cell is a trial that trains, samples and scores over one prepared set table."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from ray import tune

from raymode import stages
from raymode.cluster import capacity, require, selector
from raymode.config import Config
from raymode.config_ray import as_trial, is_in_process
from raymode.lock import exclusive
from raymode.rundir import describe, open_run
from raymode.store import Store
from raymode.sweep.board import Board
from raymode.sweep.results import TUNE, Results
from raymode.sweep.space import SweepCell, cells, place_needs
from raymode.sweep.trial import run_cell
from raymode.tables import light_tables
from raymode.watch import watching

# A trial's process that has workers only waits for them. It reserves memory and no CPU at all: the smallest
# share of one, and the last worker would wait for ever on a machine whose CPUs the trials fill.
DRIVER_MEMORY = 500 * 2**20


def run_sweep(config: Config) -> list[dict[str, Any]]:
    """Run all cells that are not finished and return the rows of the `runs` table, in the order of `cells`.

    A finished cell is skipped, a started one goes on where it stopped. A cell that fails does not stop the others.
    Raises ConfigError if a cell cannot fit the cluster, BusyError if another driver is at work in the directory.
    """
    planned = cells(config)
    store = open_run(config)
    with exclusive(store):
        stages.build_sets(config)
        results = Results(store, planned)
        todo = results.unfinished()
        for cell in todo:
            what = f"one trial of the sweep ({cell.label})"
            for place, needs in place_needs(cell.config).items():
                require(*needs, what, selector(config.ray, place))
        if todo:
            describe(store, config)
            with watching(shared=True):
                _run_trials(config, todo, Board(results, todo), store)
        results.close()
        return results.in_order()


def _at_once(config: Config, todo: list[SweepCell]) -> int:
    """Return how many trials run at once: as many as fit side by side, so none waits for one that waits for it."""
    fitting = min(
        _side_by_side(needs, capacity(selector(config.ray, place)) or {})
        for cell in todo
        for place, needs in place_needs(cell.config).items()
    )
    fitting = max(1, fitting)  # a cluster that is still growing
    return min(config.sweep.concurrent or fitting, fitting)


def _side_by_side(needs: tuple[float, float], have: Mapping[str, float]) -> int:
    cpus, gpus = needs
    fitting = int(have.get("CPU", 0) // cpus)
    return min(fitting, int(have.get("GPU", 0) // gpus)) if gpus else fitting


def _run_trials(config: Config, todo: list[SweepCell], board: Board, store: Store) -> None:
    at_once = _at_once(config, todo)
    where = selector(config.ray, "drive")
    require(0, 0, "the sweep's trials", where)
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends the job, not only the trials
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # our own tables are the record
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    name = f"{TUNE}{time.time_ns()}"
    print(f"sweep: {len(todo)} cells to run, {at_once} at once", file=sys.stderr, flush=True)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(_trial, tables=light_tables(config)), _reserved(where)
        ),
        param_space={"cell": tune.grid_search(todo)},
        tune_config=tune.TuneConfig(max_concurrent_trials=at_once, reuse_actors=True),
        run_config=tune.RunConfig(
            name=name,
            storage_path=store.path(),
            storage_filesystem=store.filesystem,
            verbose=0,
            callbacks=[board],
            # A lost process; an error of raymode's own is told in the trial's answer.
            failure_config=tune.FailureConfig(max_failures=config.train.max_failures),
        ),
    )
    tuner.fit()


def _reserved(where: dict[str, str]) -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """Return what says what a trial's own process asks for, on nodes with the labels `where`."""
    selectors = {"bundle_label_selector": [where]} if where else {}

    def reserved(space: dict[str, Any]) -> tune.PlacementGroupFactory:
        cpus = int(is_in_process(as_trial(space["cell"].config)))
        return tune.PlacementGroupFactory([{"CPU": cpus, "memory": DRIVER_MEMORY}], **selectors)

    return reserved


def _trial(space: dict[str, Any], tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    return {"failure": run_cell(space["cell"], tables)}
