"""Which cell of a sweep to keep, where no law says it: paired differences from the first cell, and one sentence.

A cell is kept in place of the first one only if it is shown to be more often right, or more varied, and is not shown
to be worse in the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from raymode.measure.paired import Difference, Scores, differences
from raymode.measure.stats import Interval
from raymode.measure.table import rows_of_first_decoding
from raymode.report.compare_figures import signed
from raymode.report.compare_stats import LEAST_PROBLEMS, NAN
from raymode.report.sweep_cells import CellRuns, Row
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.sweep.rows import MAIN_SPLITS

VALIDITY, VARIETY, CLUSTERS = "pass_at_1", "calibration_ratio_set", "clusters_rarefied"
COMPARED = (VALIDITY, CLUSTERS, VARIETY)
NEEDED = (VALIDITY, CLUSTERS, "collision_model", "collision_set")  # R is the ratio of the last two


class Choice(NamedTuple):
    """The decision in a sentence, what to know about it, and the differences it stands on, a row per cell."""

    sentence: str
    caution: str
    rows: Sequence[Row]


def choose(store: Store, cells: Sequence[CellRuns], seed: int) -> Choice:
    """Compare every cell with the first and say which to keep; `store` is the sweep's run directory."""
    baseline, *rest = cells
    if not rest:
        return Choice(f"Only {baseline.name} finished, so there is nothing to choose.", "", ())
    base = _scores(store, baseline)
    found = [(cell, _differences(base, _scores(store, cell), seed)) for cell in rest]
    better = [each for each in found if _is_better(each[1])]
    caution = _caution(cells, len(rest))
    rows = [_row(baseline, cell, difference) for cell, difference in found]
    if not better:
        words = (
            f"Keep {baseline.name}: no other cell is shown to be more often right or more varied without losing in the"
            f" other (compared with {len(rest)}, {_problems(found)} problems)."
        )
        return Choice(words, caution, rows)
    cell, best = max(better, key=lambda each: _rank(each[1]))
    told = "; ".join(_told(name, best[name]) for name in COMPARED if name in best)
    shown = " and ".join(_gains(best))
    words = f"Keep {cell.name}: against {baseline.name} it is {shown} ({told})."
    if len(better) > 1:
        words += (
            f" Of {len(better)} cells that gain in one without losing in the other it was chosen for gaining in most, then"
            " for pass@1."
        )
    return Choice(words, caution, rows)


def _scores(store: Store, cell: CellRuns) -> dict[str, dict[str, float]]:
    """Return the metrics of every problem, means over the cell's seeds; NaN where no seed has one."""
    per_problem: dict[str, list[Row]] = {}
    for run in cell.rows:
        scores = rows_of_first_decoding(store.rows(f"runs/{run['run_id']}/scores.parquet"))
        for row in scores:
            if row["split"] in MAIN_SPLITS:
                per_problem.setdefault(row["problem_id"], []).append(row)
    return {
        problem: {name: _mean([row.get(name) for row in rows]) for name in NEEDED}
        for problem, rows in per_problem.items()
    }


def _mean(values: Sequence[Any]) -> float:
    there = [float(value) for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(there)) if there else NAN


def _differences(base: Scores, other: Scores, seed: int) -> Mapping[str, Difference]:
    problems = [name for name in base if name in other]
    return differences(base, other, problems, COMPARED, derive_seed(seed, "choice"))


def _better(found: Mapping[str, Difference], name: str) -> int:
    """Return 1 if the metric is shown to be better than the baseline's, -1 if worse, else 0; a lower R is better."""
    change = found[name].change
    if change.n < LEAST_PROBLEMS:
        return 0
    sign = -1 if name == VARIETY else 1
    return sign * (int(change.low > 0) - int(change.high < 0))


def _is_better(found: Mapping[str, Difference]) -> bool:
    signs = [_better(found, name) for name in (VALIDITY, VARIETY)]
    return max(signs) > 0 and min(signs) >= 0


def _rank(found: Mapping[str, Difference]) -> tuple[int, float]:
    return sum(_better(found, name) for name in (VALIDITY, VARIETY)), found[VALIDITY].change.mean


def _gains(found: Mapping[str, Difference]) -> list[str]:
    words = {VALIDITY: "more often right", VARIETY: "more varied"}
    return [word for name, word in words.items() if _better(found, name) > 0]


def _told(name: str, found: Difference) -> str:
    label = {VALIDITY: "pass@1", CLUSTERS: "clusters", VARIETY: "R"}[name]
    if found.change.n < LEAST_PROBLEMS:
        return f"{label} n/a (n = {found.change.n} problems)"
    return (
        f"{label} {found.baseline:.3g} → {found.other:.3g}, difference {signed(found.change)},"
        f" n = {found.change.n} problems"
    )


def _caution(cells: Sequence[CellRuns], compared: int) -> str:
    fewest = min(len(cell.rows) for cell in cells)
    seeds = (
        "Some cells have one seed: what chance in training does is not in these intervals."
        if fewest == 1
        else f"Cells have {fewest} seeds or more, which are averaged per problem first: the intervals do not hold the spread"
        " between seeds, the dots show it."
    )
    return f"Intervals are 95 %, paired over problems and not corrected for {compared} comparisons. {seeds}"


def _problems(found: Sequence[tuple[CellRuns, Mapping[str, Difference]]]) -> str:
    counts = sorted({difference[VALIDITY].change.n for _, difference in found})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _row(baseline: CellRuns, cell: CellRuns, found: Mapping[str, Difference]) -> dict[str, Any]:
    row: dict[str, Any] = {"cell": cell.name, "against": baseline.name, "seeds": len(cell.rows)}
    for name in COMPARED:
        change: Interval = found[name].change
        enough = change.n >= LEAST_PROBLEMS
        row |= {name: signed(change) if enough else "n/a", f"{name}, n": change.n}
    return row
