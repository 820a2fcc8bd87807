"""The planner's predictions against the real job on 1, 2 and 4 nodes of one CPU each.

    python -m tests.bench.plan_bench [--rounds 1]

Run from the repository's root, on an otherwise idle machine: the last column tells. The programs sleep, so that their
own work leaves a machine of two cores free; Ray's processes for four nodes may not. A first, smaller job on one node
gives the planner its unit costs; the jobs that are compared with it have four times the work. A round takes about five
minutes.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq

from raymode.plan.events import run_stage
from raymode.plan.load import Plant, Stage
from raymode.schema import PROBLEMS
from raymode.store import Store
from tests.faults.nodes import Nodes

NODES = (1, 2, 4)
PIECES, MEASURED_PIECES = 32, 8
"""Parts of the job that is predicted, and of the one that gives the unit costs."""
PROBLEM_COUNT, PROGRAM_COUNT, SLEEP_S = 4, 5, 0.15
"""Problems per part, programs per problem, each run on one test. A part is one bundle, which goes to one actor."""
PART_FILES = 5  # four tables and a record
AT_ONCE = (PROBLEM_COUNT + PART_FILES) / (math.ceil(PROBLEM_COUNT / 8) + PART_FILES)
"""A part's journal is read eight files at a time; its own files are written one after the other."""
LIMIT_S = 400
PROGRAM = "import time\nn = int(input())\ntime.sleep({sleep})\nprint(n + {number} - {number})\n"
HEADER = """\
| nodes | wall, predicted | measured | ratio | work, predicted | measured | ratio | a program | nodes busy | machine idle |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Job:
    """Seconds of one job, from starting Python to its exit."""

    wall_s: float
    whole_s: list[float]
    """When each part stood whole, in order."""
    program_s: float
    """A program from its question to its verdict, on average."""
    idle: float
    """Share of the machine's CPU time that nobody used, 0 to 1; near 0 the nodes wait for each other or for others."""

    @property
    def piece_s(self) -> float:
        """On one node: between the first part and the last."""
        return (self.whole_s[-1] - self.whole_s[0]) / (len(self.whole_s) - 1)

    def work_s(self, piece_s: float) -> float:
        """Return the seconds from the beginning of the first part to the end of the last."""
        return self.whole_s[-1] - self.whole_s[0] + piece_s


@dataclass(frozen=True)
class Units:
    """What the planner is given. Seconds of a part, of all before and after the work, of a small file."""

    piece_s: float
    start_s: float
    file_s: float

    def predicted_s(self, nodes: int) -> float:
        """Return the wall seconds that the planner says."""
        stage = Stage(
            pieces=PIECES, piece_s=self.piece_s, start_s=self.start_s, files=PROBLEM_COUNT + PART_FILES, at_once=AT_ONCE,
        )  # fmt: skip
        return run_stage(stage, Plant(boot_s=0, file_s=self.file_s), nodes, seed=0).wall_s


def write_source(folder: Path) -> None:
    """Write set tables whose programs sleep, one file per part."""
    for table in ("problems", "solutions"):
        (folder / table).mkdir(parents=True)
    for number in range(PIECES):
        name = f"part-{number:05d}.parquet"
        numbers = range(number * PROBLEM_COUNT, (number + 1) * PROBLEM_COUNT)
        problems = pa.Table.from_pylist([problem(each) for each in numbers], schema=PROBLEMS)
        pq.write_table(problems, folder / "problems" / name)
        rows = [row for each in numbers for row in solutions(each)]
        pq.write_table(pa.Table.from_pylist(rows), folder / "solutions" / name)


def problem(number: int) -> dict[str, object]:
    return {
        "problem_id": f"p{number}", "prompt": f"Print n. ({number})", "checker": "tokens", "cpu_s": 2.0,
        "memory_mb": 256, "source": "made", "split": "train", "tests": [{"input": "3\n", "output": "3\n"}],
    }  # fmt: skip


