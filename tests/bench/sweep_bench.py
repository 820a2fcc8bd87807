"""What a sweep costs beyond its trials' own work.

    python tests/bench/sweep_bench.py [--arms auto,never] [--rounds 1] [KEY=VALUE …]

Runs the laptop's sweep with 12 cells, over sets that are built before, once for each value of `ray.in_process`. Own
work is what `work_s` counts: updates and held-out measurements, drawing, judging. The limit is own work on all cores
with nothing in between, so

    overhead = trials at once * wall / sum of own work - 1

with the wall of the whole command, from starting Python to the written page. Below it stands where the rest goes, in
core-seconds: stages beyond their work (starting workers, loading models, writing tables), between the stages of the
trials, and before the first and after the last trial.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CELLS = ["sweep.budgets=[480,240,120]", "sweep.responses=[1,2,3,6]"]
STAGES = ("train", "sample", "score")


def run(arm: str, directory: Path, keys: list[str]) -> float:
    """Run the sweep in `directory` and return its wall seconds."""
    keys = [f"run_dir={directory}", f"ray.in_process={arm}", *CELLS, *keys]
    log = directory.with_suffix(".log")
    began = time.perf_counter()
    with log.open("w") as output:
        subprocess.run(
            [sys.executable, str(ROOT / "jobs/sweep_budget.py"), *keys],
            check=True, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return time.perf_counter() - began


def spent(directory: Path) -> dict[str, tuple[float, float]]:
    """Return by stage the seconds of own work, and those of the wall, summed over the trials."""
    found = {}
    for stage in STAGES:
        records = [json.loads(path.read_text()) for path in directory.glob(f"runs/*/{stage}.json")]
        summaries = [record["summary"] for record in records]
        found[stage] = (
            sum(each["work_s"] for each in summaries),
            sum(each["wall_s"] for each in summaries),
        )
    return found


def trials_s(directory: Path) -> float:
    """Return the seconds from the first trial's start to the last one's end, as the driver's lines tell."""
    lines = directory.with_suffix(".log").read_text().splitlines()
    marks = [line.partition("[")[2].split(" s")[0] for line in lines if line.startswith("sweep ")]
    return float(marks[-1]) - float(marks[0])


def report(arm: str, wall: float, directory: Path) -> None:
    """Print the overhead of one run and where it is."""
    at_once = min(2, os.cpu_count() or 1)
    stages = spent(directory)
    work = sum(own for own, _ in stages.values())
    inside = sum(each for _, each in stages.values())
    between = at_once * trials_s(directory) - inside
    around = at_once * (wall - trials_s(directory))
    print(f"{arm}: wall {wall:.0f} s, own work {work:.0f} core-s,"
          f" overhead {at_once * wall / work - 1:.1%}")  # fmt: skip
    for stage, (own, all_of_it) in stages.items():
        print(f"    {stage:<28}{all_of_it - own:7.1f} core-s  {(all_of_it - own) / work:6.1%}")
    print(f"    {'between stages, and idle':<28}{between:7.1f} core-s  {between / work:6.1%}")
    print(f"    {'before and after the trials':<28}{around:7.1f} core-s  {around / work:6.1%}")
    sys.stdout.flush()


def main() -> None:
    """Build the sets, then run every arm in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arms", default="auto,never")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("keys", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        sets = Path(place) / "sets"
        job = [sys.executable, str(ROOT / "jobs/build_sets.py"), f"run_dir={sets}"]
        subprocess.run(job, check=True, capture_output=True)
        for number in range(options.rounds):
            for arm in options.arms.split(","):
                directory = Path(place) / f"{arm}-{number}"
                wall = run(arm, directory, [f"sets.path={sets / 'sets'}", *options.keys])
                report(arm, wall, directory)


if __name__ == "__main__":
    main()
