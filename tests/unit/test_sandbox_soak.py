"""A long run leaves nothing behind: no process, no open file, no memory."""

import os
from pathlib import Path
from typing import Any

import pytest
from processes import generations, resident_kib

from raymode.sandbox import Sandbox, Status, Test

pytestmark = pytest.mark.slow

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n"), Test("5 5\n", "10\n")]
ENDINGS = [
    (ADD, Status.AC),
    (ADD + "print('more')\n", Status.WA),
    ("1 / 0\n", Status.RE),
    ("x = (\n", Status.CE),
    ("import ctypes\nctypes.CDLL(None).ptrace(0)\n", Status.SV),
    (ADD + "import threading\nthreading.Thread(target=print).start()\n" * 2, Status.AC),
]


RAY = ("plasma", "sem.hdr", "sem.obj")
"""What Ray puts into shared memory; one may come up on this machine meanwhile."""


def state() -> tuple[int, list[int]]:
    """Open files of this process, the processes below it."""
    below = [process.pid for generation in generations(os.getpid()) for process in generation]
    return len(os.listdir("/proc/self/fd")), below


def shared_memory() -> set[str]:
    """Names in shared memory but those of Ray."""
    folder = Path("/dev/shm")
    names = os.listdir(folder) if folder.is_dir() else []
    return {name for name in names if not name.startswith(RAY)}


@pytest.mark.parametrize("options", [{}, {"shared": True}], ids=["fresh", "shared"])
def test_ten_thousand_programs_leave_everything_as_it_was(options: dict[str, Any]) -> None:
    with Sandbox(cache_size=100, **options) as sandbox:

        def judge(count: int) -> None:
            for n in range(count):
                program, status = ENDINGS[n % len(ENDINGS)]
                assert sandbox.judge(program + f"# {n}", TESTS).status is status

        judge(500)
        before, names = state(), shared_memory()
        assert len(before[1]) == 2  # monitor and zygote, never replaced
        resident = [resident_kib(pid) for pid in [os.getpid(), *before[1]]]
        judge(9_500)
        assert state() == before
        assert shared_memory() <= names
        grown = [resident_kib(pid) for pid in [os.getpid(), *before[1]]]
        assert all(now <= then + 2048 for now, then in zip(grown, resident, strict=True))
    assert generations(os.getpid()) == []