def solutions(number: int) -> Iterator[dict[str, object]]:
    for each in range(PROGRAM_COUNT):
        code = PROGRAM.format(sleep=SLEEP_S, number=PROGRAM_COUNT * number + each)
        yield {
            "problem_id": f"p{number}", "code": code, "language": "python", "label": "made", "claimed": True
        }  # fmt: skip


def build(cluster: Nodes, folder: Path, pieces: int, actors: int) -> Job:
    """Run the job on the first `pieces` parts with so many actors."""
    run_dir = Path(tempfile.mkdtemp(dir=folder))
    log = run_dir.with_suffix(".log")
    command = [
        sys.executable, "jobs/build_sets.py", "source=tables", f"path={folder / 'source'}", f"run_dir={run_dir}",
        f"read.limit={pieces * PROBLEM_COUNT}", f"sets.actors={actors}", "sets.dataset=false", "sandbox.lanes=1",
        f"ray.address={cluster.address}",
    ]  # fmt: skip
    before = cpu_time()
    began, clock = time.time(), time.perf_counter()  # file times are those of time.time()
    with cluster.driver(*command, log=log) as driver:
        code = driver.wait(LIMIT_S)
    wall = time.perf_counter() - clock
    idle, total = (now - then for now, then in zip(cpu_time(), before, strict=True))
    assert code == 0, f"{code}: {log.read_text()[-4000:]}"
    sets = Store(f"{run_dir}/sets")
    accepted = sets.read_json("manifest.json")["summary"]["accepted"]
    assert accepted == pieces * PROBLEM_COUNT * PROGRAM_COUNT, f"{accepted} accepted"
    written = (file.stat().st_mtime - began for file in Path(sets.path("parts")).iterdir())
    programs = [row["wall_s"] for row in sets.rows("executions", ["wall_s"])]
    return Job(wall, sorted(written), fmean(programs), idle / total)


def cpu_time() -> tuple[int, int]:
    """Return this machine's idle and whole CPU time since it started, in ticks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)  # idle, and idle while a disk works


def file_seconds(folder: Path) -> float:
    """Return what writing or reading a small file takes here, on average."""
    store, count = Store(str(folder / "files")), 50
    began = time.perf_counter()
    for number in range(count):
        store.write_bytes(f"{number}", bytes(10_000))
        store.read_bytes(f"{number}")
    return (time.perf_counter() - began) / (2 * count)


def units(cluster: Nodes, folder: Path) -> Units:
    """Measure the unit costs on one node, with a quarter of the work."""
    job = build(cluster, folder, MEASURED_PIECES, 1)
    piece_s = job.piece_s
    return Units(piece_s, job.wall_s - MEASURED_PIECES * piece_s, file_seconds(folder))


def compare(folder: Path) -> None:
    """Print the predictions, and what was measured on nodes that join one after the other."""
    with Nodes(1) as cluster:
        given = units(cluster, folder)
        print(
            f"units: a part {given.piece_s:.2f} s, before and after the work {given.start_s:.1f} s, "
            f"a file {1e3 * given.file_s:.2f} ms\n{HEADER}",
            flush=True,
        )
        for nodes in NODES:
            while len(cluster.living()) < nodes:
                cluster.add()
            print(row(nodes, given, build(cluster, folder, PIECES, nodes)), flush=True)


def row(nodes: int, given: Units, job: Job) -> str:
    """Return a line of the table; seconds, and measured over predicted."""
    wall, work = given.predicted_s(nodes), job.work_s(given.piece_s)
    predicted = wall - given.start_s
    programs_s = PIECES * PROBLEM_COUNT * PROGRAM_COUNT * job.program_s
    return (
        f"| {nodes} | {wall:.1f} | {job.wall_s:.1f} | {job.wall_s / wall:.2f} "
        f"| {predicted:.1f} | {work:.1f} | {work / predicted:.2f} "
        f"| {job.program_s:.3f} | {programs_s / (nodes * work):.0%} | {job.idle:.0%} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1)
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory() as directory:
            write_source(Path(directory) / "source")
            compare(Path(directory))
