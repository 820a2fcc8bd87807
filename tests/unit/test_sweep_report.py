"""The report of a sweep, for every design: the decision, figures with their data, what failed, from tables alone."""

import base64
import csv
import io
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from raymode.config_load import load
from raymode.report import sweep as report
from raymode.report.drawing import Drawing
from raymode.report.sweep_cells import CellRuns, cell_runs
from raymode.report.sweep_choice import choose
from raymode.report.sweep_drawings import drawings_of
from raymode.report.sweep_figures import METRICS, cost_row, front, mean, panels_drawing, shown
from raymode.report.sweep_page import sweep_html
from raymode.report.sweep_tables import columns_of
from raymode.report.sweep_words import budget_says, unsafe_words, warns
from raymode.store import Store
from raymode.sweep.space import cells
from raymode.sweep.table import Sweep
from tests.unit.sweep_runs import COMMAND, flat, lawful, weighted, write_sweep

ROOT = Path(__file__).parents[2]
BUDGET = ["sweep.budgets=[48,24]", "sweep.responses=[1,2,4]"]


@pytest.fixture(scope="module")
def budget(tmp_path_factory):
    """A small budget sweep with its report: one cell failed, one never began."""
    place = tmp_path_factory.mktemp("budget")
    config, rows = write_sweep(place, BUDGET, lawful, failed=[1], unstarted=1)
    said = report.write_report(config, rows)
    return SimpleNamespace(
        place=place, config=config, rows=rows, said=said, html=(place / "report.html").read_text()
    )


@pytest.fixture(scope="module")
def lambdas(tmp_path_factory):
    arguments = ["sweep.design=lambda", "sweep.losses=[eco,tilted]", "sweep.eco_weights=[0.1,1]",
                 "sweep.seeds=[0,1]"]  # fmt: skip
    return write_sweep(tmp_path_factory.mktemp("lambda"), arguments, weighted)


def drawn(config, rows) -> dict[str, Drawing]:
    """Return the drawings of a sweep by name, without writing them."""
    laws = report._laws(config, rows) if config.sweep.design == "budget" else []
    groups = drawings_of(config, cell_runs(config, rows), rows, laws)
    return {each.name: each for group in groups.values() for each in group}


def test_the_page_holds_every_figure_and_needs_no_other_file(budget):
    names = {path.stem for path in (budget.place / "figures").iterdir()}
    assert {"budget", "law", "front", "costs"} <= names
    for name in names:
        figure = budget.place / "figures" / name
        assert figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        svg = base64.b64encode(figure.with_suffix(".svg").read_bytes()).decode()
        data = base64.b64encode(figure.with_suffix(".csv").read_bytes()).decode()
        assert svg in budget.html and data in budget.html
        assert len(list(csv.DictReader(io.StringIO(figure.with_suffix(".csv").read_text())))) > 0
    links = re.findall(r'(?:src|href)="([^"]{0,30})', budget.html)
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "<script" not in budget.html
    assert (budget.place / "budget.png").read_bytes() == (
        budget.place / "figures" / "budget.png"
    ).read_bytes()


def test_the_page_says_the_decision_first_and_how_to_go_on(budget):
    figure, page, sentences = budget.said
    assert figure.endswith("figures/budget.png") and page.endswith("report.html")
    assert sentences[0].startswith("Keep K = ")
    assert budget.html.index(sentences[0]) < budget.html.index("<figure>")
    assert "What failed (1)" in budget.html and "Cells that have not ended yet: 1." in budget.html
    assert "OutOfMemoryError: &lt;b&gt;killed&lt;/b&gt;" in budget.html
    assert f"python {COMMAND[0]} {COMMAND[1]} &#x27;{COMMAND[2]}&#x27;" in budget.html


@pytest.mark.parametrize("disagrees", [True, False])
def test_the_page_explains_where_measurement_does_not_bear_the_law_out(disagrees):
    html = sweep_html("t", ["Keep."], [], disagrees, {}, [], [], 0, [], [], "", {})
    assert ('href="#why"' in html) == ('id="why"' in html) == disagrees
    assert ("learns that one by heart" in html and "docs/budget-law.md" in html) == disagrees
    assert "<p>None.</p>" in html


def test_costs_of_the_page_are_those_of_the_runs(budget):
    (row,) = Sweep(str(budget.place)).sql(
        "select sum(train_core_s + sample_core_s + score_core_s) / 3600 as h from runs where status = 'finished'"
    ).to_dict("records")  # fmt: skip
    cells = cell_runs(budget.config, budget.rows)
    assert sum(each["core_h"] * each["runs"] for each in map(cost_row, cells)) == pytest.approx(
        row["h"]
    )


