"""The road: sets -> train -> sample -> score, each stage a function of the configuration and a run directory.

A stage reads tables from storage and writes tables to storage; a finished one is skipped. The rooms do the work, this
module only hands each its inputs. Every stage expects a connected Ray cluster.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from raymode import events
from raymode.config import Config, fingerprint, to_dict
from raymode.config_ray import is_in_process
from raymode.errors import DataError
from raymode.rundir import (
    Clock,
    begin,
    describe,
    finish,
    finished,
    open_run,
    plain,
    run_id,
)
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.tables import light_tables, set_table
from raymode.train.packages import require_packages
from raymode.train.prepared import BASE, seconds_before, training_summary

HELDOUT_SPLITS = ("heldout", "heldout_parameters", "heldout_families")
HELDOUT_RESPONSES = 6  # responses of a held-out problem whose log-probability is measured


@events.failures_told("sets")
def build_sets(config: Config) -> dict[str, Any]:
    """Build the set tables and return their summary."""
    from raymode.sets.build import build_sets as build

    store = open_run(config)
    sets = Store(config.sets_path)
    if sets.exists("manifest.json"):
        summary = build(config)
    else:
        describe(store, config)
        began = time.monotonic()
        events.record(store, "resumed" if sets.exists("inputs.json") else "started", "sets")
        summary = build(config)
        events.record(store, "finished", "sets", wall_s=time.monotonic() - began, **plain(summary))
    if config.sets.dataset and not config.sets.path:  # sets of others are left as they are
        _publish(sets, summary)
    return summary


def _publish(sets: Store, summary: dict[str, Any]) -> None:
    """Write what others read of finished sets, `dataset/` and `card.html`, where it is not there yet."""
    from raymode.report.card import CARD, write_card
    from raymode.sets.dataset import write_dataset

    write_dataset(sets, summary)
    if not sets.exists(CARD):
        write_card(sets, summary)


@events.failures_told("train")
def train(config: Config, reports: bool = False) -> dict[str, Any]:
    """Select groups, train on them, and return the summary; writes `checkpoint`, `metrics.jsonl`, `heldout.parquet`.

    reports: tell Ray Tune, whose trial this is, each held-out measurement.
    """
    store = open_run(config)
    done = finished(store, "train", config)
    if done is not None:
        return done
    started = time.monotonic() - seconds_before(store)
    from raymode.train.run import fit

    base = prepare_training(config)
    fit(config, store, base, reports)
    summary = {**training_summary(store), "wall_s": time.monotonic() - started}
    return finish(store, "train", config, summary)


def prepare_training(config: Config) -> str:
    """Write the groups to train on and those to measure with, and return where the model to start from is.

    Needs no Ray: what `python -m torch.distributed.run -m raymode.train.loop` trains on. A finished run is left as it
    is. Raises ConfigError if training was begun with another configuration.
    """
    store = open_run(config)
    if finished(store, "train", config) is not None:
        return prepare_base(config)
    require_packages(config)
    groups, heldout = _select(config)
    begin(store, "train", config)
    store.write_rows("groups.parquet", "groups", groups)
    store.write_rows("heldout_groups.parquet", "groups", heldout)
    base = prepare_base(config)
    store.write_json(BASE, {"base": base})
    return base


def components(config: Config) -> dict[str, Any]:
    """Return the row of `components.parquet` for the model asked for, measured here, without Ray, if it is not there yet."""
    from raymode.sweep.components import add_row, figures, find_row
    from raymode.train.gradients import asked_of, gradients_at

    store, base = open_run(config), prepare_training(config)
    asked = asked_of(config, store, base)
    row = find_row(store, asked)
    if row is None:
        found = gradients_at(config, store, asked["checkpoint"], asked["prompts"])
        row = {**asked, **figures(found, config.train.responses)}
        add_row(store, row)
    return row


@events.failures_told("sample")
def sample(config: Config) -> dict[str, Any]:
    """Draw completions of the held-out prompts and return the summary; writes `completions`."""
    store = open_run(config)
    done = finished(store, "sample", config)
    if done is not None:
        return done
    clock = Clock(store, "sample")
    from raymode.cluster import selector
    from raymode.sample.pool import Model, sample_all, weights_of
    from raymode.sample.prompts import make_requests

    settings = config.sample
    weights = weights_of(Store(settings.checkpoint or f"{store.url}/checkpoint"))
    seed = derive_seed(config.seed, "sample", config.train.seed)
    requests = make_requests(heldout_problems(config), settings, seed)
    base = ""
    if settings.strategy == "handoff":
        base = settings.handoff_model or prepare_base(config)
    begin(store, "sample", config)
    model = Model(weights, base, config.train.mode_tokens)
    where = selector(config.ray, "sample")
    sample_all(
        requests,
        model,
        settings,
        store,
        run_id(config),
        config.label,
        clock,
        where,
        is_in_process(config),
    )
    reasons = store.read_table("completions", ["finish_reason"]).column(0).to_pylist()
    summary = {
        "completions": len(reasons),
        "unparsed": reasons.count("unparsed"),
        "weights": weights.content,
        **clock.stop(),
    }
    return finish(store, "sample", config, summary)


@events.failures_told("score")
def score(config: Config) -> dict[str, Any]:
    """Verify and score the completions and return the summary.

    Writes `judged`, `scores.parquet`, `choices.parquet`, `summary.parquet`, and `branching.parquet` with score.branching.
    """
    store = open_run(config)
    done = finished(store, "score", config)
    if done is not None:
        return done
    clock = Clock(store, "score")
    from raymode.measure.judges import judge_completions
    from raymode.measure.table import across_problems, choice_table, score_table, summary_table
    from raymode.measure.verdicts import is_text_problem

    completions = store.rows("completions")
    problems = {row["problem_id"]: row for row in heldout_problems(config)}
    columns = ["problem_id", "verdict", "claimed", "cluster_id", "features", "reward"]
    columns += ["code"] if any(map(is_text_problem, problems.values())) else []
    chosen = set_table(config, "solutions", columns, ("problem_id", list(problems)))
    solutions = chosen.to_pylist()
    begin(store, "score", config)
    judged = judge_completions(completions, problems, solutions, config, store, clock)
    extra = _branching(config, store, completions, problems) if config.score.branching else {}
    scores = score_table(completions, judged, problems, solutions, config.score, extra)
    seed = derive_seed(config.seed, "score")
    across = across_problems(completions, judged, config.score)
    store.write_table("choices.parquet", choice_table(completions, judged, solutions, seed))
    store.write_table("summary.parquet", summary_table(scores.to_pylist(), seed, across))
    store.write_table("scores.parquet", scores)
    return finish(store, "score", config, {"problems": len(problems), **clock.stop()})


def _branching(
    config: Config,
    store: Store,
    completions: list[dict[str, Any]],
    problems: dict[str, dict[str, Any]],
) -> dict[tuple[str, str, str], dict[str, float]]:
    """Write `branching.parquet` and return the branching factors by row of `scores`."""
    from raymode.cluster import selector
    from raymode.measure.forcing import Setting, branching
    from raymode.sample.prompts import decodings

    setting = Setting(
        config.sample.checkpoint or f"{store.url}/checkpoint",
        {point.name: point.temperature for point in decodings(config.sample)},
        ends=not config.sample.stop,
        gpus=min(1.0, config.sample.gpu_per_engine),
        where=selector(config.ray, "sample"),
        here=is_in_process(config),
    )
    prompts = {name: row["prompt"] for name, row in problems.items()}
    factors, curve = branching(completions, prompts, setting)
    store.write_table("branching.parquet", curve)
    return factors


def heldout_problems(config: Config) -> list[dict[str, Any]]:
    """Return the problems to sample, in a seeded order per split, `sample.problems` of each split."""
    from raymode.sets.select import order_prompts

    problems = set_table(config, "problems", ["problem_id", "split"]).to_pylist()
    there = {row["split"] for row in problems}
    splits = config.sample.splits or [split for split in HELDOUT_SPLITS if split in there]
    if not splits:
        raise DataError(
            f"{config.sets_path}: no problem is kept for evaluation, only {', '.join(sorted(there))}; build the sets"
            " with more of them (read.heldout_fraction)"
        )
    chosen = []
    for split in splits:
        names = [row["problem_id"] for row in problems if row["split"] == split]
        if not names:
            raise DataError(
                f"sample.splits: no problem of {config.sets_path} is in split {split!r}"
            )
        chosen += order_prompts(names, config.seed)[: config.sample.problems or None]
    # Their tests may be large: only those of the chosen problems are read.
    whole = set_table(config, "problems", where=("problem_id", chosen)).to_pylist()
    rows = {row["problem_id"]: row for row in whole}
    return [rows[name] for name in chosen]


def prepare_base(config: Config) -> str:
    """Return where the model to start from is: `model.name`, or the tiny one, made once per seed for all trials.

    `model.name` may be a directory or a hub id; a hub id is fetched by transformers on each worker.
    """
    if config.model.name:
        return config.model.name
    from raymode.sets.select import is_accepted
    from raymode.train.base import make_base

    name = f"base/{fingerprint([to_dict(config.model), config.train.seed, config.seed])}"
    sets = Store(config.sets_path)
    if not sets.exists(f"{name}/manifest.json"):
        columns = ["problem_id", "split", "prompt"]
        problems = set_table(config, "problems", columns, ("split", ["train"])).to_pylist()
        train_ids = {row["problem_id"] for row in problems}
        columns = ["problem_id", "code", "verdict", "claimed"]
        texts = [row["prompt"] for row in problems]
        texts += [
            row["code"]
            for row in set_table(config, "solutions", columns).to_pylist()
            if row["problem_id"] in train_ids and is_accepted(row)
        ]
        seed = derive_seed(config.seed, "base", config.train.seed)
        with tempfile.TemporaryDirectory() as directory:
            make_base(texts, config.model, seed, Path(directory))
            sets.upload(Path(directory), name)
    return f"{sets.url}/{name}"


def _select(config: Config) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the training groups and of the held-out groups."""
    from raymode.sets.select import heldout_groups, select_groups

    tables = light_tables(config)
    problems, solutions = tables["problems"].to_pylist(), tables["solutions"].to_pylist()
    settings = config.train
    groups = select_groups(
        problems,
        solutions,
        prompts=settings.prompts or None,
        responses=settings.responses,
        seed=derive_seed(config.seed, "select", settings.seed),
        minimum_responses=settings.minimum_responses,
        selection=settings.selection,
        diversity_weight=settings.diversity_weight,
        wrong_responses=settings.wrong_responses,
        modes=settings.mode_tokens,
    )
    heldout = heldout_groups(problems, solutions, HELDOUT_SPLITS, HELDOUT_RESPONSES, config.seed)
    return groups, heldout
