"""The processes below one, as /proc tells, and those of a sandbox by what they do in it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raymode.sandbox import Sandbox
from tests.background import repeating

MONITOR, ZYGOTE, PROGRAM = 0, 1, 2
"""Ranks of the processes of a sandbox: each descends from one of the rank before."""


@dataclass(frozen=True)
class Process:
    """A process for sure: ids are used again, but not with the same start."""

    pid: int
    parent: int
    started: int
    """Clock ticks since the machine started."""

    @property
    def alive(self) -> bool:
        """Whether it still exists and is no zombie."""
        found = _read(self.pid)
        return found is not None and found.started == self.started

    def kill(self) -> bool:
        """Send SIGKILL; False if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.alive:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    return True
            finally:
                os.close(descriptor)
        return False


def _read(pid: int) -> Process | None:
    try:
        # A program may give itself a name of any bytes, and spaces and parentheses among them.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), int(fields[19]))


def _children(pid: int) -> list[Process]:
    """Children that any of its threads started."""
    found: list[Process] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                names = (task / "children").read_text().split()
                found += [process for name in names if (process := _read(int(name)))]
    return found


def generations(*pids: int) -> list[list[Process]]:
    """Children of the processes `pids`, grandchildren and so on; [] for none."""
    found: list[list[Process]] = []
    above: Iterable[int] = pids
    while below := [process for parent in above for process in _children(parent)]:
        found.append(below)
        above = [process.pid for process in below]
    return found


def ranks(sandbox: Sandbox) -> list[list[Process]]:
    """The monitors of all its lanes, their zygotes, the programs that run just now.

    By descent: the order of ids says nothing once they have begun again from the start.
    """
    leaders = set()
    for pid in sandbox.processes():
        with contextlib.suppress(ProcessLookupError):
            leaders.add(os.getpgid(pid))
    monitors = [process for pid in sorted(leaders) if (process := _read(pid))]
    return [monitors, *generations(*(process.pid for process in monitors))]


def kill_one(sandbox: Sandbox, rank: int) -> Process:
    """Kill a process of a rank as soon as a program runs; return what was killed."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = ranks(sandbox)
        if len(found) > PROGRAM and found[rank][0].kill():
            return found[rank][0]
        time.sleep(0.01)
    raise AssertionError("no program was seen to run")


@contextlib.contextmanager
def killing_programs(sandbox: Sandbox) -> Iterator[list[Process]]:
    """Kill every program that is seen to run while the block does; yields those killed."""
    killed: list[Process] = []

    def kill() -> None:
        for programs in ranks(sandbox)[PROGRAM:]:
            killed.extend(process for process in programs if process.kill())

    with repeating(kill, 0.02):
        yield killed


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