def test_report_is_written_again_from_the_tables(budget):
    before = (budget.place / "figures" / "front.csv").read_bytes()
    (budget.place / "report.html").unlink()
    done = subprocess.run(
        [sys.executable, "jobs/report.py", f"run_dir={budget.place}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert budget.said[2][0] in done.stdout
    assert (budget.place / "report.html").exists()
    assert (budget.place / "figures" / "front.csv").read_bytes() == before


def test_runs_of_another_plan_are_left_out_and_said(budget):
    rows = [*budget.rows, {**budget.rows[0], "run_id": "other"}]
    there = cell_runs(budget.config, budget.rows)
    said = warns(budget.config, budget.rows, there, len(rows) - len(budget.rows), True)
    assert any("Runs of other plans in this directory are left out: 1." in each for each in said)
    said = warns(budget.config, budget.rows, there, 0, False)
    assert any("None of these runs is of the plan" in each for each in said)


def test_lambda_paths_hold_every_seed_and_nll_across(lambdas):
    config, rows = lambdas
    drawings = drawn(config, rows)
    made = drawings["lambda"]
    assert len(made.rows) == 10 and {row["seed"] for row in made.rows} == {0, 1}
    assert "2 seed(s)" in made.description and "n = 12 held-out problems" in made.description
    for axes, (name, *_) in zip(made.figure.axes, METRICS, strict=True):
        dots = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_alpha()]
        assert len(dots) == sum(math.isfinite(shown(row, name)) for row in rows)
        dashed = [
            line
            for line in axes.lines
            if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2
        ]
        assert dashed  # the value of NLL at every λ
    labels = [axes.get_ylabel() for axes in made.figure.axes]
    assert "pass@1" in labels[0] and "clusters" in labels[1]  # validity beside diversity
    assert {"rarefaction-seed-0", "rarefaction-seed-1"} <= drawings.keys()


def test_a_mean_is_that_of_the_seeds(lambdas):
    config, rows = lambdas
    cells = {cell.name: cell for cell in cell_runs(config, rows)}
    own = [row["pass_at_1"] for row in rows if row["loss"] == "tilted" and row["loss_tilt"] == 1]
    assert len(own) == 2 and mean(cells["TILTED λ=1"], "pass_at_1") == pytest.approx(sum(own) / 2)
    few = CellRuns("a", "a", 1.0, [{**rows[0], "pass_at_1_n": 4}])
    assert mean(few, "pass_at_1") != mean(few, "pass_at_1")  # on 4 problems: not shown


def test_the_choice_gains_in_one_and_loses_in_neither(lambdas):
    config, rows = lambdas
    choice = choose(Store(config.run_dir), cell_runs(config, rows), config.seed)
    assert re.match(
        r"Keep (ECO|TILTED) λ=0\.1: against NLL it is (more often right and )?more varied",
        choice.sentence,
    )
    assert "n = 12 problems" in choice.sentence and "4 comparisons" in choice.caution
    assert [row["cell"] for row in choice.rows] == [
        "ECO λ=0.1",
        "ECO λ=1",
        "TILTED λ=0.1",
        "TILTED λ=1",
    ]


def test_without_a_gain_the_first_cell_is_kept(tmp_path):
    def worse(cell):
        return (0.8, 0.8, 20.0) if cell.config.train.loss == "nll" else (0.1, 0.0, 20.0)

    arguments = ["sweep.design=lambda", "sweep.losses=[eco]", "sweep.eco_weights=[0.1]"]
    config, rows = write_sweep(tmp_path, arguments, worse)
    choice = choose(Store(config.run_dir), cell_runs(config, rows), config.seed)
    assert choice.sentence.startswith("Keep NLL: no other cell") and "one seed" in choice.caution


@pytest.mark.parametrize(
    ("arguments", "figure", "names"),
    [
        (
            ["sweep.design=conditions", "sweep.eco_weights=[0.1]", "sweep.collision_rates=[0.5]"],
            ["conditions", "collisions"],
            ["shuffled, NLL", "grouped, NLL", "grouped, ECO λ=0.1", "shuffled, ECO λ=0.1",
             "collision rate 0.5, NLL"],
        ),
        (
            ["sweep.design=selection", "sweep.responses=[1,2]", "sweep.selections=[random,best]"],
            ["selection"],
            ["random, K = 1", "best, K = 1", "random, K = 2", "best, K = 2"],
        ),
        (
            ["sweep.design=plain", 'sweep.space=["train.learning_rate=[1e-4,1e-3]"]'],
            ["cells"],
            ["train.learning_rate=0.0001", "train.learning_rate=0.001"],
        ),
    ],
)  # fmt: skip
def test_other_designs_have_their_own_figures(tmp_path, arguments, figure, names):
    config, rows = write_sweep(tmp_path, arguments, flat)
    assert [cell.name for cell in cell_runs(config, rows)] == names
    drawings = drawn(config, rows)
    assert {*figure, "front", "costs"} <= drawings.keys()
    assert all(
        "n = " in each.description or "problems" in each.description for each in drawings.values()
    )
    assert not any("not finished" in each.description for each in drawings.values())
    if "collisions" in figure:
        assert sorted({row["x"] for row in drawings["collisions"].rows}) == [0.0, 0.5, 1.0]


def test_the_law_is_fitted_for_every_further_setting_by_itself(tmp_path):
    arguments = ["sweep.budgets=[12]", "sweep.responses=[1,2]",
                 'sweep.space=["train.clip_norm=[1,2]"]']  # fmt: skip
    config, rows = write_sweep(tmp_path, arguments, lawful)
    laws = report._laws(config, rows)
    assert [(law.more, len(law.rows)) for law in laws] == [
        ("train.clip_norm=1", 2),
        ("train.clip_norm=2", 2),
    ]
    assert {"budget-1", "law-1", "budget-2", "law-2"} <= drawn(config, rows).keys()
    assert budget_says(laws)[0].startswith("With train.clip_norm=1: Keep K = ")


def test_a_sweep_of_which_nothing_finished_has_a_page(tmp_path):
    config, rows = write_sweep(tmp_path, ["sweep.budgets=[12]", "sweep.responses=[1]"], failed=[0])
    figure, _, sentences = report.write_report(config, rows)
    assert figure == "none" and sentences == ["No NLL cell finished, so there is nothing to say about the budget."]  # fmt: skip
    assert "What failed (1)" in (tmp_path / "report.html").read_text()


def test_the_front_is_what_brute_force_finds():
    values = [
        (0.1, 3.0),
        (0.5, 2.0),
        (0.5, 2.5),
        (0.4, 2.4),
        (0.9, 1.0),
        (0.9, 1.0),
        (0.2, float("nan")),
    ]
    cells = [
        CellRuns(str(place), "a", 1.0, [{"pass_at_1": p, "clusters_rarefied": c}])
        for place, (p, c) in enumerate(values)
    ]
    assert [cell.name for cell in front(cells)] == ["0", "2", "4", "5"]
    nothing = [CellRuns("a", "a", 1.0, [{}])]
    assert front(nothing) == [] and panels_drawing("a", "a", nothing, [{}], "x", "log") is None


def test_the_summary_shows_keys_that_differ_and_no_others(lambdas):
    _, rows = lambdas
    assert "loss_V_x" not in columns_of(rows) and "train_order" not in columns_of(rows)
    mixed = [rows[0], {**rows[1], "train_order": "shuffled"}]
    assert columns_of(mixed)["train_order"] == "order"


def test_a_run_that_failed_is_not_taken_for_one_without_isolation():
    assert unsafe_words([{"isolated": True}, {"isolated": None, "status": "failed"}]) == []


def test_every_recipe_of_the_page_about_queries_works(budget, monkeypatch, tmp_path):
    text = (ROOT / "docs" / "querying.md").read_text()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "laptop").symlink_to(budget.place)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    python = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for block in python:
        exec(block, names)
    asked = Sweep("runs/laptop")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    lengths = [len(asked.sql(query)) for query in queries]
    assert len(python) >= 3 and len(queries) >= 8
    empty = [query for query, length in zip(queries, lengths, strict=True) if not length]
    assert [("having max" in query) for query in empty] == [True] * len(
        empty
    )  # all problems are solved
    for line_ in re.findall(r"python -m raymode\.sweep\.table runs/laptop(.*)", text):
        quoted = re.findall(r'"([^"]*)"', line_)
        assert all(len(asked.sql(query)) for query in quoted)


def test_the_page_about_sweeps_names_every_design():
    text = (ROOT / "docs" / "sweeps.md").read_text()
    assert all(f"| `{name}` |" in text for name in report.TITLES)
    assert load(["sweep.design=plain"]).sweep.design in report.TITLES


def test_a_sweep_in_which_no_answer_was_right_has_a_page(tmp_path):
    config, rows = write_sweep(
        tmp_path, ["sweep.budgets=[12]", "sweep.responses=[1,2]"], lambda cell: (-1.0, 0.5, 20.0)
    )
    _, page, sentences = report.write_report(config, rows)
    assert sentences and Path(page).read_text().count("<figure>") >= 1


def test_a_dry_run_of_a_search_says_what_is_to_come(tmp_path, capsys):
    pytest.importorskip("optuna")
    config = load([
        f"run_dir={tmp_path}", "sweep.design=plain", "sweep.search=optuna", "sweep.draws=5",
        'sweep.space=["train.learning_rate=loguniform(1e-5,1e-2)"]',
    ])  # fmt: skip
    report.print_cells(config, cells(config), [])
    said = capsys.readouterr().out
    assert "0 cells, 0 to run" in said
    assert "5 more that the search chooses" in said
    assert "one trial needs 1 CPUs" in said
