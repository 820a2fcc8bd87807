"""What a running child has used, as the kernel shows it to the outside."""

import os

_PAGE, _TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def usage(child: int) -> tuple[int, float]:
    """Bytes resident and CPU seconds of the process behind a pidfd; nothing if it has ended."""
    with open(f"/proc/self/fdinfo/{child}") as lines:
        pid = next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # bytes: its name is the program's choice
            fields = stat.read().rpartition(b")")[2].split()
        resident = int(fields[21]) or max(map(_resident, os.listdir(f"/proc/{pid}/task")))
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0, 0.0
    return resident * _PAGE, (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(thread: str) -> int:
    """Pages resident, seen from a thread: the main one may have ended, and then the process shows none."""
    with open(f"/proc/{thread}/statm", "rb") as statm:
        return int(statm.read().split()[1])
