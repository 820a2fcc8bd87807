"""Which figures a sweep has, by its design."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from raymode.config import Config
from raymode.report.drawing import Drawing
from raymode.report.plots import budget_figure, foot
from raymode.report.sweep_cells import CellRuns, Row, others
from raymode.report.sweep_curves import curve_drawings
from raymode.report.sweep_figures import costs_drawing, front_drawing, panels_drawing
from raymode.report.sweep_law import law_drawing
from raymode.sweep.law import LawFit, law_points
from raymode.sweep.recommend import Recommendation


class Law(NamedTuple):
    """The law of the cells that share their settings of `sweep.space` (`more`, empty without), where one finished."""

    more: str
    rows: Sequence[dict[str, Any]]
    fit: LawFit | None
    advice: Recommendation | None


def drawings_of(
    config: Config, cells: Sequence[CellRuns], rows: Sequence[Row], laws: Sequence[Law]
) -> dict[str, list[Drawing]]:
    """Return the figures under the headings of the page, those without anything to show left out."""
    if not cells:
        return {}
    design = config.sweep.design
    own = {
        "budget": lambda: _budget(config, laws),
        "lambda": lambda: {"Along λ": _lambda(cells, rows)},
        "conditions": lambda: {"Order and collisions": _conditions(cells, rows)},
        "selection": lambda: {"Along K": _along(cells, rows, "selection", "Selection along K")},
        "plain": lambda: {"Cell by cell": _named(cells, rows)},
    }[design]()
    groups: dict[str, list[Drawing | None]] = {
        **own,
        "Validity and diversity": [front_drawing(cells, rows)],
        "Model and data at equal n": [*curve_drawings(config, cells)],
        "Cost": [costs_drawing(cells)],
    }
    kept = {name: [each for each in group if each] for name, group in groups.items()}
    return {name: group for name, group in kept.items() if group}


def by_setting(config: Config, rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the rows by their settings of `sweep.space`: the law may not mix them."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(others(config, row), []).append(row)
    return found


def _budget(config: Config, laws: Sequence[Law]) -> dict[str, list[Drawing | None]]:
    """Return the cells of every setting of `sweep.space`, and the law beside them."""
    cells: list[Drawing | None] = []
    beside: list[Drawing | None] = []
    for number, law in enumerate(laws, start=1):
        ending = f"-{number}" if len(laws) > 1 else ""
        title = f"Cells of the sweep{f' with {law.more}' if law.more else ''}"
        finished = [row for row in law.rows if row["status"] == "finished"]
        if not finished:
            continue
        words = (
            f"Every cell: {config.train.steps} updates of {config.train.responses_per_step} responses. Left: held-out NLL against K,"
            " one line per budget B = P·K, the fitted law dashed. Right: correctness and diversity of sampled completions;"
            f" {foot(law.rows, finished)}"
        )
        figure = budget_figure(law.rows, law.fit, law.advice)
        cells.append(Drawing(f"budget{ending}", title, words, figure, law.rows))
        if law.fit is not None:
            beside.append(law_drawing(law.fit, law_points(law.rows), f"law{ending}"))
    return {"Prompts or responses": cells, "What the law says": beside}


def _lambda(cells: Sequence[CellRuns], rows: Sequence[Row]) -> list[Drawing | None]:
    """Return a path per loss: λ has another unit in each, so they only share an axis of numbers."""
    title = "Along λ, validity beside diversity"
    label = "λ, each loss's own setting (log scale)"
    made = panels_drawing("lambda", title, cells, rows, label, "log")
    if made is None:
        return [None]
    words = (
        "A line per loss; NLL, which has no λ, is the dashed line across, its runs on the left. λ is each loss's own setting"
        f" (docs/losses.md), so compare along a line, and lines only by where they lead. {made.description}"
    )
    return [made._replace(description=words)]


def _conditions(cells: Sequence[CellRuns], rows: Sequence[Row]) -> list[Drawing | None]:
    """Return order x loss, and NLL along the collision rate, of which shuffled is 0 and grouped 1."""
    orders = [cell for cell in cells if isinstance(cell.x, str)]
    ends = {"shuffled": 0.0, "grouped": 1.0}
    rates = [
        CellRuns(cell.name, cell.line, ends.get(str(cell.x), cell.x), cell.rows)
        for cell in cells
        if cell.rows[0]["loss"] == "nll"
    ]
    found = [
        panels_drawing("conditions", "Order and loss", orders, rows, "order of training", "names")
    ]
    if len(rates) > 2:
        title = "Along the collision rate (shuffled is 0, grouped 1)"
        label = "share of an update's responses in whole groups"
        found.append(panels_drawing("collisions", title, rates, rows, label, "linear"))
    return found


def _along(
    cells: Sequence[CellRuns], rows: Sequence[Row], name: str, title: str
) -> list[Drawing | None]:
    label = "K, responses kept per prompt (log scale)"
    return [panels_drawing(name, title, cells, rows, label, "log2")]


def _named(cells: Sequence[CellRuns], rows: Sequence[Row]) -> list[Drawing | None]:
    return [panels_drawing("cells", "Cell by cell", cells, rows, "settings", "names")]
