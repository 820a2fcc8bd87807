"""The report of a budget sweep: figure, page and the words they say, from the rows of the `runs` table."""

from collections.abc import Sequence
from typing import Any

from raymode.config import Config, to_yaml
from raymode.measure.problem import METRICS, is_metric, metric
from raymode.report.page import Figure, Table, report_html
from raymode.report.plots import budget_figure, figure_png, figure_svg
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.sweep.law import LawFit, fit_law, law_points
from raymode.sweep.recommend import Recommendation, recommend
from raymode.sweep.space import SweepCell, table

FIGURE, PAGE = "budget.png", "report.html"
IDENTITY = ("budget", "P", "K", "loss", "eco_weight", "seed")
LEAST_PROBLEMS = 5  # a figure that stands on fewer is not shown
COLUMNS = {
    "budget": "budget",
    "P": "P",
    "K": "K",
    "loss": "loss",
    "eco_weight": "λ",
    "seed": "seed",
    "heldout_nll": "held-out NLL",
    "pass_at_1": "pass@1",
    "unique_right": "unique right",
    "clusters_rarefied": "clusters",
    "calibration_ratio_set": "R",
    "families_pass_at_1": "pass@1 new families",
}


def write_report(config: Config, rows: Sequence[dict[str, Any]]) -> tuple[str, str, list[str]]:
    """Write `budget.png`, `budget.svg` and `report.html`; return the paths of the first and last and the sentences."""
    store = Store(config.run_dir)
    fit, advice = law_of(config, rows)
    sentences = _sentences(rows, fit, advice) + unsafe_words(rows)
    figure = budget_figure(rows, fit, advice)
    svg = figure_svg(figure)
    store.write_bytes(FIGURE, figure_png(figure))
    store.write_bytes("budget.svg", svg.encode())
    page = report_html(
        "Buy prompts or responses?",
        sentences,
        [_runs_table(config, rows), _law_table(fit), _metrics_table(rows)],
        [Figure("Cells of the sweep", svg, _caption(config), rows, "runs")],
        config=to_yaml(config),
        environment=store.read_json("env.json"),
        failures=[row for row in rows if row["status"] != "finished"],
    )
    store.write_bytes(PAGE, page.encode())
    return f"{config.run_dir}/{FIGURE}", f"{config.run_dir}/{PAGE}", sentences


def law_of(
    config: Config, rows: Sequence[dict[str, Any]]
) -> tuple[LawFit | None, Recommendation | None]:
    """Return the law fitted to the finished NLL cells and the K to keep for the largest budget; None without cells."""
    points = law_points(rows)
    if not points:
        return None, None
    fit = fit_law(points, derive_seed(config.seed, "law"))
    # What the dearest cell cost: every measured cell can be paid from it.
    budget = max(
        row["P"] * config.sweep.cost_prompt + row["budget"] * config.sweep.cost_response
        for row in rows
    )
    return fit, recommend(fit, budget, config.sweep.cost_prompt, config.sweep.cost_response)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the cells with their main figures, intervals under the figures that have one."""
    lines = [list(COLUMNS.values())] + [[_shown(row, name) for name in COLUMNS] for row in rows]
    _print_aligned(lines)
    problems = {row["heldout_problems"] for row in rows if row["status"] == "finished"}
    print(
        f"95 % intervals by bootstrap over {', '.join(map(str, sorted(problems)))} held-out problems; clusters and R over right completions"
    )


def print_cells(planned: Sequence[SweepCell]) -> None:
    """Print the cells a sweep would run."""
    rows = table(list(planned))
    _print_aligned([list(rows[0]), *([str(value) for value in row.values()] for row in rows)])
    print(f"{len(rows)} cells; nothing was started (sweep.dry_run)")


def _sentences(
    rows: Sequence[dict[str, Any]], fit: LawFit | None, advice: Recommendation | None
) -> list[str]:
    if fit is None or advice is None:
        return ["No cell finished, so there is nothing to say about the budget."]
    if not fit.fits:  # the advice then says why
        return [advice.sentence]
    law = f"The law a + V_x/P + V_(y|x)/(P·K) fits: {fit.reason} (R² = {fit.r_squared:.2f})."
    return [advice.sentence, law]


def unsafe_words(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a sentence that says so if programs ran without isolation."""
    if all(row.get("isolated", True) for row in rows):
        return []
    return ["Programs were verified WITHOUT isolation (sandbox.allow_unsafe=true)."]


def _runs_table(config: Config, rows: Sequence[dict[str, Any]]) -> Table:
    shown = [{label: _shown(row, name) for name, label in COLUMNS.items()} for row in rows]
    costs = ("train_core_s", "sample_core_s", "score_core_s")
    for row, source in zip(shown, rows, strict=True):
        row["core-seconds"] = (
            f"{sum(source[name] for name in costs):.0f}" if source["status"] == "finished" else ""
        )
    note = (
        f"{config.sample.completions} completions per problem; 95 % intervals by bootstrap over problems. Clusters are the number"
        f" expected in {config.score.rarefy_to} right completions; R is C(model)/C(data) on right completions: 1 is as varied as the"
        " data, above 1 collapsed. Core-seconds are the cores a stage held times its wall time."
    )
    return Table("Cells", shown, list(shown[0]) if shown else [], note)


def _law_table(fit: LawFit | None) -> Table:
    if fit is None:
        return Table("The law", [], ["term"])
    terms = {"a (irreducible)": fit.irreducible, "V_x": fit.V_x, "V_(y|x)": fit.V_yx}
    rows = [
        {"term": name, "estimate": value.mean, "low": value.low, "high": value.high, "unit": unit}
        for (name, value), unit in zip(
            terms.items(), ("nats", "nats·prompts", "nats·responses"), strict=True
        )
    ]
    return Table(
        "The law",
        rows,
        list(rows[0]),
        "Least squares over cells with V_x, V_(y|x) ≥ 0; 95 % residual bootstrap.",
    )


def _metrics_table(rows: Sequence[dict[str, Any]]) -> Table:
    names = [
        name for name in dict.fromkeys(name for row in rows for name in row) if is_metric(name)
    ]
    described = [
        {
            "metric": name,
            "formula": metric(name).formula,
            "unit": metric(name).unit,
            "range": metric(name).range,
            "meaning": metric(name).description,
        }
        for name in names
        if name in METRICS or name.startswith("pass_at_")
    ]
    return Table(
        "What the columns mean", described, ["metric", "formula", "unit", "range", "meaning"]
    )


def _caption(config: Config) -> str:
    return (
        f"Every cell: {config.train.steps} updates of {config.train.responses_per_step} responses. Left: held-out NLL against K, one line"
        " per budget B = P·K, the fitted law dashed. Right: correctness and diversity of sampled completions."
    )


def _shown(row: dict[str, Any], name: str) -> str:
    """Return a cell of the table: the figure, its interval, and on how many problems it stands if not on all."""
    value = row.get(name)
    if row["status"] != "finished" and name not in IDENTITY:
        return row["status"] if name == "heldout_nll" else ""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    problems = row.get(f"{name}_n")
    if problems is None:
        return f"{value:g}"
    if problems < LEAST_PROBLEMS:
        return f"n/a (n={problems})"
    shown = f"{value:.3g} [{row[f'{name}_ci_low']:.3g}, {row[f'{name}_ci_high']:.3g}]"
    return shown if problems == row["heldout_problems"] else f"{shown} n={problems}"


def _print_aligned(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
