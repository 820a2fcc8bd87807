"""A sandbox where it can make a cgroup: the kernel bounds all of it together. Skipped elsewhere.

To try it: systemd-run --user --wait --pipe -p Delegate=yes python -m pytest tests/unit/test_sandbox_together.py
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from raymode.sandbox import Limits, Question, Sandbox, Status, Test, client
from raymode.sandbox.cgroup import Cgroup

GROW = "kept = []\nfor _ in range(400):\n    kept.append(bytearray(1 << 20))\n"
LIMITS = Limits(cpu_s=20.0, memory_mb=128)


@pytest.fixture(autouse=True)
def home(require_level: Callable[[str], None]) -> str:
    """Where this process is before and after."""
    require_level("L4")
    leaf = Cgroup.make()
    if leaf is None:
        pytest.skip("no cgroup v2 in which this process may make a child with memory and pids")
    leaf.close()
    return Path("/proc/self/cgroup").read_text()


def test_the_kernel_ends_what_grows_while_nobody_looks(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "usage", lambda child: (0, 0.0))
    with Sandbox(level="L4") as sandbox:
        assert sandbox.has_cgroup
        assert sandbox.run(GROW, "", LIMITS).status is Status.MLE
        verdict = sandbox.judge("print(input())", [Test("1\n", "1\n")], LIMITS)
        assert verdict.status is Status.AC
    assert Path("/proc/self/cgroup").read_text() == home


def test_every_lane_has_one_of_its_own(home: str) -> None:
    questions = [
        Question(f"import time\ntime.sleep(0.5)\nprint({n})", [Test("", f"{n}\n")], LIMITS)
        for n in range(4)
    ]
    with Sandbox(level="L4", lanes=2) as sandbox:
        assert all(verdict.accepted for verdict in sandbox.judge_many(questions))
        groups = {Path(f"/proc/{pid}/cgroup").read_text() for pid in sandbox.processes()}
        assert len(groups) == 2
        assert home not in groups
    assert Path("/proc/self/cgroup").read_text() == home
