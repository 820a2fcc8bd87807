"""The cells of a sweep: P x K at equal budgets, and λ, each a full configuration with a run_id."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from raymode.config import Config, EcoConfig
from raymode.config_check import check, check_sweep
from raymode.errors import ConfigError
from raymode.rundir import run_id, trial_config


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One run of the sweep; `budget` is P*K."""

    run_id: str
    budget: int
    config: Config

    @property
    def label(self) -> str:
        """The cell in a few words, for progress lines."""
        return self.config.label


def cells(config: Config) -> list[SweepCell]:
    """Return the cells in the order they are started: seeds, budgets, then K; ECO cells last in each budget.

    Every cell makes the same number of updates on the same number of responses. All cells of a seed draw from the same
    problems (those with enough responses for the largest K), prompts nested in P and responses nested in K.
    Raises ConfigError for a cell that cannot work.
    """
    if config.sample.checkpoint:
        raise ConfigError(
            "sample.checkpoint: every cell samples its own model; leave it empty in a sweep"
        )
    check_sweep(config)
    sweep = config.sweep
    found = []
    for seed in sweep.seeds:
        for budget in sweep.budgets:
            for responses in sweep.responses:
                found.append(_cell(config, budget, responses, seed, "nll", 0.0))
            for weight in sweep.eco_weights:
                found.append(_cell(config, budget, max(sweep.responses), seed, "eco", weight))
    return found


def table(found: list[SweepCell]) -> list[dict[str, Any]]:
    """Return one plain row per cell, for printing."""
    return [
        {
            "run_id": cell.run_id,
            "budget": cell.budget,
            "P": cell.config.train.prompts,
            "K": cell.config.train.responses,
            "loss": cell.config.train.loss,
            "λ": cell.config.eco.weight,
            "seed": cell.config.train.seed,
        }
        for cell in found
    ]


def _cell(
    config: Config, budget: int, responses: int, seed: int, loss: str, weight: float
) -> SweepCell:
    train = {
        "prompts": budget // responses,
        "responses": responses,
        "minimum_responses": max(config.sweep.responses),
        "loss": loss,
        "seed": seed,
    }
    # NLL does not depend on the keys of ECO: its run_id must not either.
    eco = EcoConfig(weight, config.eco.reduction) if loss == "eco" else EcoConfig()
    changed = trial_config(dataclasses.replace(config, eco=eco), "", **train)
    name = run_id(changed)
    placed = dataclasses.replace(changed, run_dir=f"{config.run_dir.rstrip('/')}/runs/{name}")
    check(placed)
    return SweepCell(name, budget, placed)
