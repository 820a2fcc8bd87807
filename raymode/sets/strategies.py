"""How K of a problem's N responses are kept: one function per strategy, all in STRATEGIES.

A strategy returns the first K places of one order, so a larger K adds to a smaller one. It is given
the responses in seeded random order and takes the first of equals. Hence ties are broken at random,
and neither table order nor other problems matter.

`random` is unbiased. All others change what is trained on: a mean over what they keep is no longer
the mean over all N responses, except `cluster_first` with the weights of `cluster_weights`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raymode.errors import ConfigError, DataError
from raymode.seed import derive_seed
from raymode.sets.submodular import Coverage, Floats, greedy_log_det, lazy_greedy

DIVERSITY_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Pool:
    """The responses of one problem to choose from: rows of `solutions` in seeded random order.

    seed: what the order was made with. diversity_weight: see `quality_diversity`.
    """

    problem_id: str
    rows: Sequence[Mapping[str, Any]]
    seed: int
    diversity_weight: float = DIVERSITY_WEIGHT


Strategy = Callable[[Pool, int], list[int]]


def random(pool: Pool, k: int) -> list[int]:
    """Keep the first K: every K of the N are equally likely."""
    return list(range(min(k, len(pool.rows))))


def best(pool: Pool, k: int) -> list[int]:
    """Keep the K with the highest rewards."""
    rewards = _rewards(pool)
    return sorted(range(len(rewards)), key=lambda row: (-rewards[row], row))[:k]


def diverse(pool: Pool, k: int) -> list[int]:
    """Keep K that cover all N: greedy on `Coverage`, at least 1 - 1/e of the best possible."""
    coverage = Coverage(_features(pool))
    return lazy_greedy(coverage.first_gains(), coverage.gain, coverage.add, k)


def quality_diversity(pool: Pool, k: int) -> list[int]:
    """Keep K by F(S) = sum of quality over S + diversity_weight / left * C(S), greedily.

    Quality is the reward scaled to [0, 1] over the pool (0 for all if all are equal). C is
    `Coverage`; left is what the best single response leaves uncovered, so that programs with much
    boilerplate in common are weighed like others. So diversity_weight is what covering all of that
    is worth, where one best response instead of one worst is worth 1.
    F is modular plus monotone submodular: greedy reaches at least 1 - 1/e of the best F.
    """
    weight = pool.diversity_weight
    if not (math.isfinite(weight) and weight >= 0):
        raise ConfigError(f"diversity_weight={weight}: must be a number of at least 0")
    quality, coverage = _scaled(_rewards(pool)), Coverage(_features(pool))
    first = coverage.first_gains()
    left = 1.0 - first.max(initial=0.0)
    scale = weight / left if left > 0 else weight

    def gain(row: int) -> float:
        return float(quality[row]) + scale * coverage.gain(row)

    return lazy_greedy(quality + scale * first, gain, coverage.add, k)


def cluster_first(pool: Pool, k: int) -> list[int]:
    """Keep one of each cluster, then a second of each, and so on; clusters in seeded random order."""
    clusters = _clusters(pool)
    order = sorted(
        set(clusters),
        key=lambda name: (derive_seed(pool.seed, "clusters", pool.problem_id, name), name),
    )
    return round_robin(clusters, order, k)


def log_det(pool: Pool, k: int) -> list[int]:
    """Keep K that are far from each other: greedy on the log determinant of their likeness."""
    return greedy_log_det(_features(pool), k)


STRATEGIES: dict[str, Strategy] = {
    "random": random,
    "best": best,
    "diverse": diverse,
    "quality_diversity": quality_diversity,
    "cluster_first": cluster_first,
    "log_det": log_det,
}


def strategy(name: str) -> Strategy:
    """Return the strategy of this name; ConfigError names those there are."""
    if name not in STRATEGIES:
        raise ConfigError(f"selection {name!r}: must be one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def round_robin(clusters: Sequence[str], order: Sequence[str], k: int) -> list[int]:
    """Return the first k places, one per cluster and round; `clusters` is the cluster of each place.

    A round goes through the clusters in `order`; a cluster gives its places in the order they stand.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(clusters):
        members[name].append(place)
    rank = {name: number for number, name in enumerate(order)}
    turns = sorted(
        (turn, rank[name], place)
        for name, places in members.items()
        for turn, place in enumerate(places)
    )
    return [place for _, _, place in turns[:k]]


def cluster_weights(kept: Sequence[str], everything: Sequence[str]) -> NDArray[np.float64]:
    """Return the weight of each response that `cluster_first` kept, so that it is unbiased again.

    kept: the cluster of each kept response, shape (K,); everything: of all N responses. For any
    value y, the expectation over seeds of sum(weight * y) is the mean of y over all N.

    With C clusters, N_c responses in cluster c, and k_c of them kept, the weight is
    N_c / (N * k_c * min(1, K / C)). For a cluster is kept at all with probability min(1, K / C)
    (clusters come in uniformly random order, one of each first), and given k_c, its kept responses
    are a simple random sample, so their mean is unbiased for the cluster's mean (Horvitz and
    Thompson 1952 over clusters, stratified within). If K >= C the weights sum to 1; if K < C their
    sum is 1 only in expectation, and dividing by it makes the estimate consistent, not unbiased.
    """
    sizes, counts = Counter(everything), Counter(kept)
    if any(count > sizes[name] for name, count in counts.items()):
        raise ValueError("kept responses are not among all responses")
    seen = min(1.0, len(kept) / len(sizes)) if sizes else 1.0
    return np.array([sizes[name] / (len(everything) * counts[name] * seen) for name in kept])


def _rewards(pool: Pool) -> list[float]:
    return [float(value) for value in _column(pool, "reward", _is_number)]


def _features(pool: Pool) -> list[frozenset[str]]:
    return [frozenset(value) for value in _column(pool, "features", _is_given)]


def _clusters(pool: Pool) -> list[str]:
    return [str(value) for value in _column(pool, "cluster_id", _is_given)]


def _column(pool: Pool, name: str, fits: Callable[[Any], bool]) -> list[Any]:
    values = [row.get(name) for row in pool.rows]
    for row, value in zip(pool.rows, values, strict=True):
        if not fits(value):
            raise DataError(
                f"solutions: {row['solution_id']!r} of problem {pool.problem_id!r} has {name} "
                f"{value!r}, which this selection needs; fill the column or use selection=random"
            )
    return values


def _is_given(value: Any) -> bool:
    return value is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _scaled(values: Sequence[float]) -> Floats:
    array = np.array(values, dtype=np.float64)
    low, high = array.min(initial=np.inf), array.max(initial=-np.inf)
    scaled: Floats = (array - low) / (high - low) if high > low else np.zeros_like(array)
    return scaled
