"""Two or more runs brought together: what is compared with what, on which problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raymode.config import Config
from raymode.measure.paired import Difference, common_metrics, differences
from raymode.report.compare_data import (
    Run,
    Samples,
    Sets,
    choose_decodings,
    common_problems,
    read_runs,
    read_samples,
    read_sets,
)
from raymode.report.compare_stats import Arm, difference_rows

RAREFIED = "_rarefied"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that the page is made from; `arms`, one per run, are the decodings compared problem by problem."""

    runs: Sequence[Run]
    problems: Sequence[str]
    arms: Sequence[Arm]
    samples: Mapping[str, Samples]
    sets: Sets
    found: Sequence[Mapping[str, Difference]]  # of each run but the first
    seed: int


def compare(config: Config) -> Comparison:
    """Read the runs of `compare.runs` and return their differences on the problems they have in common."""
    runs = read_runs(config)
    problems = common_problems(runs)
    chosen = choose_decodings(runs, config.compare.decoding)
    arms = [Arm(run.name, name, run.scores[name]) for run, name in zip(runs, chosen, strict=True)]
    samples = {
        run.name: read_samples(run, name, problems) for run, name in zip(runs, chosen, strict=True)
    }
    found = [_differences(runs, arms[0], arm, problems, config.seed) for arm in arms[1:]]
    return Comparison(
        runs, problems, arms, samples, read_sets(runs[0], problems), found, config.seed
    )


def all_differences(made: Comparison) -> list[dict[str, Any]]:
    """Return the rows of `compare.parquet`: the arms compared, then every other decoding that a run and the baseline share."""
    rows: list[dict[str, Any]] = []
    baseline, base = made.runs[0], made.arms[0]
    for run, arm, found in zip(made.runs[1:], made.arms[1:], made.found, strict=True):
        rows += difference_rows(base, arm, found)
        for name in baseline.scores:
            if name in run.scores and (name, name) != (base.decoding, arm.decoding):
                one = Arm(baseline.name, name, baseline.scores[name])
                other = Arm(run.name, name, run.scores[name])
                more = _differences(made.runs, one, other, made.problems, made.seed)
                rows += difference_rows(one, other, more)
    return rows


def _differences(
    runs: Sequence[Run], baseline: Arm, other: Arm, problems: Sequence[str], seed: int
) -> dict[str, Difference]:
    names = common_metrics(baseline.scores, other.scores)
    if len({run.config.score.rarefy_to for run in runs}) > 1:
        names = [name for name in names if not name.endswith(RAREFIED)]
    return differences(baseline.scores, other.scores, problems, names, seed)
