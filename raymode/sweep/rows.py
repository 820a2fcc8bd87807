"""One row of the `runs` table from a finished run's own tables."""

from collections import defaultdict
from typing import Any

import numpy as np

from raymode.config import Config, to_dict
from raymode.measure.problem import summarise
from raymode.measure.stats import Interval, bootstrap_interval
from raymode.measure.table import rows_of_first_decoding
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.sweep.axes import SWEPT
from raymode.sweep.budget import anova_components
from raymode.sweep.space import SweepCell
from raymode.tables import set_table

MAIN_SPLITS = ("heldout_parameters", "heldout")
"""What a run is judged by: new problems of the kind that it was trained on."""


def identity(cell: SweepCell) -> dict[str, Any]:
    """Return the columns that say which cell a row belongs to."""
    config = cell.config
    return {
        "run_id": cell.run_id,
        "budget": cell.budget,
        "P": config.train.prompts,
        "K": config.train.responses,
        "loss": config.train.loss,
        "eco_weight": config.eco.weight,
        "seed": config.train.seed,
        **_keys(config),
    }


def _keys(config: Config) -> dict[str, Any]:
    """Return the keys that a sweep may vary as columns: `train.order` is `train_order`, a list is text."""
    plain = to_dict(config)
    return {
        f"{group}_{name}": " ".join(map(str, value)) if isinstance(value, list) else value
        for group in SWEPT
        for name, value in plain[group].items()
    }


def finished_row(cell: SweepCell) -> dict[str, Any]:
    """Return the row of a finished run: metrics on held-out parameters, and pass@1 on held-out families.

    Of several decodings the first counts. Every metric has `_ci_low` and `_ci_high` (95 %, bootstrap over problems)
    and `_n`, the problems it stands on.
    """
    store = Store(cell.config.run_dir)
    seed = derive_seed(cell.config.seed, "intervals", cell.run_id)
    scores = rows_of_first_decoding(store.rows("scores.parquet"))
    problems = set_table(cell.config, "problems", ["problem_id", "split"])
    splits = {row["problem_id"]: row["split"] for row in problems.to_pylist()}
    main = summarise([row for row in scores if row["split"] in MAIN_SPLITS], seed)
    families = summarise([row for row in scores if row["split"] == "heldout_families"], seed)
    row: dict[str, Any] = {**identity(cell), "status": "finished", "error": None}
    heldout, (between, within) = _heldout(store, splits, seed)
    row |= _columns("heldout_nll", heldout) | {"loss_V_x": between, "loss_V_yx": within}
    for name, interval in main.items():
        row |= _columns(name, interval)
    if "pass_at_1" in families:
        row |= _columns("families_pass_at_1", families["pass_at_1"])
    row["isolated"] = all(score["isolated"] for score in scores)
    row["heldout_problems"] = main["pass_at_1"].n if "pass_at_1" in main else 0
    row["samples_per_problem"] = cell.config.sample.completions
    cores = {
        "train": cell.config.train.workers,
        "sample": cell.config.sample.engines,
        "score": cell.config.score.actors,
    }
    for stage, count in cores.items():
        row[f"{stage}_core_s"] = store.read_json(f"{stage}.json")["summary"]["wall_s"] * count
    return row


def failed_row(cell: SweepCell, error: str) -> dict[str, Any]:
    """Return the row of a run that failed; its metrics are absent."""
    return {**identity(cell), "status": "failed", "error": error}


def stopped_row(cell: SweepCell, step: int, value: float) -> dict[str, Any]:
    """Return the row of a run that a scheduler ended: behind the others after update `step`, where it was `value`."""
    name = cell.config.sweep.metric
    why = f"behind the others after update {step}, at {name} {value:.4g}"
    return {**identity(cell), "status": "stopped", "error": why, "stopped_at": step, name: value}


def _columns(name: str, interval: Interval) -> dict[str, Any]:
    return {
        name: interval.mean,
        f"{name}_ci_low": interval.low,
        f"{name}_ci_high": interval.high,
        f"{name}_n": interval.n,
    }


def _heldout(
    store: Store, splits: dict[str, str], seed: int
) -> tuple[Interval, tuple[float, float]]:
    """Return the held-out NLL (nats per response, mean over problems) and the components (V_x, V_{y|x}) of that loss."""
    losses: dict[str, list[float]] = defaultdict(list)
    for row in store.rows("heldout.parquet"):
        if splits.get(row["problem_id"]) in MAIN_SPLITS:
            losses[row["problem_id"]].append(-row["logp"])
    interval = bootstrap_interval(
        [float(np.mean(values)) for values in losses.values()], derive_seed(seed, "heldout")
    )
    components = anova_components(list(losses.values()))
    return interval, (components.V_x.mean, components.V_yx.mean)
