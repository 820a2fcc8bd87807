"""The processes below one, as /proc tells."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


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
        return _read(self.pid) == self

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
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), int(fields[19]))


def generations(pid: int) -> list[list[Process]]:
    """Children of process `pid`, grandchildren and so on; [] for none."""
    found: list[list[Process]] = []
    above = [pid]
    while above:
        below = []
        for parent in above:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                names = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
                below += [process for name in names if (process := _read(int(name)))]
        if below:
            found.append(below)
        above = [process.pid for process in below]
    return found


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
