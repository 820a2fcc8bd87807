"""Turns a fitted law and a budget into one decision, with its interval, in plain words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raymode.measure.stats import Interval
from raymode.sweep.budget import INFINITY, optimal_k, predicted_variance
from raymode.sweep.costs import Costs
from raymode.sweep.law import Cell, LawFit

NAN = float("nan")
ROUNDING = 1.02  # whole prompts make a cell cost a little more or less than its budget
WASTED_SHARE = 0.2


@dataclass(frozen=True)
class Recommendation:
    """How many responses per prompt to keep for `budget`, why, and how sure that is."""

    budget: float  # in units of the costs
    costs: Costs
    k: int | None  # None: nothing measured within the budget and the law does not fit
    basis: str  # "law", "measurement" or "none"
    k_low: float  # interval of the law's K; inf: as many as can be had; NaN without the law
    k_high: float
    gain: Interval  # value at K = 1 minus value at k for this budget; units of the fitted value
    gain_share: float  # gain / what the law says can be removed at K = 1; NaN without the law
    wasted_beyond: int | None  # responses hold < 20 % of the excess here; None: V_x may be 0
    best_cell: Cell | None  # lowest measured cell within the budget
    agrees: bool | None  # do law and measurement name one K, within noise; None: unknown
    sentence: str


def recommend(fit: LawFit, budget: float, costs: Costs, level: float = 0.95) -> Recommendation:
    """Return the K to keep for a budget.

    Where the law fits, K is its best whole number, but none beyond the largest measured one, and the interval comes
    from the fit's resamples. Where it does not, K is that of the lowest measured cell that the budget can pay, and the
    sentence says so. Law and measurement are compared over the cells within the budget; they differ
    when the law's best cell is not the lowest one and the gap exceeds twice its seed noise.
    Lower values are better (held-out NLL, in nats).

    Raises ValueError for a budget that cannot pay one prompt with one response.
    """
    if not (costs.total(1, 1) <= budget and costs.data(1, 1) > 0):
        raise ValueError(f"a budget of {budget} cannot pay one prompt and one response")
    payable = [c for c in fit.cells if costs.total(c.prompts, c.responses) <= budget * ROUNDING]
    best = min(payable, key=lambda c: c.value, default=None)
    if not fit.fits:
        return _from_measurement(fit, budget, costs, payable, best)
    largest = max(c.responses for c in fit.cells)
    optimum = best_k(fit.V_x.mean, fit.V_yx.mean, budget, costs)
    k = min(largest, optimum or largest)
    k_low, k_high = _k_interval(fit, budget, costs, level)
    gain = _gain(fit, budget, costs, k, level)
    at_one = _excess(fit.V_x.mean, fit.V_yx.mean, budget, costs, 1)
    wasted = _wasted_beyond(fit, k)
    agrees, comparison = _compare(fit, payable, best)
    share = gain.mean / at_one if at_one > 0 else 0.0
    words = [
        _advice(budget, costs, k, k_low, k_high),
        _reach_words(optimum, largest, costs.prompt + costs.compute_prompt),
        _gain_words(gain, share, k),
        _waste_words(wasted, k, largest),
        comparison,
    ]
    return Recommendation(
        budget,
        costs,
        k,
        "law",
        k_low,
        k_high,
        gain,
        share,
        wasted,
        best,
        agrees,
        " ".join(word for word in words if word),
    )


def best_k(V_x: float, V_yx: float, budget: float, costs: Costs) -> int | None:
    """Return the whole K with the least variance for a budget; None: every further response helps.

    Without a price for computing prompts that is `optimal_k`. With one, computing gets cheaper with K, which the
    formula has no term for, so K is searched: from 1 up to where a prompt with K responses is the whole budget.
    """
    if costs.compute_prompt == 0:
        return optimal_k(V_x, V_yx, costs.prompt, costs.per_response).whole
    least = None if costs.per_response == 0 else budget / costs.per_response
    if least is None:
        return None if V_yx > 0 else 1
    tried = np.arange(1, max(2, int(least) + 1), dtype=np.float64)
    prompts_K = (budget - costs.compute_prompt / tried - costs.compute_response) / (
        costs.prompt + tried * costs.per_response
    )
    variance_K = np.where(prompts_K >= 1, (V_x + V_yx / tried) / np.maximum(prompts_K, 1), np.inf)
    return int(tried[variance_K.argmin()])


def _excess(V_x: float, V_yx: float, budget: float, costs: Costs, k: int) -> float:
    """Return the variance that the law leaves for a budget spent with `k` responses per prompt."""
    return predicted_variance(V_x, V_yx, max(1.0, costs.prompts_for(budget, k)), k)


def _k_interval(fit: LawFit, budget: float, costs: Costs, level: float) -> tuple[float, float]:
    best = [best_k(v_x, v_yx, budget, costs) for _, v_x, v_yx in fit.draws]
    ordered = sorted(INFINITY if k is None else float(k) for k in best)
    tail = (1 - level) / 2 * (len(ordered) - 1)
    return ordered[math.floor(tail)], ordered[len(ordered) - 1 - math.floor(tail)]


def _gain(fit: LawFit, budget: float, costs: Costs, k: int, level: float) -> Interval:
    def gain(v_x: float, v_yx: float) -> float:
        one, many = (_excess(v_x, v_yx, budget, costs, n) for n in (1, k))
        return one - many

    draws = [gain(v_x, v_yx) for _, v_x, v_yx in fit.draws]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(gain(fit.V_x.mean, fit.V_yx.mean), float(low), float(high), len(fit.cells))


def _wasted_beyond(fit: LawFit, k: int) -> int | None:
    """Return the K past which responses hold under a fifth of the variance: 4 V_{y|x} / V_x.

    None when V_x may be 0: then the responses' part is never small beside the prompts'.
    """
    if not fit.V_x.low > 0:
        return None
    factor = (1 - WASTED_SHARE) / WASTED_SHARE
    return max(k, math.ceil(round(factor * fit.V_yx.mean / fit.V_x.mean, 9)))


def _compare(fit: LawFit, payable: Sequence[Cell], best: Cell | None) -> tuple[bool | None, str]:
    if best is None or len({c.responses for c in payable}) < 2:
        return None, "Too few of the measured cells cost less than this budget to check that."
    predicted = min(payable, key=lambda c: fit.predict(c.prompts, c.responses))
    if predicted.responses == best.responses:
        return True, (
            f"Among the measured cells that this budget pays for, law and measurement both put one "
            f"with K = {best.responses} lowest."
        )
    gap = predicted.value - best.value
    noise = _noise(fit.cells, predicted, best)
    clash = (
        f"Measurement disagrees: among the measured cells that this budget pays for the law "
        f"expects {_name(predicted)} to be lowest, but {_name(best)} measured {gap:.3g} nats lower"
    )
    if math.isnan(noise):
        return None, f"{clash}; with one seed per cell chance cannot be excluded."
    if gap <= 2 * noise:
        return True, (
            f"Among the measured cells that this budget pays for, {_name(best)} is lowest and the "
            f"law expects {_name(predicted)}; the gap of {gap:.3g} nats is within seed noise."
        )
    return False, f"{clash}, more than twice the seed noise of {noise:.2g}."


def _noise(cells: Sequence[Cell], a: Cell, b: Cell) -> float:
    """Return the standard error of the difference of two cells, from the spread over seeds."""
    repeated = [c for c in cells if c.seeds > 1]
    freedom = sum(c.seeds - 1 for c in repeated)
    if freedom == 0:
        return NAN
    pooled = sum(c.spread**2 * (c.seeds - 1) for c in repeated) / freedom
    return math.sqrt(pooled * (1 / a.seeds + 1 / b.seeds))


def _from_measurement(
    fit: LawFit, budget: float, costs: Costs, payable: Sequence[Cell], best: Cell | None
) -> Recommendation:
    single = min((c for c in payable if c.responses == 1), key=lambda c: c.value, default=None)
    gain = Interval(NAN, NAN, NAN, len(fit.cells))
    words = [f"The law does not fit these cells: {fit.reason}."]
    if best is None:
        words.append("No measured cell is within this budget, so there is nothing to recommend.")
    else:
        cost = costs.total(best.prompts, best.responses)
        words.append(
            f"Keep K = {best.responses}: of the measured cells that a budget of {budget:g} pays "
            f"for, {_name(best)} (cost {cost:g}) has the lowest value."
        )
    if best is not None and single is not None and best != single:
        gain = _measured_gain(fit, single, best)
        spread = "" if math.isnan(gain.low) else f" ± {(gain.high - gain.low) / 2:.2g}"
        seeds = "" if spread else " (one seed per cell: no interval)"
        words.append(
            f"The measured gain over {_name(single)} is {gain.mean:.3g}{spread} nats{seeds}."
        )
    return Recommendation(
        budget,
        costs,
        best.responses if best else None,
        "measurement" if best else "none",
        NAN,
        NAN,
        gain,
        NAN,
        None,
        best,
        None,
        " ".join(words),
    )


def _measured_gain(fit: LawFit, single: Cell, best: Cell) -> Interval:
    value, width = single.value - best.value, 2 * _noise(fit.cells, single, best)
    return Interval(value, value - width, value + width, len(fit.cells))


def _name(cell: Cell) -> str:
    return f"P = {cell.prompts}, K = {cell.responses}"


def _advice(budget: float, costs: Costs, k: int, low: float, high: float) -> str:
    prompts = math.floor(costs.prompts_for(budget, k))
    end = "as many as can be had" if math.isinf(high) else f"{high:.0f}"
    start = "as many as can be had" if math.isinf(low) else f"{low:.0f}"
    more = f", training {costs.compute(k):.3g}" if costs.compute(k) else ""
    return (
        f"For this budget ({budget:g}; a prompt costs {costs.prompt:g}, a response {costs.per_response:.4g}{more}) "
        f"keep K = {k} with P = {prompts} (interval of the law's K: {start} to {end})."
    )


def _gain_words(gain: Interval, share: float, k: int) -> str:
    if k == 1:
        return "The law sees no gain from more than one response."
    width = (gain.high - gain.low) / 2
    return (
        f"The gain over K = 1 is {gain.mean:.3g} ± {width:.2g} nats, "
        f"{share:.0%} of the excess that data can remove."
    )


def _waste_words(wasted: int | None, k: int, largest: int) -> str:
    if wasted is None:
        return "V_x cannot be told from 0, so no K can be named beyond which responses are wasted."
    measured = "" if wasted <= largest else ", by the law and beyond what was measured"
    return (
        f"Beyond K = {wasted} more responses are wasted{measured}: "
        f"they hold less than a fifth of the excess that is left."
    )


def _reach_words(optimum: int | None, largest: int, cost_prompt: float) -> str:
    if optimum is None:
        return f"K = {largest} is the largest measured; the law sets no upper end."
    if optimum > largest:
        return (
            f"K = {largest} is the largest measured; the law puts its own optimum beyond, at K = {optimum}: measure a"
            " larger K before buying so many."
        )
    if cost_prompt == 0:
        return "With prompts at no cost the law always says K = 1."
    return ""
