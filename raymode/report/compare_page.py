"""The comparison as words and as one self-contained page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from raymode.measure.paired import Difference
from raymode.measure.problem import metric
from raymode.measure.stats import Interval
from raymode.report.compare_stats import LEAST_PROBLEMS
from raymode.report.compare_words import verdict
from raymode.report.page import (
    Figure,
    Table,
    figure_html,
    folded,
    format_value,
    grid,
    page_html,
    table_html,
)

MAIN = (
    "pass_at_1",
    "clusters_rarefied",
    "calibration_ratio_set",
    "collision_model",
    "data_clusters_found",
    "vendi_rarefied",
    "self_bleu_rarefied",
)
COMPARE_STYLE = """
[hidden] { display: none !important; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }
body > figure img { max-width: 44rem; } h3 { font-size: 1rem; margin: .5rem 0; } h4 { margin: .3rem 0; overflow-wrap: anywhere; }
.warnings { border-left: 4px solid #d55e00; padding: .1rem 1rem; background: #8881; }
.says, li, .note, figcaption, code { overflow-wrap: anywhere; } input { font: inherit; max-width: 100%; }
#problems { table-layout: fixed; width: 100%; } #problems th { overflow-wrap: anywhere; vertical-align: bottom; }
#problems td { overflow-wrap: anywhere; } #problems thead th:first-child { width: 16%; }
#problems td[colspan] { border-bottom: 2px solid #8886; } #problems details { margin: 0; }
#problems thead button { font: inherit; font-weight: 600; text-align: inherit; color: inherit; background: none; border: 0;
 border-bottom: 1px dotted; padding: 0; cursor: pointer; overflow-wrap: anywhere; }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1rem; }
