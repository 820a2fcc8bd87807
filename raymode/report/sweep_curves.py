"""Clusters among m right completions of a sweep's cells and of the data, a figure per seed."""

from collections.abc import Sequence

import pyarrow as pa

from raymode.config import Config
from raymode.report.compare_data import Run, Sample, Samples, Texts, read_sets
from raymode.report.compare_figures import rarefaction_drawing
from raymode.report.compare_stats import rarefaction_rows
from raymode.report.drawing import Drawing
from raymode.report.sweep_cells import CellRuns
from raymode.report.sweep_figures import front, mean
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.sweep.rows import MAIN_SPLITS

MOST_CURVES = 5  # more lines cannot be told apart, and every further one leaves fewer problems
COLUMNS = ["problem_id", "decoding", "verdict", "cluster_id"]


def curve_drawings(config: Config, cells: Sequence[CellRuns]) -> list[Drawing]:
    """Return a figure per seed: the first cell and those of the front, at most `MOST_CURVES`, beside the data.

    None for a seed in which too few problems have right completions of all these cells.
    """
    best = sorted(front(cells), key=lambda cell: -mean(cell, "pass_at_1"))
    chosen = [cells[0], *(cell for cell in best if cell is not cells[0])][:MOST_CURVES]
    seeds = sorted({row["seed"] for cell in chosen for row in cell.rows})
    drawn = [_of_seed(config, chosen, seed) for seed in seeds]
    return [each for each in drawn if each]


def _of_seed(config: Config, cells: Sequence[CellRuns], seed: int) -> Drawing | None:
    store = Store(config.run_dir)
    runs = {cell.name: row["run_id"] for cell in cells for row in cell.rows if row["seed"] == seed}
    sets = Run("sweep", store, config, Store(config.sets_path), None, {})
    splits = sets.sets.read_table("problems", ["problem_id", "split"]).to_pylist()
    main = {row["problem_id"] for row in splits if row["split"] in MAIN_SPLITS}
    samples = {name: _samples(store, run_id, main) for name, run_id in runs.items()}
    common = set.intersection(*(set(each.by_problem) for each in samples.values()))
    problems = sorted(common)
    if not problems:
        return None
    rows = rarefaction_rows(
        samples, read_sets(sets, problems), problems, derive_seed(config.seed, "curves", seed)
    )
    if not rows:
        return None
    made = rarefaction_drawing(rows)
    words = (
        f"Runs of seed {seed}: the sweep's first cell and cells of the front. {made.description}"
    )
    return made._replace(
        name=f"rarefaction-seed-{seed}", title=f"{made.title}, seed {seed}", description=words
    )


def _samples(store: Store, run_id: str, problems: set[str]) -> Samples:
    """Return the verdicts and clusters of a run's first decoding; texts are not read, no curve needs them."""
    rows = store.read_table(f"runs/{run_id}/judged", COLUMNS).to_pylist()
    by_problem: dict[str, list[Sample]] = {}
    for row in rows:
        if row["decoding"] == rows[0]["decoding"] and row["problem_id"] in problems:
            sample = Sample(row["verdict"], "", row["cluster_id"], "", False, 0)
            by_problem.setdefault(row["problem_id"], []).append(sample)
    return Samples(by_problem, Texts(pa.chunked_array([], pa.large_string())), frozenset())
