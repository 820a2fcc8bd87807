"""The branching factor of a run: its model is run over its own completions, in one task of the cluster."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raymode.actors import in_a_task
from raymode.cluster import require
from raymode.measure.branching import branching_factor, position_curve
from raymode.measure.branching_model import Forced, TokenBranching, token_branching
from raymode.measure.problem import UNPARSED
from raymode.store import Store

Key = tuple[str, str, str]

CURVE = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("decoding", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),  # tokens before, from 0
        pa.field("entropy", pa.float64(), nullable=False),  # mean over answers, nats
        pa.field("answers", pa.int64(), nullable=False),  # that are so long
    ]
)


@dataclass(frozen=True, slots=True)
class Setting:
    """The model that wrote the completions, and how."""

    checkpoint: str  # URL of its directory
    temperatures: Mapping[str, float]  # by decoding
    ends: bool  # "stop" means that the model drew the end of the sequence
    gpus: float = 0.0
    where: Mapping[str, str] = field(default_factory=dict)  # labels of the nodes that may do it
    here: bool = False  # in this process instead


def branching(
    completions: Sequence[Mapping[str, Any]], prompts: Mapping[str, str], setting: Setting
) -> tuple[dict[Key, dict[str, float]], pa.Table]:
    """Return the branching factor by (run_id, problem_id, decoding), and its course along the answers.

    prompts: by problem; completions must have been asked for with the prompt alone.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in completions:
        if row["finish_reason"] != UNPARSED:
            groups[row["run_id"], row["decoding"]].append(row)
    measure = _measured if setting.here else _remote(setting)
    factors: dict[Key, dict[str, float]] = {}
    curve = []
    for (run_id, decoding), rows in groups.items():
        answers = [
            Forced(
                prompts[row["problem_id"]],
                row["text"],
                ended=setting.ends and row["finish_reason"] == "stop",
            )
            for row in rows
        ]
        rates, means, counts = measure(setting, setting.temperatures[decoding], answers)
        for name, factor in _by_problem(rows, rates).items():
            factors[run_id, name, decoding] = {"branching_factor": factor}
        curve += [
            {"run_id": run_id, "decoding": decoding, "position": position, "entropy": mean, "answers": count}
            for position, (mean, count) in enumerate(zip(means, counts, strict=True))
        ]  # fmt: skip
    return factors, pa.Table.from_pylist(curve, schema=CURVE)


def _remote(setting: Setting) -> Callable[..., Any]:
    """Return `_measured` as it is done somewhere in the cluster."""
    require(1, setting.gpus, "score.branching", setting.where)
    return in_a_task(
        _measured, num_cpus=1, num_gpus=setting.gpus, label_selector=dict(setting.where)
    )


def _by_problem(
    rows: Sequence[Mapping[str, Any]], rates: Sequence[tuple[float, float, int]]
) -> dict[str, float]:
    groups: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for row, rate in zip(rows, rates, strict=True):
        groups[row["problem_id"]].append(rate)
    return {name: branching_factor(*zip(*own, strict=True)) for name, own in groups.items()}


def _measured(
    setting: Setting, temperature: float, answers: Sequence[Forced]
) -> tuple[list[tuple[float, float, int]], list[float], list[int]]:
    """Return (entropy, surprise, tokens) of every answer, and mean entropy and count at every position."""
    place = Store(setting.checkpoint)
    rates: list[tuple[float, float, int]] = []

    def entropies(found: Iterator[TokenBranching]) -> Iterator[np.ndarray]:
        for answer in found:
            rates.append((answer.entropy, answer.surprise, answer.tokens))
            yield answer.entropy_T

    with tempfile.TemporaryDirectory() as directory:
        local = place.path() if place.is_local else place.download("", Path(directory))
        device = "cuda" if setting.gpus else "cpu"
        found = token_branching(local, answers, temperature=temperature, device=device)
        curve = position_curve(entropies(found))
    return rates, curve.mean_T.tolist(), curve.count_T.tolist()