.sides section { min-width: 0; } .sides p { margin: .3rem 0; } .mark { font-weight: 600; }
pre { background: #8881; padding: .5rem; border-radius: 4px; max-height: 22rem; overflow: auto; margin: .2rem 0 .8rem; }
.right pre { border-left: 4px solid #0072b2; } .wrong pre { border-left: 4px dashed #d55e00; }
pre.prompt { white-space: pre-wrap; overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
@media (prefers-color-scheme: dark) { :focus-visible { outline-color: #56b4e9; } }
@media (max-width: 45rem) {
 #problems, #problems tbody, #problems tr, #problems td, #problems tbody th { display: block; border: 0; }
 #problems thead th:first-child { width: auto; } #problems thead tr { display: flex; flex-wrap: wrap; gap: .2rem .8rem; }
 #problems thead th { border: 0; padding: .3rem 0; }
 #problems tbody { border-bottom: 2px solid #8886; padding: .4rem 0; } #problems tbody td, #problems tbody th { padding: .1rem 0; }
 #problems td[data-label]::before { content: attr(data-label) ": "; opacity: .8; } #problems .number { text-align: left; }
}
"""
# Sorts and searches; the table is whole without it. Its hash stands in the page's policy.
SCRIPT = """
"use strict";
const table = document.getElementById("problems"), bodies = Array.from(table.tBodies);
const box = document.getElementById("search"), shown = document.getElementById("shown");
document.getElementById("tools").hidden = false;
let texts = null, waiting = 0;
function search() {
  texts = texts || bodies.map(body => body.textContent.toLowerCase());
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let hits = 0;
  bodies.forEach((body, place) => {
    const hit = words.every(word => texts[place].includes(word));
    body.hidden = !hit;
    hits += hit;
  });
  shown.textContent = hits + " of " + bodies.length + " shown";
}
box.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 150); });
function order(column, up) {
  const key = body => {
    const cell = body.rows[0].cells[column], value = cell.dataset.value;
    return value !== undefined ? Number(value) : cell.className === "number" ? null : cell.textContent;
  };
  const keyed = bodies.map((body, place) => [key(body), place, body]);
  keyed.sort(([a, i], [b, j]) => {
    if (a === null || b === null) return (a === null) - (b === null) || i - j;
    const by = typeof a === "number" ? a - b : a.localeCompare(b);
    return (up ? by : -by) || i - j;
  });
  table.append(...keyed.map(each => each[2]));
}
Array.from(table.tHead.rows[0].cells).forEach((head, column, heads) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && column < 2);
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    order(column, up);
  });
});
"""
NOTE = (
    "Differences are run − baseline on the problems where both are defined (n), with 95 % intervals by bootstrap over problems;"
    " they are not corrected for the number of metrics. Rarefied figures stand on equal counts of right completions, so only"
    " on problems that both runs solve that often."
)


def difference_table(
    title: str, baseline: str, other: str, found: Mapping[str, Difference], names: Sequence[str]
) -> Table:
    """Return the paired differences of some metrics as a table."""
    rows: list[dict[str, Any]] = []
    for name in names:
        if name not in found:
            continue
        each, enough = found[name], found[name].change.n >= LEAST_PROBLEMS
        rows.append(
            {
                "metric": name,
                f"{baseline}, mean": _short(each.baseline) if enough else "n/a",
                f"{other}, mean": _short(each.other) if enough else "n/a",
                "difference": f"{each.change.mean:+.3g}" if enough else "n/a",
                "95 % interval": f"[{each.change.low:+.3g}, {each.change.high:+.3g}]"
                if enough
                else "n/a",
                "n": each.change.n,
                "better is": {True: "higher", False: "lower", None: "–"}[
                    metric(name).higher_is_better
                ],
                "shown": verdict(each.change, "higher", "lower", "no difference")
                if enough
                else "too few problems",
            }
        )
    return Table(title, rows, list(rows[0]) if rows else ["metric"], NOTE)


def decomposition_table(baseline: str, other: str, found: Any) -> Table:
    """Return every term of a decomposition (`measure.decompose.Decomposition`) as a table."""
    terms = {
        "base_all": ("variety of all completions", baseline),
        "base_right": ("variety of right completions", baseline),
        "post_all": ("variety of all completions", other),
        "post_right": ("variety of right completions", other),
        "total": ("loss over all completions", "base_all − post_all"),
        "quality_control": ("of it: variety that was only wrong answers", "base_all − base_right"),
        "residual": ("the rest", "total − quality_control = lost_right + gained_wrong"),
        "lost_right": ("loss among right completions", "base_right − post_right"),
        "gained_wrong": ("right minus all, in the run", "post_right − post_all"),
    }
    rows = []
    for name, (meaning, of) in terms.items():
        each: Interval = getattr(found, name)
        sign = "" if name.startswith(("base", "post")) else "+"
        value, low, high = (f"{number:{sign}.3g}" for number in each[:3])
        rows.append(
            {
                "term": name,
                "value": value,
                "95 % interval": f"[{low}, {high}]",
                "meaning": meaning,
                "of": of,
                "n": each.n,
            }
        )
    note = (
        "Variety is the chance that two completions are different programs after normalisation (0 to 1), which does not depend"
        " on how many were drawn. Positive differences are losses from the baseline to the run. It stands on the"
        f" {found.problems} problems where both runs have two right completions; {found.left_out} are left out."
    )
    return Table(f"{other} against {baseline}", rows, list(rows[0]), note)


def between_table(
    baseline: str, other: str, rows: Sequence[Mapping[str, Any]], model: str
) -> Table:
    """Return the rows of `compare_between.between_rows` as a table."""
    note = (
        "How alike two right answers to the same prompt are: of one run, and one of each. Between as within: both runs find"
        " the same. On problems where both have two right answers. Embedding:"
        f" {model or 'hashed runs of characters, which see wording alone'}."
    )
    return Table(f"Likeness of {baseline} and {other}", rows, list(rows[-1]), note)


def comparison_html(
    title: str,
    sentences: Sequence[str],
    warnings: Sequence[str],
    tables: Sequence[Table],
    groups: Mapping[str, Sequence[Figure]],
    variety: Sequence[Table],
    problems: str,
    runs: Sequence[Table],
    all_metrics: Sequence[Table],
) -> str:
    """Return the page: what differs, figures, where it comes from, every problem with its programs.

    groups: figures under a heading, an empty one being none. `problems` is HTML, the table of
    `compare_programs.problem_table`; all else is escaped here.
    """
    parts = [f"<h1>{escape(title)}</h1>"]
    parts += [f'<p class="says">{escape(sentence)}</p>' for sentence in sentences]
    if warnings:
        listed = "".join(f"<li>{escape(each)}</li>" for each in warnings)
        parts.append(f'<div class="warnings"><h2>Mind</h2><ul>{listed}</ul></div>')
    parts += [table_html(table) for table in tables]
    for heading, figures in groups.items():
        if not heading:
            parts += [figure_html(figure) for figure in figures]
            continue
        shown = "".join(f"<div>{figure_html(figure, 'h3')}</div>" for figure in figures)
        parts.append(f'<h2>{escape(heading)}</h2><div class="figures">{shown}</div>')
    if variety:
        parts.append("<h2>Where the difference in variety comes from</h2>")
        parts += [table_html(table, "h3") for table in variety]
    parts.append(f"<h2>Problem by problem</h2>{problems}")
    parts += [table_html(table) for table in runs]
    parts += [folded(table.title, grid(table.rows, table.columns)) for table in all_metrics]
    return page_html(title, "\n".join(parts), COMPARE_STYLE, SCRIPT)


def _short(value: float) -> str:
    return format_value(float(f"{value:.3g}"))
