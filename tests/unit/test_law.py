"""The fitted law: recovery, the judgement whether it fits, and the recommendation in words."""

import math

import numpy as np
import pytest

from raymode.sweep.costs import Costs, measured_costs
from raymode.sweep.law import Point, fit_law, law_points
from raymode.sweep.recommend import best_k, recommend

GRID = [(budget // K, K) for budget in (480, 240) for K in (1, 2, 4, 8)]


def measured(
    V_x: float = 3.0, V_yx: float = 27.0, noise: float = 0.0, seeds: int = 1, slope: float = 0.0
) -> list[Point]:
    """The law plus Gaussian noise; `slope` lowers the value with log K, which the law forbids."""
    generator = np.random.default_rng(7)
    return [
        Point(
            P,
            K,
            1 + V_x / P + V_yx / (P * K) - slope * math.log2(K) + generator.normal(0, noise),
            seed,
        )
        for P, K in GRID
        for seed in range(seeds)
    ]


def test_exact_law_is_recovered_exactly() -> None:
    fit = fit_law(measured(), seed=0)
    assert fit.fits and fit.r_squared == pytest.approx(1)
    values = (fit.irreducible.mean, fit.V_x.mean, fit.V_yx.mean)
    assert values == pytest.approx((1, 3, 27), rel=1e-6)
    assert np.allclose(fit.residuals, 0)
    assert fit.predict(100, 3) == pytest.approx(1 + 3 / 100 + 27 / 300)


def test_bounded_solution_equals_a_grid_search() -> None:
    points = measured(V_x=0.0, V_yx=10.0, noise=0.05)
    fit = fit_law(points, seed=0)
    y = np.array([p.value for p in points])
    P = np.array([p.prompts for p in points], dtype=float)
    PK = P * np.array([p.responses for p in points])
    least = math.inf
    for v_x in np.linspace(0, 20, 81):
        for v_yx in np.linspace(0, 60, 241):
            rest = y - v_x / P - v_yx / PK
            least = min(least, float(((rest - rest.mean()) ** 2).sum()))
    squares = float((np.array(fit.residuals) ** 2).sum())
    assert squares <= least + 1e-12
    assert fit.V_x.mean >= 0 and fit.V_yx.mean >= 0


def test_intervals_cover_the_truth() -> None:
    generator = np.random.default_rng(1)
    hits = np.zeros(3)
    for repetition in range(120):
        points = [
            (P, K, 1 + 3 / P + 27 / (P * K) + generator.normal(0, 0.01), s)
            for P, K in GRID
            for s in range(2)
        ]
        fit = fit_law(points, repetition, draws=300)
        intervals = (fit.irreducible, fit.V_x, fit.V_yx)
        hits += [i.low <= v <= i.high for i, v in zip(intervals, (1, 3, 27), strict=True)]
    assert (hits / 120 >= 0.86).all() and (hits / 120 <= 0.995).all()


def test_same_points_and_seed_give_the_same_fit_in_any_order() -> None:
    points = measured(noise=0.01, seeds=2)
    assert fit_law(points, 3) == fit_law(points[::-1], 3)


def test_noise_alone_does_not_fit() -> None:
    generator = np.random.default_rng(2)
    fits = [
        fit_law([(P, K, generator.normal(5, 1)) for P, K in GRID], i, draws=50).fits
        for i in range(100)
    ]
    assert sum(fits) <= 5


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (measured()[:3], "only 3 different cells"),
        ([(10, K, 1.0 / K) for K in (1, 2, 3, 4)], "the same P,"),
        ([(48 // K, K, float(K)) for K in (1, 2, 3, 4)], "measure a second budget"),
        ([(P, K, 2.0) for P, K in GRID], "nothing to explain"),
        ([(10, 1, 4.0), (10, 2, 2.7), (20, 1, 2.5), (20, 2, 2.2)], "arises by chance"),
        (measured(noise=0.1), "less than 80%"),
        (measured(slope=0.1), "fewer prompts with more responses"),
        ([(P, K, 1 + 0.05 * K) for P in (20, 40) for K in (1, 2, 4)], "more responses per prompt"),
    ],
)
def test_says_why_it_does_not_fit(points: list[tuple[int, int, float]], reason: str) -> None:
    fit = fit_law(points, seed=0)
    assert not fit.fits and reason in fit.reason


def test_intervals_need_more_cells_than_unknowns() -> None:
    assert math.isnan(fit_law(measured()[:3], seed=0).V_x.low)


@pytest.mark.parametrize("points", [[], [(0, 1, 1.0)], [(1, 1, math.nan)]])
def test_impossible_points_are_refused(points: list[tuple[int, int, float]]) -> None:
    with pytest.raises(ValueError, match=r"at least one point|not finite"):
        fit_law(points, seed=0)


def test_points_come_from_finished_runs_of_one_loss() -> None:
    row = {"status": "finished", "loss": "nll", "P": 4, "K": 2, "seed": 1, "heldout_nll": 3.0}
    rows = [
        row,
        {**row, "status": "failed"},
        {**row, "loss": "eco"},
        {**row, "heldout_nll": math.nan},
        {**row, "heldout_nll": None},
    ]
    assert law_points(rows) == [Point(4, 2, 3.0, 1)]
    assert len(law_points(rows, loss="eco")) == 1
    from_pandas = {**row, "P": np.int64(4), "heldout_nll": np.float64(3)}
    assert law_points([from_pandas]) == [Point(4, 2, 3.0, 1)]


def test_recommends_the_law_k_with_interval_and_gain() -> None:
    advice = recommend(fit_law(measured(noise=1e-3, seeds=2), 0), 2400, Costs(4.0, 1.0))
    assert advice.basis == "law" and advice.k == 6  # sqrt(27/3 * 4/1)
    assert advice.k_low <= 6 <= advice.k_high < 12
    true_gain = ((3 + 27) * 5 - (3 + 27 / 6) * 10) / 2400
    assert advice.gain.low <= true_gain <= advice.gain.high
    assert advice.gain.mean == pytest.approx(true_gain, rel=0.15)
    assert advice.gain_share == pytest.approx(0.5, abs=0.05)
    assert advice.wasted_beyond is not None and 28 <= advice.wasted_beyond <= 45  # 4 * 27/3
    for words in ("keep K = 6 with P = 240", "The gain over K = 1 is", "Beyond K = ", "wasted"):
        assert words in advice.sentence


def test_a_fit_that_is_the_budget_alone_is_refused() -> None:
    # The cells of a real sweep: two budgets far apart, U-shaped in K within each.
    values = (7.58, 5.29, 6.27, 11.12, 24.17, 19.73, 19.77, 27.26)
    cells = [(budget // K, K) for budget in (480, 240) for K in (1, 2, 3, 6)]
    fit = fit_law([(P, K, value) for (P, K), value in zip(cells, values, strict=True)], seed=0)
    assert fit.r_squared > 0.9 and not fit.fits
    assert "of those between cells of the same P x K, and these decide K" in fit.reason
    advice = recommend(fit, 2400, Costs(4.0, 1.0))
    assert (advice.basis, advice.k) == ("measurement", 2)


def test_free_prompts_mean_one_response() -> None:
    advice = recommend(fit_law(measured(), 0), 480, Costs(0.0, 1.0))
    assert advice.k == 1 and advice.gain.mean == 0
    assert "always says K = 1" in advice.sentence


def test_without_prompt_variance_there_is_no_end() -> None:
    advice = recommend(fit_law(measured(V_x=0.0, noise=1e-3), 0), 2400, Costs(4.0, 1.0))
    assert advice.wasted_beyond is None and advice.k_high == math.inf
    assert "as many as can be had" in advice.sentence


def test_falls_back_to_the_lowest_payable_cell_and_says_so() -> None:
    fit = fit_law(measured(slope=0.1, noise=1e-3, seeds=2), 0)
    advice = recommend(fit, 2400, Costs(4.0, 1.0))
    assert advice.basis == "measurement" and advice.k == 8 and advice.agrees is None
    assert "does not fit" in advice.sentence and "P = 60, K = 8 (cost 720)" in advice.sentence
    assert advice.gain.mean == pytest.approx(0.3 - 3 / 60 + 3 / 480, abs=0.01)
    poor = recommend(fit, 100, Costs(4.0, 1.0))
    assert poor.k is None and poor.basis == "none" and "nothing to recommend" in poor.sentence
    with pytest.raises(ValueError, match="cannot pay"):
        recommend(fit, 4, Costs(4.0, 1.0))


def shifted(by: float, noise: float) -> list[Point]:
    """Points that follow the law except that (60, 8) measures `by` lower."""
    generator = np.random.default_rng(0)
    points = [
        Point(P, K, 1 + 30 / P + 2700 / (P * K) + generator.normal(0, noise), seed)
        for P, K in GRID
        for seed in range(3)
    ]
    return [
        p._replace(value=p.value - by) if (p.prompts, p.responses) == (60, 8) else p for p in points
    ]


def test_disagreement_with_measurement_is_said() -> None:
    clash = recommend(fit_law(shifted(0.8, 1e-3), 0), 2400, Costs(4.0, 1.0))
    assert clash.basis == "law" and clash.agrees is False
    assert "Measurement disagrees" in clash.sentence and "P = 60, K = 8" in clash.sentence
    same = recommend(fit_law(shifted(0.0, 1e-3), 0), 2400, Costs(4.0, 1.0))
    assert same.agrees is True and "one with K = 1 lowest" in same.sentence
    noisy = recommend(fit_law(shifted(0.45, 0.15), 0), 2400, Costs(4.0, 1.0))
    assert noisy.agrees is True and "within seed noise" in noisy.sentence
    single = [p for p in shifted(0.8, 1e-3) if p.seed == 0]
    unknown = recommend(fit_law(single, 0), 2400, Costs(4.0, 1.0))
    assert unknown.agrees is None and "one seed per cell" in unknown.sentence


def test_a_k_beyond_the_largest_measured_is_said_to_be_one() -> None:
    advice = recommend(fit_law(measured(V_x=0.3, V_yx=270, noise=1e-4), 0), 2400, Costs(4.0, 1.0))
    assert advice.k == 8 and advice.k_low > 8  # the largest of GRID; sqrt(900 * 4) = 60
    assert advice.sentence.split(". ")[0].endswith("keep K = 8 with P = 200 (interval of the law's K: 59 to 60)")  # fmt: skip
    assert "K = 8 is the largest measured; the law puts its own optimum beyond, at K = 60" in advice.sentence  # fmt: skip


def test_priced_compute_moves_k_as_a_search_over_all_k_says() -> None:
    costs = Costs(4.0, 1.0, verify=0.5, compute_prompt=1500.0, compute_response=100.0)
    assert costs.total(10, 3) == pytest.approx(10 * (4 + 3 * 1.5) + 500 + 100)
    assert costs.prompts_for(costs.total(10, 3), 3) == pytest.approx(10)

    def variance(k: int) -> float:
        prompts = (2400 - 1500 / k - 100) / (4 + k * 1.5)
        return (3 + 27 / k) / prompts

    found = best_k(3.0, 27.0, 2400, costs)
    assert found == min(range(1, 200), key=variance)
    assert found > best_k(3.0, 27.0, 2400, Costs(4.0, 1.0, verify=0.5))  # sharing prompts pays
    free = Costs(4.0, 0.0, compute_prompt=1.0)
    assert best_k(3.0, 27.0, 2400, free) is None


def test_costs_of_computing_are_those_of_the_runs() -> None:
    rows = [{"status": "finished", "K": k, "train_core_s": 120 / k + 30} for k in (1, 2, 4)]
    costs = measured_costs([*rows, {"status": "failed", "K": 9}], 4, 1, core_hour=36, verify_core_s=2)  # fmt: skip
    assert (costs.compute_prompt, costs.compute_response, costs.verify) == pytest.approx((1.2, 0.3, 0.02))  # fmt: skip
    assert measured_costs(rows, 4, 1, core_hour=0) == Costs(4, 1)
    backwards = [{**row, "train_core_s": 30 - 4 / row["K"]} for row in rows]
    assert measured_costs(backwards, 4, 1, 36).compute_prompt == 0
    through = [{**row, "train_core_s": 120 / row["K"] - 10} for row in rows]
    assert measured_costs(through, 4, 1, 36).compute_response == 0


def test_a_twentieth_of_all_differences_is_no_trifle():
    """The laptop sweep as measured: twice the NLL at the same P x K, which the law explains by nothing."""
    cells = [
        (480, 1, 5.79), (240, 2, 6.878), (160, 3, 6.977), (80, 6, 10.168),
        (240, 1, 25.764), (120, 2, 22.482), (80, 3, 20.612), (40, 6, 23.332),
    ]  # fmt: skip
    fit = fit_law([(p, k, value, 0) for p, k, value in cells], seed=0)
    assert not fit.fits
    assert "only 1% of those between cells of the same P x K" in fit.reason
