"""Running a sweep on Ray Tune: every cell is a trial that trains, samples and scores over one prepared set table."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from raymode import stages
from raymode.cluster import capacity, may_grow, require, selector
from raymode.config import Config
from raymode.config_ray import as_trial, is_in_process
from raymode.lock import exclusive
from raymode.ray_metrics import show_progress
from raymode.rundir import describe, open_run
from raymode.store import Store
from raymode.sweep.board import Board
from raymode.sweep.metrics import measurements
from raymode.sweep.results import TUNE, Results, ended_row, is_complete, results_of
from raymode.sweep.space import SweepCell, cells, place_needs
from raymode.sweep.trial import run_cell, told
from raymode.tables import light_tables
from raymode.watch import join, shared_watch, watching

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
        results = results_of(config, planned)
        for each in _to_fit(config, results):
            for place, needs in place_needs(each).items():
                what = f"one trial of the sweep ({each.label})"
                require(*needs, what, selector(config.ray, place))
        if not is_complete(config, results):
            describe(store, config)
            with watching(shared=True):
                _run_trials(config, results)
        results.close()
        return results.in_order()


def _to_fit(config: Config, results: Results) -> list[Config]:
    """Return the configurations of the cells to run; that of the sweep stands for those that a search will choose."""
    return [cell.config for cell in results.unfinished()] or [config]


def _at_once(config: Config, to_fit: Sequence[Config]) -> int:
    """Return how many trials run at once: as many as fit side by side, so none waits for one that waits for it.

    A cluster that was joined may grow to more than it has now, which nothing but `sweep.concurrent` tells: there that
    is the number, and trials wait for nodes.
    """
    fitting = min(
        _side_by_side(needs, capacity(selector(config.ray, place)) or {})
        for each in to_fit
        for place, needs in place_needs(each).items()
    )
    fitting = max(1, fitting)  # a cluster that is still growing
    wanted = config.sweep.concurrent or fitting
    return wanted if may_grow() else min(wanted, fitting)


def _side_by_side(needs: tuple[float, float], have: Mapping[str, float]) -> int:
    cpus, gpus = needs
    fitting = int(have.get("CPU", 0) // cpus)
    return min(fitting, int(have.get("GPU", 0) // gpus)) if gpus else fitting


def _run_trials(config: Config, results: Results) -> None:
    store, todo = results.store, results.unfinished()
    to_fit = _to_fit(config, results)
    at_once = _at_once(config, to_fit)
    search = _search(config, results)
    to_run = search.cells_to_run if search else len(todo)
    # A scheduler compares with cells that ended before, which tell it once more what they measured.
    shown = results.planned if config.sweep.scheduler and not search else todo
    where = selector(config.ray, "drive")
    require(0, 0, "the sweep's trials", where)
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends the job, not only the trials
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # our own tables are the record
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # and the board shows what goes on
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    name = f"{TUNE}{time.time_ns()}"
    more = may_grow() and not config.sweep.concurrent
    hint = "; if the cluster may grow to more, set sweep.concurrent" if more else ""
    print(f"sweep: {to_run} cells to run, {at_once} at once{hint}", file=sys.stderr, flush=True)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(_trial, tables=light_tables(config)), _reserved(where)
        ),
        param_space=None if search else {"cell": tune.grid_search(shown)},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=at_once,
            # A process that is stopped while it waits for workers cannot serve the next trial.
            reuse_actors=not config.sweep.scheduler or all(map(_is_one_process, to_fit)),
            search_alg=search,
            num_samples=to_run if search else 1,
            scheduler=_scheduler(config),
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=store.path(),
            storage_filesystem=store.filesystem,
            verbose=0,
            callbacks=[Board(results, to_run)],
            # A lost process; an error of raymode's own is told in the trial's answer.
            failure_config=tune.FailureConfig(max_failures=config.train.max_failures),
        ),
    )
    tuner.fit()


def _is_one_process(cell: Config) -> bool:
    return is_in_process(as_trial(cell))


def _search(config: Config, results: Results) -> Any:
    if not config.sweep.search:
        return None
    from raymode.sweep.search import Search

    return Search(config, results)


def _scheduler(config: Config) -> ASHAScheduler | None:
    """Return what ends cells that fall behind while they train."""
    sweep, train = config.sweep, config.train
    if not sweep.scheduler:
        return None
    return ASHAScheduler(
        time_attr="step",
        metric=sweep.metric,
        mode="min",
        max_t=2**31,  # it would end what gets there
        grace_period=sweep.grace or train.heldout_every,
        reduction_factor=sweep.reduction,
    )


def _reserved(where: dict[str, str]) -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """Return what says what a trial's own process asks for, on nodes with the labels `where`."""
    selectors = {"bundle_label_selector": [where]} if where else {}

    def reserved(space: dict[str, Any]) -> tune.PlacementGroupFactory:
        cpus = int(_is_one_process(space["cell"].config))
        return tune.PlacementGroupFactory([{"CPU": cpus, "memory": DRIVER_MEMORY}], **selectors)

    return reserved


def _trial(space: dict[str, Any], tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    show_progress()
    join(shared_watch())
    cell: SweepCell = space["cell"]
    row = ended_row(cell) if cell.config.sweep.scheduler else {}
    if not row:
        return run_cell(cell, tables)
    for measured in measurements(Store(cell.config.run_dir), cell.config.sweep.metric):
        tune.report(measured)
    return told(cell, row)
