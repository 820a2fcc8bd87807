"""The figures of a comparison: paired dots, validity against diversity, rarefaction curves.

Runs keep their colour, marker and dash through all of them, so they are told apart in grey too.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raymode.config import SampleConfig
from raymode.measure.paired import Difference, values
from raymode.measure.problem import metric
from raymode.measure.stats import Interval
from raymode.report.compare_stats import LEAST_PROBLEMS, Arm
from raymode.report.drawing import Drawing
from raymode.report.plots import COLOURS, MARKERS, STYLE, settle

# Metric, its name with the unit on an axis.
PAIRED: tuple[tuple[str, str], ...] = (
    ("pass_at_1", "pass@1 (probability)"),
    ("clusters_rarefied", "clusters, rarefied (count)"),
    ("collision_model", "collision (probability)"),
    ("calibration_ratio_set", "R (1 = as varied as the data)"),
    ("vendi_rarefied", "Vendi score, rarefied (count)"),
    ("self_bleu_rarefied", "Self-BLEU, rarefied (points)"),
)
PLANE: tuple[tuple[str, str, str], ...] = (
    ("clusters_rarefied", "clusters, rarefied (count)", "Upwards is more varied."),
    (
        "calibration_ratio_set",
        "R (1 = as varied as the data)",
        "R = 1 (dotted) is as varied as the data, above is collapsed.",
    ),
)
PLANE_METRICS = ("pass_at_1", *(name for name, *_ in PLANE))
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (4, 1, 1, 1)))
DATA_DASH: Any = (0, (1, 1))
GREY = "0.45"


def paired_drawing(
    baseline: Arm, other: Arm, problems: Sequence[str], found: Difference, label: str, name: str
) -> Drawing | None:
    """Return the plot of one metric, a dot per problem, or None where it stands on too few problems."""
    a, b = (values(arm.scores, problems, found.metric) for arm in (baseline, other))
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < LEAST_PROBLEMS or found.change.n < LEAST_PROBLEMS:
        return None
    rows = [
        {"problem_id": problem, "baseline": float(x), "run": float(y)}
        for problem, x, y, kept in zip(problems, a, b, both, strict=True)
        if kept
    ]
    change = f"{signed(found.change)}, {found.change.n} problems"
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        _draw_dots(axes, a[both], b[both])
        axes.set_xlabel(axis_text(baseline.run))
        axes.set_ylabel(axis_text(other.run))
        axes.set_title(f"difference {change}", fontsize=8)
        settle(figure)
    words = (
        f"A dot per problem where both runs have it ({int(both.sum())} of {len(both)}), larger where several are alike,"
        f" and a cross at their mean. Above the diagonal {_sides(a[both], b[both])}. Difference {change}, 95 % interval."
        f" {_note(found.metric)}"
    )
    return Drawing(f"{name}-{found.metric}", label, words, figure, rows)


def plane_drawings(
    arms: Sequence[Arm],
    summaries: Sequence[Mapping[str, Interval]],
    settings: Mapping[str, SampleConfig],
) -> list[Drawing]:
    """Return validity against diversity: a point per arm with both intervals, joined along the temperature.

    settings: how each run sampled, by its name, for what a decoding's name leaves out.
    """
    rows = [
        {
            "run": arm.run,
            "decoding": arm.decoding,
            **dict(zip(("temperature", "top_p", "min_p"), point(arm, settings), strict=True)),
            **_flat(summary),
        }
        for arm, summary in zip(arms, summaries, strict=True)
    ]
    return [_plane(rows, name, label, meaning) for name, label, meaning in PLANE]


def _plane(rows: Sequence[Mapping[str, Any]], name: str, label: str, meaning: str) -> Drawing:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        _draw_plane(axes, rows, name)
        if name.startswith("calibration_ratio"):
            axes.axhline(1.0, color=GREY, linewidth=1, linestyle=DATA_DASH)
        axes.set_xlabel("pass@1 (probability)")
        axes.set_ylabel(label)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=min(3, max(1, len(labels)))
        )
        settle(figure)
    words = (
        f"Every run and decoding is a point, with 95 % intervals of both over problems. {meaning} Points of one run that"
        " differ in temperature alone are joined in its order and bear it. What would stand on fewer than"
        f" {LEAST_PROBLEMS} problems is left out; the numbers of problems are in the data."
    )
    return Drawing(f"plane-{name}", f"pass@1 and {label}", words, figure, rows)


def rarefaction_drawing(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Return the clusters expected among m right completions, per run and for the data, with the problems below."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
        for place, run in enumerate(dict.fromkeys(row["run"] for row in rows)):
            own = [row for row in rows if row["run"] == run]
            style = {"color": GREY, "linestyle": DATA_DASH} if run is None else _line(place)
            ms = [row["m"] for row in own]
            label = "the data" if run is None else axis_text(run)
            marks = {} if run is None else {"marker": MARKERS[place % len(MARKERS)]}
            upper.plot(
                ms, [row["clusters"] for row in own], **style, **marks,
                markersize=4, markevery=max(1, len(ms) // 8), linewidth=1.5, label=label,
            )  # fmt: skip
            bounds = [[row[end] for row in own] for end in ("ci_low", "ci_high")]
            upper.fill_between(ms, *bounds, color=style["color"], alpha=0.15, linewidth=0)
        upper.set_ylabel("clusters (expected count)")
        upper.legend()
        counted = {row["m"]: row["problems"] for row in rows if row["run"] is not None}
        lower.step(list(counted), list(counted.values()), where="mid", color="black", linewidth=1)
        lower.set_ylim(bottom=0)
        lower.set_ylabel("problems")
        lower.set_xlabel("m, right completions")
        settle(figure)
    first, last = next(iter(counted.items())), list(counted.items())[-1]
    words = (
        "Clusters expected among m right completions, mean over problems with its 95 % band, and in m draws from the data"
        " (with replacement, every solution as likely). At each m all curves stand on the same problems, those where every"
        f" run has m right completions: {first[1]} at m = {first[0]}, {last[1]} at m = {last[0]} (lower panel). As m grows"
        " the easier problems are left, so compare the curves at one m, not one curve along m."
    )
    return Drawing("rarefaction", "Clusters among m right completions", words, figure, rows)


def point(arm: Arm, settings: Mapping[str, SampleConfig]) -> tuple[float, float, float]:
    """Return temperature, top-p and min-p: what the decoding's name says, else what the run was set to."""
    own = settings[arm.run]
    said = dict(re.findall(r" (temperature|top_p|min_p)=(\S+)", arm.decoding))
    pairs = (("temperature", own.temperature), ("top_p", own.top_p), ("min_p", own.min_p))
    temperature, top_p, min_p = (float(said.get(name, value)) for name, value in pairs)
    return temperature, top_p, min_p


