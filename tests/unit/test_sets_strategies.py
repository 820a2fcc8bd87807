"""Strategies of keeping K of N: bounds by brute force, bias by enumeration, order and ties."""

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from feature_rows import Rows, coverage_of, random_rows

from raymode.config import SELECTIONS
from raymode.errors import ConfigError, DataError
from raymode.sets.strategies import (
    STRATEGIES,
    Pool,
    cluster_first,
    cluster_weights,
    round_robin,
    strategy,
)

GREEDY = 1 - 1 / math.e


def make_pool(rows: Rows, rewards: Sequence[float] | None = None, **more: Any) -> Pool:
    rewards = [1.0] * len(rows) if rewards is None else rewards
    listed = [
        {"solution_id": f"s{i}", "features": sorted(row), "reward": reward, "cluster_id": f"c{i}"}
        for i, (row, reward) in enumerate(zip(rows, rewards, strict=True))
    ]
    return Pool("p", listed, 0, **more)


def quality_diversity_value(
    rows: Rows, rewards: Sequence[float], weight: float
) -> Callable[[Sequence[int]], float]:
    low, high = min(rewards), max(rewards)
    left = 1 - max(coverage_of(rows, [i]) for i in range(len(rows)))

    def value(chosen: Sequence[int]) -> float:
        quality = sum((rewards[i] - low) / (high - low) for i in chosen) if high > low else 0.0
        return quality + (weight / left if left > 1e-9 else weight) * coverage_of(rows, chosen)

    return value


def test_quality_diversity_value_has_diminishing_returns() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        rows, rewards = random_rows(rng, 7), list(rng.random(7))
        value = quality_diversity_value(rows, rewards, 3.0)
        large = [int(i) for i in rng.choice(7, size=5, replace=False)]
        small = large[: rng.integers(0, 5)]
        for i in set(range(7)) - set(large):
            gain_small = value([*small, i]) - value(small)
            gain_large = value([*large, i]) - value(large)
            assert gain_small >= gain_large - 1e-9 >= -2e-9


@pytest.mark.parametrize("name", ["diverse", "quality_diversity"])
def test_greedy_reaches_its_bound_and_is_plain_greedy(name: str) -> None:
    rng = np.random.default_rng(4)
    worst = 1.0
    for _ in range(40):
        n, k = int(rng.integers(2, 13)), int(rng.integers(1, 5))
        rows, rewards = random_rows(rng, n), list(rng.random(n))
        value = (
            (lambda chosen, rows=rows: coverage_of(rows, chosen))
            if name == "diverse"
            else quality_diversity_value(rows, rewards, 4.0)
        )
        chosen = STRATEGIES[name](make_pool(rows, rewards), k)
        assert len(set(chosen)) == min(k, n)
        optimum = max(value(pick) for pick in itertools.combinations(range(n), min(k, n)))
        worst = min(worst, value(chosen) / optimum)
        for step in range(len(chosen)):
            gains = {i: value([*chosen[:step], i]) for i in set(range(n)) - set(chosen[:step])}
            assert gains[chosen[step]] >= max(gains.values()) - 1e-4
    assert worst >= GREEDY


def test_random_keeps_every_subset_equally_often() -> None:
    """Over all orders of 5 responses, exactly; so the mean of what is kept is unbiased."""
    values = [Fraction(x) for x in (1, 2, 4, 8, 16)]
    for k in (1, 2, 3, 4):
        kept, total, orders = Counter[frozenset[int]](), Fraction(0), 0
        for order in itertools.permutations(range(5)):
            pool = Pool("p", [{"solution_id": f"s{i}"} for i in order], 0)
            chosen = [order[place] for place in STRATEGIES["random"](pool, k)]
            kept[frozenset(chosen)] += 1
            total += sum(values[i] for i in chosen) / k
            orders += 1
        assert len(kept) == math.comb(5, k) and len(set(kept.values())) == 1
        assert total / orders == sum(values) / 5


@pytest.mark.parametrize("name", ["best", "cluster_first"])
def test_other_selections_are_biased_without_weights(name: str) -> None:
    values, clusters = [1.0, 2.0, 4.0, 8.0, 16.0], ["a", "a", "a", "a", "b"]
    total = 0.0
    for order in itertools.permutations(range(5)):
        rows = [
            {"solution_id": f"s{i}", "reward": values[i], "cluster_id": clusters[i]} for i in order
        ]
        total += sum(values[order[i]] for i in STRATEGIES[name](Pool("p", rows, 0), 2)) / 2
    assert abs(total / 120 - 6.2) > 2


@pytest.mark.parametrize("clusters", ["aaab", "aabbc", "abcde", "aaaaa", "aaabb"])
def test_cluster_weights_undo_the_bias_exactly(clusters: str) -> None:
    """The expectation over all orders of responses and of clusters is the mean over all N."""
    n, names = len(clusters), sorted(set(clusters))
    values = [3.0**i for i in range(n)]
    for k in range(1, n + 1):
        total, count = 0.0, 0
        for order in itertools.permutations(range(n)):
            shuffled = [clusters[i] for i in order]
            for cluster_order in itertools.permutations(names):
                chosen = [order[place] for place in round_robin(shuffled, cluster_order, k)]
                weights = cluster_weights([clusters[i] for i in chosen], list(clusters))
                total += float(weights @ np.array([values[i] for i in chosen]))
                count += 1
                if k >= len(names):
                    assert weights.sum() == pytest.approx(1)
        assert total / count == pytest.approx(sum(values) / n, rel=1e-12)


