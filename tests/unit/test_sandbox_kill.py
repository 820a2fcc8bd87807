"""SIGKILL of any process of the sandbox, its owner too, at random moments: no verdict is wrong or lost.

RAYMODE_KILL_SECONDS sets how long it lasts.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from processes import Process, generations
from sandbox_worker import WORK_LIST

import raymode

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("RAYMODE_KILL_SECONDS", "60"))
KINDS = ("monitor", "zygote", "child")
"""What the first, second and third generation below the owner are."""
PAUSE_S = (0.3, 1.2)
GONE_WITHIN_S = 5.0


class Worker:
    """The owner: judges in a process of its own, and is started again after its death."""

    def __init__(self, journal: Path, until: float, options: dict[str, Any]) -> None:
        script = str(Path(__file__).with_name("sandbox_worker.py"))
        self._command = [sys.executable, script, str(journal), str(until), json.dumps(options)]
        root = str(Path(raymode.__file__).parent.parent)
        self._environment = {**os.environ, "PYTHONPATH": root}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environment)

    def kill_and_restart(self) -> list[Process]:
        """Kill the owner in the middle of its work; return what was below it."""
        below = [process for generation in generations(self.pid) for process in generation]
        self._process.kill()
        self._process.wait()
        self.start()
        return below

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def finish(self) -> int:
        return self._process.wait(60)


def kill_one_below(owner: int, kind: str) -> bool:
    """Kill a process of that kind as soon as there is one; False if none comes up."""
    depth = KINDS.index(kind)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        found = generations(owner)
        if len(found) > depth and found[depth][0].kill():
            return True
    return False


def all_gone(processes: list[Process]) -> bool:
    end = time.monotonic() + GONE_WITHIN_S
    while any(process.alive for process in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("options", [{}, {"shared": True}], ids=["fresh", "shared"])
def test_kills_at_random_moments(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(1)
    kills: Counter[str] = Counter()
    starts_failed = 0
    journal = tmp_path / "journal"
    until = time.time() + SECONDS
    worker = Worker(journal, until, options)
    while time.time() < until - 2:
        time.sleep(chance.uniform(*PAUSE_S))
        kind = chance.choice((*KINDS, "owner"))
        if worker.ended:  # its zygotes were killed in the first moment: Sandbox() failed
            starts_failed += 1
            worker.start()
        elif kind == "owner":
            orphans = worker.kill_and_restart()
            assert all_gone(orphans), "processes of the sandbox outlive its owner"
            kills[kind] += 1
        else:
            kills[kind] += kill_one_below(worker.pid, kind)
    assert worker.finish() == 0
    lines = [line.split() for line in journal.read_text().splitlines()]
    errors = sum(int(line[2]) for line in lines)
    with capsys.disabled():
        print(f"\n{options}: killed {dict(kills)}; {len(lines)} verdicts, {errors} times SANDBOX_ERROR before "
              f"one, {starts_failed} failed starts; levels {Counter(line[3] for line in lines)}")  # fmt: skip
    numbers = range(len(lines))
    due = [str(WORK_LIST[number % len(WORK_LIST)][3]) for number in numbers]
    assert [line[0] for line in lines] == [str(number) for number in numbers]
    assert [(n, lines[n][1], due[n]) for n in numbers if lines[n][1] != due[n]] == []
    assert len({line[3] for line in lines}) == 1, "a kill changed the level"
    assert set(kills) == {*KINDS, "owner"}
    assert sum(kills.values()) > SECONDS / 3
    # Only two kills in one piece of work may leave it without a verdict.
    assert errors <= 1 + 0.05 * sum(kills.values())
