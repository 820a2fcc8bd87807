"""Figures of any sweep: metrics along a setting, validity against diversity with its front, what cells cost.

Every seed is a dot and the mean over seeds a line or a large marker. Markers and dashes serve in grey.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raymode.report.compare_figures import DASHES, GREY, PLANE, axis_text
from raymode.report.compare_stats import LEAST_PROBLEMS
from raymode.report.drawing import Drawing
from raymode.report.plots import COLOURS, MARKERS, PANELS, STYLE, dot, foot, number, settle
from raymode.report.sweep_cells import CellRuns, Row

# Validity above, and beside it diversity.
METRICS = (*PANELS[:2], ("heldout_nll", "held-out NLL\n(nats per response)", None), PANELS[2])
STAGES = ("train", "sample", "score")
HATCHES = ("", "////", "....")
MOST_BARS = 60  # a longer list of cells is a table, not a figure
NAN = float("nan")
LEFT_OUT = (
    f"Values on fewer than {LEAST_PROBLEMS} problems are left out; every value's n is in the data."
)


def shown(row: Row, name: str) -> float:
    """Return a run's metric, NaN where it stands on too few problems."""
    return NAN if number(row, f"{name}_n") < LEAST_PROBLEMS else number(row, name)


def mean(cell: CellRuns, name: str) -> float:
    """Return a metric's mean over the seeds that have it, NaN where none has."""
    found = [value for row in cell.rows if math.isfinite(value := shown(row, name))]
    return float(np.mean(found)) if found else NAN


def panels_drawing(
    name: str, title: str, cells: Sequence[CellRuns], rows: Sequence[Row], x_label: str, scale: str
) -> Drawing | None:
    """Return pass@1, clusters, held-out NLL and R along a setting, a line per `CellRuns.line`; None without a value.

    scale: log2, log or linear for numbers, names for places without an order. rows: also those that failed.
    """
    there = [each for each in METRICS if any(math.isfinite(mean(cell, each[0])) for cell in cells)]
    if not there:
        return None
    names = list(dict.fromkeys(str(cell.x) for cell in cells)) if scale == "names" else []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.6 * math.ceil(len(there) / 2) + 0.5), layout="constrained")
        for number_, (metric, label, line) in enumerate(there):
            axes = figure.add_subplot(math.ceil(len(there) / 2), 2, number_ + 1)
            _draw_lines(axes, cells, metric, names)
            axes.set_ylabel(label)
            if line is not None:
                axes.axhline(line, color=GREY, linewidth=1, linestyle=(0, (1, 1)))
            _scale(axes, cells, scale, names)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)))
        figure.supxlabel(x_label, fontsize=9)
        settle(figure)
    words = f"{_stands_on(cells, rows)} {LEFT_OUT}"
    return Drawing(name, title, words, figure, run_rows(cells))


def front(cells: Sequence[CellRuns]) -> list[CellRuns]:
    """Return the cells that no other beats in both pass@1 and rarefied clusters, means over seeds."""
    values = [(mean(cell, "pass_at_1"), mean(cell, "clusters_rarefied")) for cell in cells]
    return [
        cell
        for cell, own in zip(cells, values, strict=True)
        if all(map(math.isfinite, own))
        and not any(a >= own[0] and b >= own[1] and (a, b) != own for a, b in values)
    ]


def front_drawing(cells: Sequence[CellRuns], rows: Sequence[Row]) -> Drawing | None:
    """Return validity against clusters and against R, the cells of the front ringed; None without a value."""
    there = [each for each in PLANE if any(math.isfinite(mean(cell, each[0])) for cell in cells)]
    if not there:
        return None
    best = front(cells)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        for place, (metric, label, _) in enumerate(there):
            axes = figure.add_subplot(1, len(there), place + 1)
            _draw_plane(axes, cells, best, metric)
            axes.set_xlabel("pass@1 (probability)")
            axes.set_ylabel(label)
            if metric.startswith("calibration_ratio"):
                axes.axhline(1.0, color=GREY, linewidth=1, linestyle=(0, (1, 1)))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        settle(figure)
    words = (
        "A small dot per run, a large marker at a cell's mean over seeds, one shape per line of the figure above. Ringed:"
        " the front, cells that no other beats in both pass@1 and clusters, by their means alone, so chance moves it:"
        f" {'; '.join(cell.name for cell in best) or 'none'}. More clusters and a lower R are more varied; R = 1 is as varied"
        f" as the data. {_stands_on(cells, rows)} {LEFT_OUT}"
    )
    named = {id(cell) for cell in best}
    data = [{**row, "on_front": id(cell) in named} for cell in cells for row in run_rows([cell])]
    return Drawing("front", "Validity against diversity", words, figure, data)


def costs_drawing(cells: Sequence[CellRuns]) -> Drawing | None:
    """Return the core-hours of every cell per stage, mean over seeds; None for no cell, or too many for a figure."""
    if not 0 < len(cells) <= MOST_BARS:
        return None
    rows = [cost_row(cell) for cell in cells]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 1.2 + 0.24 * len(cells)), layout="constrained")
        axes = figure.add_subplot()
        start = np.zeros(len(cells))
        places = np.arange(len(cells))
        for number_, stage in enumerate(STAGES):
            width = np.array([row[f"{stage}_core_h"] for row in rows])
            axes.barh(
                places, width, left=start, color=COLOURS[number_], hatch=HATCHES[number_],
                edgecolor="white", linewidth=0.3, label=stage,
            )  # fmt: skip
            start += width
        for place, cell in enumerate(cells):
            spent = [sum(_core_hours(row)) for row in cell.rows]
            axes.plot(spent, [place] * len(spent), "k|", markersize=7)
        axes.set_yticks(places, [axis_text(cell.name) for cell in cells])
        axes.invert_yaxis()
        axes.set_xlabel("core-hours of a run")
        figure.legend(loc="outside upper center", ncols=3)
        settle(figure)
    words = (
        "Bars are means over a cell's seeds, ticks the runs. Core-hours are the cores a stage held times its wall time."
        f" n = {len(_runs(cells))} finished runs."
    )
    return Drawing("costs", "What the cells cost", words, figure, rows)


