"""Fits the variance law to the measured cells of a sweep, and judges the fit.

y(P, K) = a + V_x/P + V_{y|x}/(P K): `a` is what no amount of data removes (the irreducible part),
the other two are the excess that prompts and responses remove. The coefficients absorb how training
turns sampling variance into loss, so they are in units of y, not of a loss variance.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raymode.measure.stats import Interval
from raymode.sweep.budget import predicted_variance, student_quantile

Floats = NDArray[np.float64]
NAN = float("nan")
LEAST_R_SQUARED = 0.8
# Most of a good fit may be the budget alone, but K is decided at equal P x K: where the differences there
# are more than a trifle of all, the law must explain half of them.
LEAST_WITHIN = 0.5
TRIFLE = 0.01
MOST_CHANCE = 0.05
# Free intercept, each variance in or out: the bounded optimum is the best feasible one of these.
SUPPORTS = ((0,), (0, 1), (0, 2), (0, 1, 2))


class Point(NamedTuple):
    """One run: P prompts, K responses each, the measured value, and the seed."""

    prompts: int
    responses: int
    value: float
    seed: int = 0


class Cell(NamedTuple):
    """The runs of one (P, K): mean, number of seeds, deviation over seeds (NaN for one)."""

    prompts: int
    responses: int
    value: float
    seeds: int
    spread: float


@dataclass(frozen=True)
class LawFit:
    """The fitted law; `n` of the intervals is the number of cells, `fits` the judgement."""

    irreducible: Interval
    V_x: Interval
    V_yx: Interval
    r_squared: float  # over cell means; NaN when all are equal
    cells: tuple[Cell, ...]
    residuals: tuple[float, ...]  # measured minus fitted, per cell
    fits: bool
    reason: str  # why, in a plain sentence
    draws: Floats = field(repr=False, compare=False)  # (resamples, 3): a, V_x, V_{y|x}

    def predict(self, prompts: float, responses: float) -> float:
        """Return a + V_x/P + V_{y|x}/(P K), in units of the fitted value."""
        excess = predicted_variance(self.V_x.mean, self.V_yx.mean, prompts, responses)
        return self.irreducible.mean + excess


def law_points(
    rows: Iterable[Mapping[str, Any]], metric: str = "heldout_nll", loss: str = "nll"
) -> list[Point]:
    """Return the points of the `runs` rows that finished with this loss and a finite `metric`."""
    points: list[Point] = []
    for row in rows:
        value = row.get(metric)
        if row.get("status") != "finished" or row.get("loss") != loss:
            continue
        if isinstance(value, Real) and math.isfinite(value):
            points.append(Point(int(row["P"]), int(row["K"]), float(value), int(row["seed"])))
    return points


def fit_law(
    points: Sequence[Point | tuple[int, int, float] | tuple[int, int, float, int]],
    seed: int,
    level: float = 0.95,
    draws: int = 2000,
) -> LawFit:
    """Fit y = a + V_x/P + V_{y|x}/(P K) with V_x, V_{y|x} >= 0 to measured (P, K, y[, seed]).

    Least squares over cell means, weighted by seeds; exact, as every support is solved.
    Intervals: bootstrap of the cells' residuals, scaled up for leverage and few cells; rough with
    fewer than 8 cells, NaN with three or fewer.

    `fits` is true when at least 4 cells with 2 different P make the three coefficients separable,
    R^2 >= 0.8, and a flat line would give that R^2 with probability below 5 % (F test with
    2 and m - 3 degrees of freedom, (1 - R^2)^((m-3)/2)), and half of the differences between cells
    of equal P x K are explained, unless they are a trifle. Otherwise `reason` says what failed.

    Raises ValueError for no points, P or K below 1, or a value that is not finite.
    """
    named = [Point(*point) for point in points]
    if not named or any(p.prompts < 1 or p.responses < 1 for p in named):
        raise ValueError("the law needs at least one point, and P and K of at least 1 in each")
    if not all(math.isfinite(p.value) for p in named):
        raise ValueError("a measured value is not finite; leave failed runs out")
    cells = _cells(named)
    prompts = np.array([cell.prompts for cell in cells], dtype=np.float64)
    pairs = prompts * np.array([cell.responses for cell in cells])
    X = np.stack([np.ones_like(prompts), 1.0 / prompts, 1.0 / pairs], axis=1)
    y = np.array([cell.value for cell in cells])
    root = np.sqrt(np.array([cell.seeds for cell in cells], dtype=np.float64))
    coefficients = _solve(X * root[:, None], (y * root)[None])[0]
    residuals = y - X @ coefficients
    resampled = _residual_bootstrap(X, root, coefficients, residuals, seed, level, draws)
    r_squared = _r_squared(y, X @ coefficients, root)
    reason = _why_not(cells, X, y, root, r_squared)
    irreducible, v_x, v_yx = (
        _interval(c, resampled[:, i], level, len(cells)) for i, c in enumerate(coefficients)
    )
    return LawFit(
        irreducible,
        v_x,
        v_yx,
        r_squared,
        cells,
        tuple(residuals.tolist()),
        fits=not reason,
        reason=reason or _why(cells, r_squared),
        draws=resampled,
    )


def _cells(points: Sequence[Point]) -> tuple[Cell, ...]:
    values: dict[tuple[int, int], list[float]] = defaultdict(list)
    for point in points:
        values[point.prompts, point.responses].append(point.value)
    return tuple(
        Cell(P, K, float(np.mean(v)), len(v), float(np.std(v, ddof=1)) if len(v) > 1 else NAN)
        for (P, K), v in sorted(values.items())
    )


def _solve(X: Floats, Y: Floats) -> Floats:
    """Return the bounded least-squares coefficients for every row of Y (B, m): shape (B, 3)."""
    best = np.zeros((len(Y), X.shape[1]))
    least = np.full(len(Y), np.inf)
    for support in SUPPORTS:
        columns = X[:, support]
        solution = Y @ np.linalg.pinv(columns).T
        squares = ((Y - solution @ columns.T) ** 2).sum(axis=1)
        # A larger support must be better by more than rounding, so that ties stay simple.
        better = (solution[:, 1:] >= 0).all(axis=1) & (squares < least - 1e-12 * (1 + squares))
        best[better] = 0.0
        best[np.ix_(better, support)] = solution[better]
        least[better] = squares[better]
    return best


def _residual_bootstrap(
    X: Floats,
    root: Floats,
    coefficients: Floats,
    residuals: Floats,
    seed: int,
    level: float,
    draws: int,
) -> Floats:
    """Return coefficients refitted to fitted values plus resampled residuals, (draws, 3).

    Residuals are scaled up for the leverage of their cell, and by t/z because so few of them
    estimate the noise: with 8 cells the intervals then cover 91-96 % instead of 85-90 %.
    """
    m, unknowns = X.shape
    weighted = X * root[:, None]
    active = weighted[:, [True, *(coefficients[1:] > 0)]]
    leverage = np.clip(np.diag(active @ np.linalg.pinv(active)), 0.0, 0.99)
    scaled = residuals * root / np.sqrt(1.0 - leverage)
    student = student_quantile(level, max(1, m - unknowns))
    scaled = (scaled - scaled.mean()) * student / NormalDist().inv_cdf((1 + level) / 2)
    picks = np.random.default_rng(seed).integers(0, m, (draws, m))
    return _solve(weighted, weighted @ coefficients + scaled[picks])


def _interval(value: float, draws: Floats, level: float, cells: int) -> Interval:
    if cells <= len(SUPPORTS[-1]):
        return Interval(float(value), NAN, NAN, cells)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), cells)


def _r_squared(y: Floats, fitted: Floats, root: Floats) -> float:
    centre = np.average(y, weights=root**2)
    total = float((((y - centre) * root) ** 2).sum())
    if total <= 1e-18 * max(1.0, float((y**2).sum())):
        return NAN
    return 1.0 - float((((y - fitted) * root) ** 2).sum()) / total


def _why_not(cells: Sequence[Cell], X: Floats, y: Floats, root: Floats, r_squared: float) -> str:
    """Return the plain reason why the law cannot be said to fit, or an empty string."""
    m = len(cells)
    if m < 4:
        return f"only {m} different cells were measured; three unknowns need at least 4"
    if len({cell.prompts for cell in cells}) < 2:
        return "every cell has the same P, so V_x cannot be told from the irreducible part"
    if np.linalg.matrix_rank(X / np.linalg.norm(X, axis=0), tol=1e-6) < 3:
        return (
            "the cells cannot separate the three parts (for example all have the same P x K); "
            "measure a second budget"
        )
    if math.isnan(r_squared):
        return "every cell measured the same value, so there is nothing to explain"
    unbounded: Floats = np.linalg.pinv(X * root[:, None]) @ (y * root)
    gap = _r_squared(y, X @ unbounded, root) - r_squared
    if gap > 1.0 - LEAST_R_SQUARED:
        return _forbidden(unbounded, r_squared)
    within = _r_squared_within(cells, y, X @ _solve(X * root[:, None], (y * root)[None])[0])
    if r_squared >= LEAST_R_SQUARED and within < LEAST_WITHIN:
        return (
            f"it explains {r_squared:.0%} of the differences between {m} cells, but only "
            f"{max(0.0, within):.0%} of those between cells of the same P x K, and these decide K"
        )
    if r_squared < LEAST_R_SQUARED:
        return (
            f"it explains {r_squared:.0%} of the differences between {m} cells, "
            f"less than {LEAST_R_SQUARED:.0%}"
        )
    chance = (1.0 - r_squared) ** ((m - 3) / 2)
    if chance >= MOST_CHANCE:
        return f"with {m} cells an R² of {r_squared:.2f} arises by chance {chance:.0%} of the time"
    return ""


def _r_squared_within(cells: Sequence[Cell], y: Floats, fitted: Floats) -> float:
    """Return the share of the differences among cells of equal P x K that the law explains.

    1 where these are a trifle of all differences, or no budget has three cells: two show no shape.
    """
    budgets: dict[int, list[int]] = defaultdict(list)
    for place, cell in enumerate(cells):
        budgets[cell.prompts * cell.responses].append(place)
    lines = [places for places in budgets.values() if len(places) >= 3]
    total, rest = (sum(_squares(values[places]) for places in lines) for values in (y, y - fitted))
    return 1.0 - rest / total if total > TRIFLE * _squares(y) else 1.0


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _forbidden(unbounded: Floats, r_squared: float) -> str:
    if unbounded[1] < 0:
        what = "fewer prompts with more responses each give a lower value at the same P x K"
    else:
        what = "more responses per prompt give a higher value at the same P"
    share = max(0.0, r_squared)
    return f"{what}, which the law forbids; it explains {share:.0%} of the differences"


def _why(cells: Sequence[Cell], r_squared: float) -> str:
    return f"it explains {r_squared:.0%} of the differences between {len(cells)} cells"
