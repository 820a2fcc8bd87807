"""The figures of a comparison: paired differences, curves, the decomposition; no drawing, no words.

Every difference is of a run minus the baseline, on the problems where both are defined, with the
bootstrap over problems of `measure.stats`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raymode.measure.coverage import cluster_counts, rarefaction_curve
from raymode.measure.decompose import Decomposition, decompose, expected_clusters, problem_diversity
from raymode.measure.paired import Difference, Scores
from raymode.measure.problem import POOLED, metric, summarise
from raymode.measure.stats import (
    Interval,
)
from raymode.report.compare_data import Samples, Sets
from raymode.seed import derive_seed

LEAST_PROBLEMS = 5  # a figure that stands on fewer is not shown
DRAWS = 2000
NAN = float("nan")
PAIRS = 2  # completions that the decomposition looks at together


@dataclass(frozen=True, slots=True)
class Arm:
    """One run at one decoding."""

    run: str
    decoding: str
    scores: Scores


def arm_summary(
    arm: Arm, problems: Sequence[str], names: Sequence[str], seed: int
) -> dict[str, Interval]:
    """Return mean and interval of some metrics of one arm."""
    parts = {part for name in names for part in POOLED.get(name, ())}
    wanted = {*names, *parts}
    rows = [{name: arm.scores[problem].get(name) for name in wanted} for problem in problems]
    return summarise(rows, seed)


def difference_rows(
    baseline: Arm, other: Arm, found: Mapping[str, Difference]
) -> list[dict[str, Any]]:
    """Return the rows of `compare.parquet` for two arms."""
    return [
        {
            "baseline": baseline.run,
            "run": other.run,
            "baseline_decoding": baseline.decoding,
            "decoding": other.decoding,
            "metric": each.metric,
            "unit": metric(each.metric).unit,
            "higher_is_better": metric(each.metric).higher_is_better,
            "baseline_mean": each.baseline,
            "run_mean": each.other,
            "difference": each.change.mean,
            "ci_low": each.change.low,
            "ci_high": each.change.high,
            "problems": each.change.n,
        }
        for each in found.values()
    ]


def rarefaction_rows(
    samples: Mapping[str, Samples], sets: Sets, problems: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Return the clusters expected among m right completions, per run, and in m draws from the data.

    One row per curve and m, `run` being None for the data. At every m all curves stand on the same
    problems: those where every run has m right completions. m goes up to where fewer than
    `LEAST_PROBLEMS` are left. The data's curve draws with replacement, every accepted solution
    being as likely: what a model that answers as the data do would show.
    """
    counts = {name: right_clusters(each, problems) for name, each in samples.items()}
    common = np.array([[sum(own) for own in side] for side in counts.values()]).min(axis=0)
    stays = [
        m for m in range(1, int(common.max(initial=0)) + 1) if (common >= m).sum() >= LEAST_PROBLEMS
    ]
    most = max(stays, default=0)
    curves: dict[str | None, NDArray[np.float64]] = {
        name: np.array([_padded(rarefaction_curve(own), most) for own in side]).reshape(
            len(side), most
        )
        for name, side in counts.items()
    }
    curves[None] = np.array(
        [
            _drawn([len(places) for places in sets.clusters[name].values()], most)
            for name in problems
        ]
    ).reshape(len(problems), most)
    stands = common[:, None] >= np.arange(1, most + 1)
    rows = []
    for name, curve in curves.items():
        defined = stands & ~np.isnan(curve)
        means, low, high = _bands(curve, defined, derive_seed(seed, "rarefaction"))
        for i in range(most):
            rows.append(
                {
                    "run": name,
                    "m": i + 1,
                    "clusters": float(means[i]),
                    "ci_low": float(low[i]),
                    "ci_high": float(high[i]),
                    "problems": int(defined[:, i].sum()),
                }
            )
    return rows


def right_clusters(samples: Samples, problems: Sequence[str]) -> list[list[int]]:
    """Return for every problem how many right completions each cluster has."""
    return [
        cluster_counts(each.cluster for each in samples.by_problem[name] if each.right)
        for name in problems
    ]


def _padded(curve: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return the values at m = 1..most, NaN beyond the curve's end."""
    kept = curve[1 : most + 1]
    return np.pad(kept, (0, most - len(kept)), constant_values=NAN)


def _drawn(counts: Sequence[int], most: int) -> NDArray[np.float64]:
    """Return sum_i 1 - (1 - p_i)^m for m = 1..most; NaN where the data have no solution."""
    if not counts:
        return np.full(most, NAN)
    missed = 1.0 - np.array(counts) / sum(counts)
    return np.asarray((1.0 - missed[:, None] ** np.arange(1, most + 1)).sum(axis=0))


def _bands(
    curve: NDArray[np.float64], defined: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and 95 % percentile interval over problems at every m: (m,) each.

    One resample serves every m, as a matrix of how often each problem was drawn.
    """
    n = len(curve)
    filled = np.where(defined, curve, 0.0)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), DRAWS).astype(float)
    drawn = weights @ defined
    with np.errstate(divide="ignore", invalid="ignore"):
        means = filled.sum(axis=0) / defined.sum(axis=0)
        resampled = np.where(drawn > 0, (weights @ filled) / drawn, NAN)
    if not resampled.size:
        return means, means, means
    low, high = np.nanquantile(resampled, (0.025, 0.975), axis=0)
    return means, low, high


def decomposition(
    baseline: Samples, other: Samples, problems: Sequence[str], seed: int
) -> Decomposition:
    """Return where a difference in variety comes from: the chance that two completions are different programs.

    Over all completions and over right ones; problems where a run has fewer than two right ones are left out.
    """
    columns = [_variety(side, name) for side in (baseline, other) for name in problems]
    base, post = columns[: len(problems)], columns[len(problems) :]
    return decompose(
        [all_ for all_, _ in base],
        [right for _, right in base],
        [all_ for all_, _ in post],
        [right for _, right in post],
        derive_seed(seed, "decomposition"),
    )


def _variety(samples: Samples, problem: str) -> tuple[float, float]:
    own = samples.by_problem[problem]
    return problem_diversity(
        [each.program for each in own], [each.right for each in own], PAIRS, _different
    )


def _different(programs: Sequence[str], m: int) -> float:
    return expected_clusters(programs, m) - 1.0
