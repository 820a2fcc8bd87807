"""The cells of a sweep, each a full configuration with a run_id."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raymode.config import ECO_LOSSES, LOSSES, Config, EcoConfig
from raymode.config_check import check, check_sweep
from raymode.config_load import replace
from raymode.errors import ConfigError
from raymode.rundir import run_id, trial_config
from raymode.store import Store
from raymode.sweep.axes import Axis, Settings, expand, read_axis
from raymode.sweep.designs import DESIGNS
from raymode.sweep.metrics import higher_is_better

SEARCH = "search.json"
"""What a search has chosen and been told, in order: the state to go on from."""


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One run of the sweep; `settings` are the keys in which cells differ, with its values."""

    run_id: str
    config: Config
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def budget(self) -> int:
        """P·K, the responses it buys; 0 where P is "all there are"."""
        return self.config.train.prompts * self.config.train.responses

    @property
    def label(self) -> str:
        """The cell in a few words, for progress lines."""
        shown = ("train.prompts", "train.responses", "train.loss", "eco.weight", "train.seed")
        more = [
            f"{name.rpartition('.')[2]}={value}"
            for name, value in self.settings
            if name not in shown
        ]
        return " ".join([self.config.label, *more])


def cells(config: Config) -> list[SweepCell]:
    """Return the cells in the order they are started: seeds, then the design's order, then `sweep.space`.

    What `sweep.match` names is equal in all of them. All cells of a seed draw from the same problems (those with
    enough responses for the largest K), prompts nested in P and responses nested in K. Settings that come out the same
    are one cell. Raises ConfigError for a cell that cannot work.
    """
    if config.sample.checkpoint:
        raise ConfigError(
            "sample.checkpoint: every cell samples its own model; leave it empty in a sweep"
        )
    check_sweep(config)
    design = DESIGNS[config.sweep.design](config)
    axes = [read_axis(text) for text in config.sweep.space]
    taken = {name for first in design for name in first} | {"train.seed"}
    for axis in axes:
        if axis.key in taken:
            raise ConfigError(
                f"sweep.space: {axis.key} is set by sweep.design={config.sweep.design} already; leave it out"
            )
    if config.sweep.search:
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError(
                "sweep.search=optuna: optuna is not installed; pip install 'raymode[search]'"
            )
        higher_is_better(config.sweep.metric)
        return [cell_at(config, axes, settings) for settings in asked(Store(config.run_dir))]
    settings = [
        {**first, **second, "train.seed": seed}
        for seed in config.sweep.seeds
        for first in design
        for second in expand(replace(config, first), axes, config.sweep.draws)
    ]
    most = max(each.get("train.responses", config.train.responses) for each in settings)
    found: dict[str, SweepCell] = {}
    for each in settings:
        cell = _cell(config, each, most)
        found.setdefault(cell.run_id, cell)
    return list(found.values())


def cell_at(config: Config, axes: Sequence[Axis], settings: Settings) -> SweepCell:
    """Return the cell with the settings that a search has chosen on `axes`."""
    most = max(
        (value for axis in axes if axis.key == "train.responses" for value in axis.values),
        default=config.train.responses,
    )
    return _cell(config, {**settings, "train.seed": config.sweep.seeds[0]}, most)


def asked(store: Store) -> list[Settings]:
    """Return the settings that a search has chosen so far, in their order."""
    events = store.read_json(SEARCH) if store.exists(SEARCH) else []
    return [event["ask"] for event in events if "ask" in event]


def to_come(config: Config, planned: Sequence[SweepCell]) -> int:
    """Return how many cells a search has still to choose."""
    return max(0, config.sweep.draws - len(planned)) if config.sweep.search else 0


def table(found: Sequence[SweepCell]) -> list[dict[str, Any]]:
    """Return one plain row per cell, for printing: what it is, what its data cost, how much it trains."""
    rows = []
    for cell in found:
        train, sweep = cell.config.train, cell.config.sweep
        cost = train.prompts * (sweep.cost_prompt + train.responses * sweep.cost_response)
        rows.append(
            {
                "run_id": cell.run_id,
                "budget": cell.budget or "all",
                "P": train.prompts or "all",
                "K": train.responses,
                "loss": train.loss,
                "λ": cell.config.eco.weight,
                "seed": train.seed,
                **_others(cell),
                "cost": f"{cost:g}" if train.prompts else "",
                "updates": train.steps,
                "responses trained": train.steps * train.responses_per_step,
            }
        )
    return rows


def trial_needs(config: Config) -> tuple[float, float]:
    """Return the CPUs and GPUs of one trial at its widest; its stages run one after another."""
    cpus, gpus = zip(*place_needs(config).values(), strict=True)
    return max(cpus), max(gpus)


def place_needs(config: Config) -> dict[str, tuple[float, float]]:
    """Return the CPUs and GPUs that a trial's stages ask for, by the place of `ray.labels` where they run."""
    train, sample = config.train, config.sample
    return {
        "train": (float(train.workers), float(train.workers * train.gpu)),
        "sample": (float(sample.engines), sample.engines * sample.gpu_per_engine),
        "verify": (float(config.score.actors), 0.0),
    }


def _others(cell: SweepCell) -> dict[str, Any]:
    """Return the settings of a cell that no other column shows."""
    shown = ("train.prompts", "train.responses", "train.loss", "eco.weight", "train.seed")
    return {name: value for name, value in cell.settings if name not in shown}


def _cell(config: Config, settings: Settings, most: int) -> SweepCell:
    changed = replace(config, settings)
    responses = changed.train.responses
    train: dict[str, Any] = {"minimum_responses": max(most, config.train.minimum_responses)}
    if changed.train.loss in LOSSES and changed.train.loss != "gepo":
        train["wrong_responses"] = 0  # the other losses of a design with GEPO have none beside them
    if config.sweep.match == "prompts":
        train["responses_per_step"] = config.train.responses_per_step // most * responses
    # NLL does not depend on the keys of ECO: its run_id must not either.
    if changed.train.loss not in (*ECO_LOSSES, "gepo"):
        changed = dataclasses.replace(changed, eco=EcoConfig())
    changed = trial_config(changed, "", **train)
    name = run_id(changed)
    placed = dataclasses.replace(changed, run_dir=f"{config.run_dir.rstrip('/')}/runs/{name}")
    check(placed)
    return SweepCell(name, placed, tuple(settings.items()))
