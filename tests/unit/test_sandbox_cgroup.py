"""cgroup v2 limits, where a leaf can be made. Skipped elsewhere.

To try them: systemd-run --user --wait --pipe -p Delegate=yes python -m pytest tests/unit/test_sandbox_cgroup.py
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raymode.sandbox import cgroup as cgroup_module
from raymode.sandbox.cgroup import Cgroup

MIB = 1 << 20


@pytest.fixture
def leaf() -> Iterator[Cgroup]:
    made = Cgroup.make()
    if made is None:
        pytest.skip("no cgroup v2 in which this process may make a child with memory and pids")
    yield made
    made.close()


@contextlib.contextmanager
def inside(cgroup: Cgroup, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that runs `code` once it is in the cgroup."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", f"input()\n{code}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            cgroup.add(process.pid)
            os.write(process.stdin.fileno(), b"\n")  # type: ignore[union-attr]
            yield process
        finally:
            process.kill()


GROW = "block = bytearray({} << 20)\nprint('ended')"


def test_too_much_memory_is_an_end_by_the_kernel_that_is_counted(leaf: Cgroup) -> None:
    leaf.limit(100 * MIB, 10)
    with inside(leaf, GROW.format(80)) as modest:
        assert modest.communicate(timeout=60)[0] == b"ended\n"
    assert leaf.oom_kills() == 0
    with inside(leaf, GROW.format(400)) as greedy:
        greedy.communicate(timeout=60)
        assert greedy.returncode == -signal.SIGKILL
    assert (leaf.oom_kills(), leaf.oom_kills()) == (1, 1)


def test_memory_of_all_processes_counts_together(leaf: Cgroup) -> None:
    leaf.limit(100 * MIB, 10)
    code = "import os, time\nfor _ in range(4):\n if os.fork() == 0:\n  block = bytearray(60 << 20); time.sleep(60)\nos.wait()"
    with inside(leaf, code) as family:
        family.wait(60)
    assert leaf.oom_kills() >= 1


def test_files_in_memory_count(leaf: Cgroup) -> None:
    leaf.limit(20 * MIB, 10)
    code = "import os\nfile = os.memfd_create('x')\nfor _ in range(400): os.write(file, bytes(1 << 20))"
    with inside(leaf, code) as writer:
        writer.communicate(timeout=60)
        assert writer.returncode == -signal.SIGKILL
    assert leaf.oom_kills() == 1


def test_a_kill_for_want_of_memory_elsewhere_is_not_counted(leaf: Cgroup) -> None:
    """The leaf's own limit is far; one of a cgroup between is met instead."""
    leaf.limit(1000 * MIB, 10)
    (leaf.folder / "cgroup.subtree_control").write_text("+memory +pids")
    below = Cgroup(leaf.folder / "below")
    below.folder.mkdir()
    try:
        below.limit(2000 * MIB, 10)
        (leaf.folder / "memory.max").write_text(str(100 * MIB))
        with inside(below, GROW.format(400)) as victim:
            victim.communicate(timeout=60)
            assert victim.returncode == -signal.SIGKILL
        assert "oom_kill 1" in (below.folder / "memory.events").read_text().splitlines()
        assert below.oom_kills() == 0
    finally:
        below.close()
        (leaf.folder / "cgroup.subtree_control").write_text("-memory -pids")


def test_tasks_are_bounded(leaf: Cgroup) -> None:
    leaf.limit(500 * MIB, 5)
    code = """
import threading, time
count = 1
try:
    while count < 100:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except RuntimeError:
    print(count, flush=True)
"""
    with inside(leaf, code) as process:
        printed, _ = process.communicate(timeout=60)
    assert int(printed) == 5 + cgroup_module._OWN_TASKS
    assert leaf.oom_kills() == 0


def test_limits_can_change_and_are_written_only_then(leaf: Cgroup) -> None:
    leaf.limit(100 * MIB, 10)
    limit = leaf.folder / "memory.max"
    assert int(limit.read_text()) == 100 * MIB + cgroup_module._OWN_MEMORY
    limit.write_text(str(77 * MIB))
    leaf.limit(100 * MIB, 10)
    assert int(limit.read_text()) == 77 * MIB
    leaf.limit(200 * MIB, 10)
    assert int(limit.read_text()) == 200 * MIB + cgroup_module._OWN_MEMORY
    assert (leaf.folder / "memory.swap.max").read_text() == "0\n"


@pytest.mark.parametrize("has_kill_file", [True, False])
def test_closing_ends_what_is_inside_and_leaves_nothing(
    leaf: Cgroup, has_kill_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_kill_file:  # as before Linux 5.14
        write = cgroup_module._write

        def refuse(file: Path, text: str) -> None:
            if file.name == "cgroup.kill":
                raise FileNotFoundError(file)
            write(file, text)

        monkeypatch.setattr(cgroup_module, "_write", refuse)
    code = "import os, time\nfor _ in range(3): os.fork()\nprint('up', flush=True)\ntime.sleep(60)"
    with inside(leaf, code) as process:
        assert process.stdout is not None
        for _ in range(8):
            process.stdout.readline()
        leaf.close()
        assert process.wait(10) == -signal.SIGKILL
    assert not leaf.folder.exists()
    leaf.close()


def test_leaves_of_dead_owners_are_removed_and_others_stay(leaf: Cgroup) -> None:
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    with pytest.raises(ProcessLookupError):
        leaf.add(dead.pid)
    parent = leaf.folder.parent
    abandoned = parent / f"raymode-{dead.pid}-0123abcd"
    lived_in = parent / f"raymode-{dead.pid}-0123abce"
    unknown = parent / f"raymode-{dead.pid}-important"
    for folder in (abandoned, lived_in, unknown):
        folder.mkdir()
    try:
        with inside(Cgroup(lived_in), "import time; time.sleep(60)"):
            second = Cgroup.make()
            assert second is not None
            second.close()
            assert not abandoned.exists()
            assert lived_in.exists() and unknown.exists() and leaf.folder.exists()
    finally:
        for folder in (lived_in, unknown):
            Cgroup(folder).close()


def test_the_process_is_back_where_it_was_after_the_last_leaf(leaf: Cgroup) -> None:
    leaf.close()
    before = Path("/proc/self/cgroup").read_text()
    first, second = Cgroup.make(), Cgroup.make()
    assert first is not None and second is not None
    assert first.folder.parent == second.folder.parent
    assert first.folder != second.folder
    first.close()
    second.limit(100 * MIB, 10)
    second.close()
    assert Path("/proc/self/cgroup").read_text() == before
    assert not list(second.folder.parent.glob(f"raymode-{os.getpid()}-*"))


def test_threads_make_and_close_leaves_at_the_same_time(leaf: Cgroup) -> None:
    leaf.close()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                made = Cgroup.make()
                assert made is not None
                made.limit(100 * MIB, 10)
                made.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    assert failures == []
    assert not list(leaf.folder.parent.glob(f"raymode-{os.getpid()}-*"))
