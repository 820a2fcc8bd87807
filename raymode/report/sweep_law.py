"""The figure of the variance law beside the measured cells: its two parts, and predicted against measured."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raymode.report.compare_figures import GREY
from raymode.report.drawing import Drawing
from raymode.report.plots import COLOURS, MARKERS, STYLE, settle
from raymode.sweep.law import LawFit, Point

Row = dict[str, Any]


def law_drawing(fit: LawFit, points: Sequence[Point], name: str) -> Drawing:
    """Return the variance-budget plane and the cells predicted against measured.

    points: the runs that the law was fitted to, a dot each.
    """
    rows = _rows(fit, points)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw(left, rows, "from_prompts", ("from_responses",))
        left.set_xlabel("from prompts, V_x/P (nats)")
        left.set_ylabel("from responses, V_(y|x)/(P·K) (nats)")
        _draw(right, rows, "predicted", ("measured", "mean"))
        right.set_xlabel("held-out NLL, predicted (nats per response)")
        right.set_ylabel("held-out NLL, measured (nats per response)")
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4)
        settle(figure)
    fits = "fits" if fit.fits else f"does not fit: {fit.reason}"
    words = (
        f"The law {fits}. Left: what it says is left to gain by more prompts, across, and by more responses of the same prompts,"
        " up; on the line both are equal. Right: small dots are runs, large markers means over seeds, and on the line prediction"
        f" is measurement. A label is P × K. n = {len(fit.cells)} cells, {len(points)} runs."
    )
    return Drawing(name, "The law and the measured cells", words, figure, rows)


def _rows(fit: LawFit, points: Sequence[Point]) -> list[Row]:
    means = {(cell.prompts, cell.responses): cell.value for cell in fit.cells}
    return [
        {
            "P": P,
            "K": K,
            "seed": seed,
            "from_prompts": fit.V_x.mean / P,
            "from_responses": fit.V_yx.mean / (P * K),
            "predicted": fit.predict(P, K),
            "measured": value,
            "mean": means[P, K],
        }
        for P, K, value, seed in points
    ]


def _draw(axes: Axes, rows: Sequence[Row], across: str, up: Sequence[str]) -> None:
    """Draw `up` against `across`: the last of `up` as large markers with a label, the one before it as dots."""
    ks = sorted({row["K"] for row in rows})
    for place, K in enumerate(ks):
        own = [row for row in rows if row["K"] == K]
        style: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[place % len(MARKERS)],
            "linestyle": "none",
        }
        if len(up) > 1:
            dots = [row[up[0]] for row in own]
            axes.plot([row[across] for row in own], dots, **style, markersize=3.5, alpha=0.5)
        cells = {(row["P"], K): (row[across], row[up[-1]]) for row in own}
        xs, ys = zip(*cells.values(), strict=True)
        axes.plot(xs, ys, **style, markersize=7, label=f"K = {K}")
        for (prompts, _), at in cells.items():
            axes.annotate(
                f"{prompts}×{K}",
                at,
                xytext=(4, -3),
                textcoords="offset points",
                fontsize=7,
                rotation=-45,
                va="top",
            )
    values = np.array([[row[across], row[name]] for row in rows for name in up])
    # In the plane of parts the line starts where nothing is left to gain.
    low = 0.0 if len(up) == 1 else float(values.min())
    high = float(values.max())
    if math.isclose(low, high):
        high = low + 1.0
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=(0, (4, 2)))