def test_cluster_first_with_its_seed_is_unbiased_with_weights() -> None:
    """The seeded road, not an enumeration: 3 of 6 responses in 4 clusters, many seeds."""
    clusters = dict(zip("stuvwx", "aaabcd", strict=True))
    values = dict(zip("stuvwx", (1.0, 2.0, 3.0, 10.0, 20.0, 30.0), strict=True))
    runs, estimates = 4000, []
    rng = np.random.default_rng(7)
    for seed in range(runs):
        order = list(rng.permutation(list(clusters)))
        rows = [{"solution_id": name, "cluster_id": clusters[name]} for name in order]
        chosen = [order[place] for place in cluster_first(Pool("p", rows, seed), 3)]
        assert len({clusters[name] for name in chosen}) == 3
        weights = cluster_weights([clusters[n] for n in chosen], list(clusters.values()))
        estimates.append(float(weights @ np.array([values[n] for n in chosen])))
    error = np.std(estimates) / math.sqrt(runs)
    assert abs(np.mean(estimates) - 11) < 4 * error


def test_round_robin_visits_every_cluster_before_a_second_of_any() -> None:
    assert round_robin("aabab", "ba", 5) == [2, 0, 4, 1, 3]
    assert round_robin("aabab", "ab", 3) == [0, 2, 1]
    assert round_robin("", "", 3) == []


def test_cluster_weights_refuse_what_was_not_there() -> None:
    with pytest.raises(ValueError, match="not among"):
        cluster_weights(["a", "a"], ["a", "b"])
    assert cluster_weights([], []).shape == (0,)


def test_best_takes_the_highest_rewards_and_the_first_of_equals() -> None:
    pool = make_pool([frozenset()] * 5, [0.0, 2.0, 1.0, 2.0, 1.0])
    assert STRATEGIES["best"](pool, 4) == [1, 3, 2, 4]


def test_diverse_takes_one_of_each_kind_before_a_second() -> None:
    kinds = [frozenset({name, name + "2"}) for name in "abc"]
    rows = [kinds[0]] * 6 + [kinds[1]] * 3 + [kinds[2]]
    for name in ("diverse", "quality_diversity", "log_det"):
        chosen = STRATEGIES[name](make_pool(rows), 3)
        assert {rows[i] for i in chosen} == set(kinds), name
    assert STRATEGIES["diverse"](make_pool(rows), 5) == [0, 6, 9, 1, 2]


def test_diversity_weight_trades_reward_for_coverage() -> None:
    rows = [frozenset({"a", "b"})] * 4 + [frozenset({"c", "d"})]
    rewards = [1.0, 0.9, 0.8, 0.7, 0.0]
    assert STRATEGIES["quality_diversity"](
        make_pool(rows, rewards, diversity_weight=0.0), 2
    ) == [0, 1]  # fmt: skip
    assert STRATEGIES["quality_diversity"](
        make_pool(rows, rewards, diversity_weight=9.0), 2
    ) == [0, 4]  # fmt: skip


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_nested_and_keeps_all_when_k_is_large(name: str) -> None:
    rng = np.random.default_rng(8)
    for n in (0, 1, 6, 20):
        rows = random_rows(rng, n)
        pool = make_pool(rows, list(rng.random(n)))
        whole = STRATEGIES[name](pool, n + 3)
        assert sorted(whole) == list(range(n))
        for k in range(n + 1):
            assert STRATEGIES[name](pool, k) == whole[:k]


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("best", "reward", None),
        ("best", "reward", math.nan),
        ("quality_diversity", "reward", None),
        ("cluster_first", "cluster_id", None),
        ("diverse", "features", None),
        ("log_det", "features", None),
    ],
)
def test_a_column_that_lacks_a_value_is_one_clear_line(name: str, column: str, value: Any) -> None:
    pool = make_pool(random_rows(np.random.default_rng(9), 3))
    pool.rows[1][column] = value  # type: ignore[index]
    with pytest.raises(DataError) as caught:
        STRATEGIES[name](pool, 2)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in ("'s1'", "'p'", column, "selection=random"))


def test_a_wrong_name_or_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match="selection 'bset': must be one of random, best, "):
        strategy("bset")
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="diversity_weight"):
            STRATEGIES["quality_diversity"](make_pool([], diversity_weight=weight), 1)


@pytest.mark.bench
@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("vocabulary", [400, 20_000])
def test_5000_responses_take_less_than_a_second(name: str, vocabulary: int) -> None:
    rng = np.random.default_rng(10)
    share = 1 / np.arange(1, vocabulary + 1)
    share /= share.sum()
    rows = [frozenset(f"w{x}" for x in rng.choice(vocabulary, 50, p=share)) for _ in range(5000)]
    pool = make_pool(rows, list(rng.random(5000)))
    started = time.process_time()
    assert len(STRATEGIES[name](pool, 64)) == 64
    spent = time.process_time() - started
    print(f"{name}, {vocabulary} words: {spent:.2f} CPU s")
    assert spent < 1


def test_the_configuration_names_every_strategy() -> None:
    assert set(SELECTIONS) == set(STRATEGIES)
