"""Variance components against a two-level simulator, and the optimal K against a search."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from raymode.sweep.budget import (
    anova_components,
    optimal_k,
    predicted_variance,
    student_quantile,
    variance_at_budget,
)

Floats = NDArray[np.float64]
INF = float("inf")


def two_level(
    generator: np.random.Generator, P: int, K: int, V_x: float, V_yx: float, mean: float = 0.0
) -> Floats:
    between = generator.normal(mean, math.sqrt(V_x), (P, 1))
    return np.asarray(between + generator.normal(0, math.sqrt(V_yx), (P, K)))


def test_components_by_hand() -> None:
    components = anova_components([[1.0, 3.0], [5.0, 7.0], [3.0, 5.0]])
    # MSW = 2, MSB = 2 * var(2, 6, 4) = 8, V_x = (8 - 2) / 2.
    assert components.V_yx.mean == pytest.approx(2)
    assert components.V_x.mean == pytest.approx(3)
    assert components.V_x.n == components.V_yx.n == 3
    # Ragged: MSW = 2, MSB = 2 * 1 + 1 * 4 = 6, n0 = 3 - 5/3 = 4/3, V_x = (6 - 2) / (4/3).
    ragged = anova_components([[0.0, 2.0], [4.0]])
    assert ragged.V_yx.mean == pytest.approx(2) and ragged.V_x.mean == pytest.approx(3)
    assert math.isnan(ragged.V_x.low)  # two prompts have no interval


def test_simulator_is_recovered_within_the_interval() -> None:
    generator = np.random.default_rng(0)
    hits = np.zeros(2)
    means = np.zeros(2)
    for _ in range(200):
        components = anova_components(two_level(generator, 60, 4, 1.0, 3.0))
        hits += [i.low <= v <= i.high for i, v in zip(components, (1.0, 3.0), strict=True)]
        means += [interval.mean / 200 for interval in components]
    assert (hits >= 0.92 * 200).all()
    assert (hits < 200).any()  # intervals that never miss would be useless
    assert means == pytest.approx([1.0, 3.0], rel=0.05)


def test_ragged_groups_recover_the_components_too() -> None:
    generator = np.random.default_rng(1)
    estimates = []
    for _ in range(100):
        table = two_level(generator, 80, 6, 2.0, 1.0)
        groups = [row[: 1 + i % 6] for i, row in enumerate(table)]
        estimates.append([interval.mean for interval in anova_components(groups)])
    assert np.mean(estimates, axis=0) == pytest.approx([2.0, 1.0], rel=0.07)


def test_jackknife_equals_leaving_each_prompt_out_in_turn() -> None:
    table = two_level(np.random.default_rng(2), 12, 3, 1.0, 1.0, mean=1e4)
    within = [anova_components(np.delete(table, i, axis=0)).V_yx.mean for i in range(len(table))]
    logs = np.log(within)
    error = math.sqrt(11 / 12 * ((logs - logs.mean()) ** 2).sum())
    interval = anova_components(table).V_yx
    width = student_quantile(0.95, 11) * error
    assert interval.low == pytest.approx(interval.mean * math.exp(-width))
    assert interval.high == pytest.approx(interval.mean * math.exp(width))


def test_no_difference_between_prompts_or_responses() -> None:
    flat = anova_components(two_level(np.random.default_rng(3), 50, 4, 0.0, 1.0))
    assert flat.V_x.low == 0 and flat.V_x.mean < 0.2
    same = anova_components([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    assert same.V_yx[:3] == (0, 0, 0) and same.V_x.mean == pytest.approx(7 / 3)


@pytest.mark.parametrize(
    "groups", [[[1.0, 2.0]], [[1.0], [2.0]], [], [[1.0, math.nan], [1.0, 2.0]]]
)
def test_tables_that_say_nothing_are_refused(groups: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"two prompts|not finite"):
        anova_components(groups)


def test_predicted_variance_is_that_of_the_simulated_mean() -> None:
    generator = np.random.default_rng(4)
    for P, K in ((5, 1), (20, 4), (3, 10)):
        means = [two_level(generator, P, K, 2.0, 5.0).mean() for _ in range(4000)]
        assert np.var(means) == pytest.approx(predicted_variance(2.0, 5.0, P, K), rel=0.1)


def test_whole_k_is_the_best_of_a_search_and_beside_k_star() -> None:
    generator = np.random.default_rng(5)
    for _ in range(300):
        V_x, V_yx, C_p, C_r = np.exp(generator.normal(0, 1.5, 4)).tolist()
        optimum = optimal_k(V_x, V_yx, C_p, C_r)
        assert optimum.exact == pytest.approx(math.sqrt(V_yx * C_p / (V_x * C_r)))
        costs = {k: variance_at_budget(V_x, V_yx, C_p, C_r, k) for k in range(1, 400)}
        best = min(costs, key=lambda k: costs[k])
        assert optimum.whole == best
        assert best in {max(1, math.floor(optimum.exact)), max(1, math.ceil(optimum.exact))}
        assert optimum.gain == pytest.approx(1 - costs[best] / costs[1])
        # The minimum over real K has a closed form, below every whole K.
        least = (math.sqrt(V_x * C_p) + math.sqrt(V_yx * C_r)) ** 2
        assert least <= costs[best] + 1e-9


def test_published_budget_example() -> None:
    # C_p = 4, C_r = 1 and V_{y|x}/V_x such that K* = 5.33: whole K = 5.
    optimum = optimal_k(1.0, 5.33**2 / 4, 4.0, 1.0)
    assert optimum.exact == pytest.approx(5.33) and optimum.whole == 5
    assert optimum.gain == pytest.approx(0.46, abs=0.01)


def test_degenerate_cases() -> None:
    for arguments, gain in (((0.0, 1.0, 4.0, 1.0), 1 - 1 / 5), ((1.0, 1.0, 4.0, 0.0), 1 - 4 / 8)):
        endless = optimal_k(*arguments)
        assert endless.exact == INF and endless.whole is None
        assert endless.gain == pytest.approx(gain)
    assert optimal_k(1.0, 1.0, 0.0, 1.0) == (0.0, 1, 0.0)
    assert optimal_k(1.0, 0.0, 4.0, 1.0) == (0.0, 1, 0.0)
    assert optimal_k(0.0, 0.0, 4.0, 1.0).whole == 1
    for wrong in ((-1.0, 1.0, 1.0, 1.0), (1.0, INF, 1.0, 1.0), (1.0, 1.0, 0.0, 0.0)):
        with pytest.raises(ValueError, match="variances and costs"):
            optimal_k(*wrong)


@pytest.mark.parametrize(("freedom", "quantile"), [(5, 2.5706), (10, 2.2281), (60, 2.0003)])
def test_student_quantiles(freedom: int, quantile: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(quantile, rel=0.01)