def cost_row(cell: CellRuns) -> dict[str, Any]:
    """Return a cell's core-hours per stage, means over its runs, and how many these are."""
    hours = np.mean([_core_hours(row) for row in cell.rows], axis=0).tolist()
    each = {f"{stage}_core_h": value for stage, value in zip(STAGES, hours, strict=True)}
    return {"cell": cell.name, "runs": len(cell.rows), **each, "core_h": sum(hours)}


def run_rows(cells: Sequence[CellRuns]) -> list[dict[str, Any]]:
    """Return a row per run with what the figures show: its cell, seed, metrics, their intervals and n."""
    ends = ("", "_ci_low", "_ci_high", "_n")
    return [
        {
            "cell": cell.name,
            "line": cell.line,
            "x": cell.x,
            **{name: row.get(name) for name in ("run_id", "P", "K", "loss", "seed")},
            **{f"{name}{end}": row.get(f"{name}{end}") for name, *_ in METRICS for end in ends},
        }
        for cell in cells
        for row in cell.rows
    ]


def _core_hours(row: Row) -> list[float]:
    return [number(row, f"{stage}_core_s") / 3600 for stage in STAGES]


def _runs(cells: Sequence[CellRuns]) -> list[Row]:
    return [row for cell in cells for row in cell.rows]


def _stands_on(cells: Sequence[CellRuns], rows: Sequence[Row]) -> str:
    """Return what a figure of `cells` stands on; of `rows` only those count as left out that did not finish."""
    own = _runs(cells)
    return foot([*own, *(row for row in rows if row["status"] != "finished")], own)


def _lines(cells: Sequence[CellRuns]) -> dict[str, list[CellRuns]]:
    found: dict[str, list[CellRuns]] = {}
    for cell in cells:
        found.setdefault(cell.line, []).append(cell)
    return found


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


def _draw_lines(axes: Axes, cells: Sequence[CellRuns], metric: str, names: Sequence[str]) -> None:
    lines = _lines(cells)
    numbers = [cell.x for cell in cells if isinstance(cell.x, float)]
    for place, (line, members) in enumerate(lines.items()):
        style = _style(place)
        points: list[tuple[float, float]] = []
        for cell in members:
            middle = mean(cell, metric)
            if not math.isfinite(middle):
                continue
            x = _x(cell, names, numbers)
            if names:  # lines beside each other, not over
                x += 0.12 * (place - (len(lines) - 1) / 2)
            for row in cell.rows:
                if math.isfinite(shown(row, metric)):
                    dot(axes, x, row, metric, style)
            points.append((x, middle))
            if cell.x is None:  # one value for every place: a line across
                axes.axhline(middle, color=style["color"], linewidth=1.2, linestyle=(0, (6, 2)))
        points.sort()
        axes.plot(
            [x for x, _ in points], [y for _, y in points], **style, markersize=6,
            linestyle="none" if names else DASHES[place % len(DASHES)], linewidth=1.5, label=axis_text(line),
        )  # fmt: skip


def _x(cell: CellRuns, names: Sequence[str], numbers: Sequence[float]) -> float:
    if names:
        return float(names.index(str(cell.x)))
    if isinstance(cell.x, float):
        return cell.x
    positive = [value for value in numbers if value > 0]
    return min(positive) / 2 if positive else 0.0  # left of all others


def _scale(axes: Axes, cells: Sequence[CellRuns], scale: str, names: Sequence[str]) -> None:
    if names:
        axes.set_xticks(range(len(names)), [axis_text(name) for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
        if len(names) > 4:
            axes.tick_params(axis="x", labelrotation=30)
        return
    ticks = sorted({cell.x for cell in cells if isinstance(cell.x, float)})
    if scale == "log2":
        axes.set_xscale("log", base=2)
    elif scale == "log" and ticks:
        _log_scale(axes, ticks)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _log_scale(axes: Axes, ticks: Sequence[float]) -> None:
    """Make the x axis logarithmic, linear below the least value above 0 where 0 is one, with room on the left for NLL."""
    least = min((tick for tick in ticks if tick > 0), default=1.0)
    if ticks[0] > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=least / 2)
    axes.set_xlim(least / 3 if ticks[0] > 0 else -least / 4, ticks[-1] * 1.5 or 1.0)


def _draw_plane(
    axes: Axes, cells: Sequence[CellRuns], best: Sequence[CellRuns], metric: str
) -> None:
    for place, (line, members) in enumerate(_lines(cells).items()):
        style = _style(place)
        for cell in members:
            for row in cell.rows:
                axes.plot(
                    shown(row, "pass_at_1"), shown(row, metric), **style, markersize=3.5, alpha=0.5
                )
        xs, ys = ([mean(cell, name) for cell in members] for name in ("pass_at_1", metric))
        axes.plot(xs, ys, **style, markersize=7, linestyle="none", label=axis_text(line))
        for cell, x, y in zip(members, xs, ys, strict=True):
            ring: Mapping[str, Any] = {"markersize": 13, "markerfacecolor": "none"}
            if any(cell is each for each in best):
                axes.plot(x, y, marker="o", markeredgecolor="black", linestyle="none", **ring)
            if cell.x is not None and math.isfinite(y):
                label = f"{cell.x:g}" if isinstance(cell.x, float) else axis_text(cell.x)
                axes.annotate(label, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=7)