def signed(interval: Interval) -> str:
    """Return a difference with its interval."""
    return f"{interval.mean:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}]"


def axis_text(name: str) -> str:
    """Return a run's name for a figure, where $ would begin a formula."""
    short = name if len(name) <= 40 else f"{name[:39]}…"
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in short
    ).replace("$", r"\$")


def _draw_dots(axes: Axes, a: Any, b: Any) -> None:
    at = Counter(zip(a.tolist(), b.tolist(), strict=True))
    xs, ys = zip(*at, strict=True)
    low, high = min(*xs, *ys), max(*xs, *ys)
    margin = 0.06 * (high - low) or 0.1
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    axes.scatter(
        xs, ys, s=[22 * math.sqrt(n) for n in at.values()],
        color=COLOURS[0], edgecolors="white", linewidths=0.4, alpha=0.7,
    )  # fmt: skip
    mean_a, mean_b = float(a.mean()), float(b.mean())
    axes.plot(
        [mean_a], [mean_b], marker="X", markersize=9, color=COLOURS[1], markeredgecolor="white"
    )
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")


def _draw_plane(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    runs = list(dict.fromkeys(row["run"] for row in rows))
    shown = [row for row in rows if row[f"{name}_n"] >= LEAST_PROBLEMS and math.isfinite(row[name])]
    lines = dict.fromkeys((row["run"], row["top_p"], row["min_p"]) for row in shown)
    named: set[str] = set()
    for line in lines:
        place = runs.index(line[0])
        own = [row for row in shown if (row["run"], row["top_p"], row["min_p"]) == line]
        own.sort(key=lambda row: row["temperature"])
        xs, ys = [row["pass_at_1"] for row in own], [row[name] for row in own]
        label = None if line[0] in named else axis_text(line[0])
        named.add(line[0])
        axes.plot(
            xs,
            ys,
            **_line(place),
            marker=MARKERS[place % len(MARKERS)],
            markersize=6,
            linewidth=1.2,
            label=label,
        )
        for row, x, y in zip(own, xs, ys, strict=True):
            _cross(axes, row, name, COLOURS[place % len(COLOURS)])
            if len(own) > 1:
                axes.annotate(
                    f"{row['temperature']:g}",
                    (x, y),
                    xytext=(4, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
    if not shown:
        axes.text(
            0.5, 0.5, f"fewer than {LEAST_PROBLEMS} problems", transform=axes.transAxes, ha="center"
        )


def _cross(axes: Axes, row: Mapping[str, Any], name: str, colour: str) -> None:
    x, y = row["pass_at_1"], row[name]
    style: dict[str, Any] = {"color": colour, "linewidth": 0.9, "alpha": 0.7}
    axes.plot([row["pass_at_1_ci_low"], row["pass_at_1_ci_high"]], [y, y], **style)
    axes.plot([x, x], [row[f"{name}_ci_low"], row[f"{name}_ci_high"]], **style)


def _line(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}


def _flat(summary: Mapping[str, Interval]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in PLANE_METRICS:
        mean, low, high, n = summary[name]
        found |= {name: mean, f"{name}_ci_low": low, f"{name}_ci_high": high, f"{name}_n": n}
    return found


def _sides(a: Any, b: Any) -> str:
    return f"{int((b > a).sum())} problems, below {int((b < a).sum())}, on it {int((a == b).sum())}"


def _note(name: str) -> str:
    if name.startswith("calibration_ratio"):
        return "The difference is of the ratios of mean collisions, not of the dots' means."
    return f"{name}: {metric(name).description}."
