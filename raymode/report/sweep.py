"""The report of a sweep: figures, page and the words they say, from the rows of the `runs` table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raymode.config import Config, to_yaml
from raymode.report.drawing import FIGURES, write_drawing
from raymode.report.page import Table
from raymode.report.plots import figure_png, figure_svg
from raymode.report.sweep_cells import cell_runs
from raymode.report.sweep_choice import choose
from raymode.report.sweep_drawings import Law, by_setting, drawings_of
from raymode.report.sweep_page import sweep_html
from raymode.report.sweep_tables import (
    columns_of,
    costs_tables,
    failure_rows,
    law_table,
    metrics_table,
    runs_table,
    shown_value,
)
from raymode.report.sweep_words import budget_says, unsafe_words, warns
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.sweep.costs import Costs, measured_costs
from raymode.sweep.law import LawFit, fit_law, law_points
from raymode.sweep.recommend import Recommendation, recommend
from raymode.sweep.space import SweepCell, cells, table, to_come, trial_needs

PAGE = "report.html"
COSTS = ("train_core_s", "sample_core_s", "score_core_s")
TITLES = {
    "budget": "Buy prompts or responses?",
    "lambda": "Which loss, and how strong?",
    "conditions": "In which order, and with which loss?",
    "selection": "Which responses to keep, and how many?",
    "plain": "Which settings to keep?",
}


def write_report(config: Config, rows: Sequence[dict[str, Any]]) -> tuple[str, str, list[str]]:
    """Write `report.html` and `figures/`; return the paths of the first figure and the page, and what it says.

    rows: of the `runs` table; those of another plan than the configuration's are left out, and the page says so.
    The first sentence is the decision. The design budget also writes its main figure as `budget.png` and `budget.svg`.
    """
    store = Store(config.run_dir)
    names = [cell.run_id for cell in cells(config)]
    own = [row for row in rows if row["run_id"] in names]
    kept = own or list(rows)
    there = cell_runs(config, kept)
    laws = _laws(config, kept) if config.sweep.design == "budget" else []
    warnings, choice_tables = warns(config, kept, there, len(rows) - len(kept), bool(own)), []
    if laws or not there:
        sentences = budget_says(laws)
    else:
        choice = choose(store, there, config.seed)
        sentences = [choice.sentence]
        warnings += [choice.caution] if choice.caution else []
        if choice.rows:
            choice_tables.append(
                Table("Differences from the first cell", choice.rows, list(choice.rows[0]))
            )
    drawings = drawings_of(config, there, kept, laws)
    groups = {
        heading: [write_drawing(store, each) for each in group]
        for heading, group in drawings.items()
    }
    if laws and drawings:
        main = next(iter(drawings.values()))[0]
        store.write_bytes("budget.png", figure_png(main.figure))
        store.write_bytes("budget.svg", figure_svg(main.figure).encode())
    environment = store.read_json("env.json")
    costs, per_cell = costs_tables(there)
    page = sweep_html(
        TITLES[config.sweep.design],
        sentences,
        warnings,
        any(law.advice is not None and law.advice.agrees is not True for law in laws),
        groups,
        [*choice_tables, runs_table(config, kept), *_law_tables(laws), costs],
        failure_rows(config, kept),
        len(set(names) - {row["run_id"] for row in own}) if own else 0,
        environment.get("command", []),
        [per_cell, metrics_table(kept)],
        to_yaml(config),
        environment,
    )
    store.write_bytes(PAGE, page.encode())
    first = next((each.name for group in drawings.values() for each in group), "")
    figure = f"{config.run_dir}/{FIGURES}/{first}.png" if first else "none"
    return figure, f"{config.run_dir}/{PAGE}", [*sentences, *unsafe_words(kept)]


def law_of(
    config: Config, rows: Sequence[dict[str, Any]]
) -> tuple[LawFit | None, Recommendation | None]:
    """Return the law fitted to the finished NLL cells and the K to keep for the largest budget; None without cells."""
    points = law_points(rows)
    if not points:
        return None, None
    fit = fit_law(points, derive_seed(config.seed, "law"))
    costs = costs_of(config, rows)
    # What the dearest cell cost: every measured cell can be paid from it.
    budget = max(costs.total(cell.prompts, cell.responses) for cell in fit.cells)
    return fit, recommend(fit, budget, costs)


def costs_of(config: Config, rows: Sequence[Mapping[str, Any]]) -> Costs:
    """Return the configured costs, with what verifying and computing took here if `sweep.cost_core_hour` prices it."""
    sweep = config.sweep
    verify = 0.0
    sets = Store(config.sets_path)
    if sweep.cost_core_hour and sets.exists("executions"):
        spent = sets.read_table("executions", ["total_cpu_s"]).column("total_cpu_s")
        verify = float(np.mean(spent.to_numpy())) if len(spent) else 0.0
    nll = [row for row in rows if row["loss"] == "nll"]
    return measured_costs(nll, sweep.cost_prompt, sweep.cost_response, sweep.cost_core_hour, verify)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the cells with their main figures, intervals under the figures that have one."""
    columns = columns_of(rows)
    lines = [list(columns.values())] + [
        [shown_value(row, name) for name in columns] for row in rows
    ]
    _print_aligned(lines)
    problems = {row["heldout_problems"] for row in rows if row["status"] == "finished"}
    print(
        f"95 % intervals by bootstrap over {', '.join(map(str, sorted(problems)))} held-out problems; clusters and R over right completions"
    )


def print_cells(
    config: Config, planned: Sequence[SweepCell], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Print the cells a sweep would run, what they cost, and what one needs; `rows` are those of finished runs."""
    finished = {row["run_id"] for row in rows if row["status"] == "finished"}
    lines = [
        {**row, "status": "finished" if row["run_id"] in finished else "to run"}
        for row in table(planned)
    ]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    _print_aligned([columns, *([str(line.get(name, "")) for name in columns] for line in lines)])
    todo = [cell for cell in planned if cell.run_id not in finished]
    print(f"{len(planned)} cells, {len(todo)} to run; nothing was started (sweep.dry_run)")
    chosen_later = to_come(config, planned)
    if chosen_later:
        print(f"{chosen_later} more that the search chooses, each by what those before it came to")
    configs = [cell.config for cell in planned] or [config]
    cpus, gpus = (max(each) for each in zip(*map(trial_needs, configs), strict=True))
    print(f"one trial needs {cpus:g} CPUs and {gpus:g} GPUs at its widest")
    spent = [_core_seconds(row) for row in rows if row["status"] == "finished"]
    if spent and todo:
        hours = sum(spent) / len(spent) * len(todo) / 3600
        print(
            f"about {hours:.3g} core-hours to go, by the {len(spent)} cells that have finished here"
        )


def _laws(config: Config, rows: Sequence[dict[str, Any]]) -> list[Law]:
    groups = by_setting(config, rows)
    return [Law(more, own, *law_of(config, own)) for more, own in groups.items()]


def _law_tables(laws: Sequence[Law]) -> list[Table]:
    return [
        law_table(law.fit, f"The law with {law.more}" if law.more else "The law")
        for law in laws
        if law.fit is not None
    ]


def _core_seconds(row: Mapping[str, Any]) -> float:
    return float(sum(row[name] for name in COSTS))


def _print_aligned(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
