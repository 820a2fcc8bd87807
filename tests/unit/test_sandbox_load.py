"""A busy machine changes no verdict: 200 right programs, judged in calm and with all cores taken."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from real_python import RealPython
from sandbox_work import heavy_programs

from raymode.sandbox import Limits, Sandbox, Status, Test, Verdict
from raymode.sources.embedded import generate

pytestmark = pytest.mark.slow

PROGRAMS = 200
TIGHT = 2.0
"""The CPU limit of a heavy program, in times of what it takes in calm."""
HEAVY_S = (0.01, 0.5)
MOST_BURNERS = 4

Job = tuple[str, str, list[Test], Limits]
"""Name, program, tests, limits."""


@contextmanager
def burners() -> Iterator[None]:
    """Every core busy twice, with at most MOST_BURNERS processes."""
    count = min(MOST_BURNERS, 2 * (os.cpu_count() or 1))
    command = [sys.executable, "-S", "-c", "while True: pass"]
    # Each by itself: Linux shares the processor among groups of processes first.
    running = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def heavy_jobs(folder: Path) -> list[Job]:
    """Programs of 20 to 200 ms, each with a CPU limit of twice what it takes just now."""
    python = RealPython(folder)
    jobs = []
    with Sandbox(cache_size=0) as sandbox:
        for program in heavy_programs():
            tests = [Test(program.input, python.run(program.source, program.input).output.decode())]
            roomy = Limits(cpu_s=30.0)
            verdicts = [sandbox.judge(program.source, tests, roomy) for _ in range(3)]
            assert all(v.accepted for v in verdicts), (program.name, verdicts[0])
            calm = sorted(v.cpu_s for v in verdicts)[1]
            assert HEAVY_S[0] < calm < HEAVY_S[1], (program.name, calm)
            jobs.append((program.name, program.source, tests, Limits(cpu_s=TIGHT * calm)))
    return jobs


def light_jobs(count: int) -> list[Job]:
    """Different right programs of the embedded source, with the default limits."""
    jobs = []
    for problem, solutions in generate(0, problems_per_family=1, slow_every=0):
        tests = [Test(row["input"], row["output"]) for row in problem["tests"][:4]]
        right = [s for s in solutions if s["claimed"]]
        jobs += [
            (f"{problem['problem_id']} {s['label']}", s["code"], tests, Limits()) for s in right
        ]
    step = len(jobs) // count
    return jobs[::step][:count]


def judge_all(sandbox: Sandbox, jobs: list[Job]) -> list[Verdict]:
    return [sandbox.judge(source, tests, limits) for _, source, tests, limits in jobs]


@pytest.mark.parametrize("options", [{}, {"shared": True}], ids=["fresh", "shared"])
def test_a_busy_machine_changes_no_verdict(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heavy = heavy_jobs(tmp_path)
    jobs = heavy + light_jobs(PROGRAMS - len(heavy))
    assert len({source for _, source, _, _ in jobs}) == PROGRAMS
    with Sandbox(cache_size=0, **options) as sandbox:
        calm = judge_all(sandbox, jobs)
        with burners():
            busy = judge_all(sandbox, jobs)
    for name, verdicts in (("calm", calm), ("busy", busy)):
        wrong = [
            (job[0], v.status, v.message, v.cpu_s, job[3].cpu_s)
            for job, v in zip(jobs, verdicts, strict=True)
            if v.status is not Status.AC
        ]
        assert not wrong, (name, wrong)
    pairs = list(zip(calm, busy, strict=True))
    slower = max(b.cpu_s / c.cpu_s for c, b in pairs[: len(heavy)])
    stretched = sum(b.wall_s for b in busy) / sum(c.wall_s for c in calm)
    with capsys.disabled():
        print(f"\n{options}: {len(jobs)} programs, {len(heavy)} of them with {TIGHT} x their CPU time as limit; "
              f"under load wall time x {stretched:.1f}, their CPU time up to x {slower:.2f}")  # fmt: skip
