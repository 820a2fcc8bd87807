"""Comparing scored runs: reads their directories, writes the page, the figures and the table of differences."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from raymode.config import Config, SampleConfig, to_dict
from raymode.report.compare_between import between_rows
from raymode.report.compare_data import Run
from raymode.report.compare_figures import (
    PAIRED,
    PLANE_METRICS,
    paired_drawing,
    plane_drawings,
    rarefaction_drawing,
)
from raymode.report.compare_page import (
    MAIN,
    between_table,
    comparison_html,
    decomposition_table,
    difference_table,
)
from raymode.report.compare_pairs import Comparison, all_differences, compare
from raymode.report.compare_programs import problem_rows, problem_table
from raymode.report.compare_stats import (
    LEAST_PROBLEMS,
    Arm,
    arm_summary,
    decomposition,
    rarefaction_rows,
)
from raymode.report.compare_words import counts, says, warns
from raymode.report.drawing import Drawing, write_csv, write_drawing
from raymode.report.page import Figure, Table, flat_keys
from raymode.store import Store

PAGE, TABLE, RECORD = "compare.html", "compare.parquet", "compare.json"


def write_comparison(config: Config) -> tuple[str, list[str]]:
    """Write `compare.html`, `compare.parquet`, `compare.json` and `figures/` into `run_dir`.

    Returns the address of the page and what it says: its sentences, then its warnings. Raises
    ConfigError, DataError or StorageError of one line where the runs cannot be compared.
    """
    made = compare(config)
    store = Store(config.run_dir)
    drawings = draw(made)
    figures = {}
    for drawing in drawings:
        figures[drawing.name] = write_drawing(store, drawing)
    rows = problem_rows(made.arms, made.problems, made.sets)
    write_csv(store, "problems", rows)
    sentences, warnings = says(made), warns(made)
    store.write_table(TABLE, pa.Table.from_pylist(all_differences(made)))
    page = comparison_html(
        f"{' and '.join(arm.run for arm in made.arms[1:])} against {made.arms[0].run}",
        sentences,
        warnings,
        _tables(made, MAIN),
        _groups(made, drawings, figures),
        _variety(made),
        problem_table(rows, made.samples, made.sets),
        [_runs_table(made), _settings_table(made.runs)],
        _tables(made, _metrics(made), "All metrics: "),
    )
    store.write_bytes(PAGE, page.encode())
    store.write_json(RECORD, _record(made))
    return f"{store.url}/{PAGE}", [*sentences, *warnings]


def draw(made: Comparison) -> list[Drawing]:
    """Return the figures, the paired ones first; those that would stand on too few problems are left out."""
    base, drawings = made.arms[0], []
    for number, (arm, found) in enumerate(zip(made.arms[1:], made.found, strict=True), start=1):
        for name, label in PAIRED:
            if name in found:
                drawing = paired_drawing(
                    base, arm, made.problems, found[name], label, _paired_name(number)
                )
                drawings += [drawing] if drawing else []
    arms = [Arm(run.name, name, rows) for run in made.runs for name, rows in run.scores.items()]
    summaries = [arm_summary(arm, made.problems, PLANE_METRICS, made.seed) for arm in arms]
    settings: dict[str, SampleConfig] = {run.name: run.config.sample for run in made.runs}
    drawings += plane_drawings(arms, summaries, settings)
    curves = rarefaction_rows(made.samples, made.sets, made.problems, made.seed)
    if curves:
        drawings.append(rarefaction_drawing(curves))
    return drawings


def _metrics(made: Comparison) -> list[str]:
    return list(dict.fromkeys(name for found in made.found for name in found))


def _tables(made: Comparison, names: Sequence[str], prefix: str = "") -> list[Table]:
    base = made.arms[0].run
    return [
        difference_table(f"{prefix}{arm.run} against {base}", base, arm.run, found, names)
        for arm, found in zip(made.arms[1:], made.found, strict=True)
    ]


def _variety(made: Comparison) -> list[Table]:
    """Return where a difference in variety comes from, and how alike the runs are, for each run but the first."""
    base, model = made.arms[0].run, made.runs[0].config.score.embedding
    tables = []
    for arm in made.arms[1:]:
        one, other = made.samples[base], made.samples[arm.run]
        terms = decomposition(one, other, made.problems, made.seed)
        if terms.problems >= LEAST_PROBLEMS:
            tables.append(decomposition_table(base, arm.run, terms))
            rows = between_rows(one, other, made.problems, model, made.seed)
            tables.append(between_table(base, arm.run, rows, model))
    return tables


def _paired_name(number: int) -> str:
    return f"paired-{number}"


def _groups(
    made: Comparison, drawings: Sequence[Drawing], figures: Mapping[str, Figure]
) -> dict[str, list[Figure]]:
    """Return the figures under the headings of the page."""
    groups = {}
    for number, arm in enumerate(made.arms[1:], start=1):
        own = [
            figures[each.name]
            for each in drawings
            if each.name.startswith(f"{_paired_name(number)}-")
        ]
        if own:
            groups[f"{arm.run} against {made.arms[0].run}, problem by problem"] = own
    for heading, start in (("Validity and diversity", "plane-"), ("", "rarefaction")):
        own = [figures[each.name] for each in drawings if each.name.startswith(start)]
        if own:
            groups[heading] = own
    return groups


def _runs_table(made: Comparison) -> Table:
    rows = [
        {
            "run": run.name,
            "directory": run.store.url,
            "weights": ", ".join(sorted(name[:12] for name in made.samples[run.name].weights)),
            "problems": len(run.problems),
            "completions": counts(made, arm),
            "compared": arm.decoding,
            "decodings": ", ".join(run.scores),
        }
        for run, arm in zip(made.runs, made.arms, strict=True)
    ]
    return Table("The runs", rows, list(rows[0]), f"Scored against {made.runs[0].sets.url}.")


def _settings_table(runs: Sequence[Run]) -> Table:
    """Return the keys of the configurations that differ."""
    settings = [dict(flat_keys(to_dict(run.config))) for run in runs]
    rows = [
        {"key": key, **{f"{run.name} ": own[key] for run, own in zip(runs, settings, strict=True)}}
        for key in settings[0]
        if key != "run_dir" and len({own[key] for own in settings}) > 1
    ]
    note = "" if rows else "The configurations are equal."
    return Table("Settings that differ", rows, ["key", *(f"{run.name} " for run in runs)], note)


def _record(made: Comparison) -> dict[str, Any]:
    """Return what the comparison was made from."""
    return {
        "runs": [run.store.url for run in made.runs],
        "names": [run.name for run in made.runs],
        "decodings": [arm.decoding for arm in made.arms],
        "sets": made.runs[0].sets.url,
        "sets_content": made.runs[0].sets_content,
        "problems": len(made.problems),
        "seed": made.seed,
    }
