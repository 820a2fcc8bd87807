"""SIGKILLs for judges and what runs in their sandboxes, chosen while a stage is at work."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.background import repeating

THREADS = 6
"""How a poison program shows itself to the killer: nothing else in a sandbox has threads."""
Table = dict[int, tuple[int, int, str]]
"""Process id -> (parent, threads, name)."""
Step = Callable[[int], int | None]
"""Takes how many were killed so far; returns whom to kill now, if anybody."""


def processes() -> Table:
    """Return the processes below this one: a Ray that it started is, and any other is not."""
    found: Table = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            status = dict(
                line.split(":\t", 1)
                for line in _read(f"/proc/{name}/status").splitlines()
                if ":\t" in line
            )
            called = _read(f"/proc/{name}/cmdline").split("\0")[0]
            found[int(name)] = (int(status["PPid"]), int(status["Threads"]), called)
    return {process: row for process, row in found.items() if is_below_this_one(process, found)}


def _read(file: str) -> str:
    """Return a file of /proc; a process may give itself a name of any bytes."""
    return Path(file).read_bytes().decode("utf-8", "replace")


def is_below_this_one(process: int, table: Table) -> bool:
    """Return whether a process descends from this one."""
    while process in table:
        process = table[process][0]
        if process == os.getpid():
            return True
    return False


def judge_of(process: int, table: Table) -> int | None:
    """Return the judge actor that a process descends from, if it does."""
    parent = table[process][0]
    while parent in table and not table[parent][2].startswith("ray::"):
        parent = table[parent][0]
    return parent if parent in table and "ray::" not in table[process][2] else None


@contextlib.contextmanager
def killer(step: Step) -> Iterator[list[int]]:
    """Repeat `step` in a thread while the block runs, and SIGKILL what it returns; yields what was killed."""
    killed: list[int] = []

    def kill() -> None:
        victim = step(len(killed))
        if victim is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    with repeating(kill, 0.03):
        yield killed


def poisoned() -> Step:
    """Return a step that finds the judge of every poison program, each time one runs."""
    seen = set()

    def step(killed: int) -> int | None:
        table = processes()
        for process, (_, threads, _) in table.items():
            judge = judge_of(process, table)
            if judge and threads == THREADS + 1 and process not in seen:
                seen.add(process)
                return judge
        return None

    return step


def by_chance(seed: int, judges: int, others: int) -> Step:
    """Return a step that kills so many judges and processes of their sandboxes, at random moments."""
    chance = random.Random(seed)
    victims = ["judge"] * judges + ["sandbox"] * others
    chance.shuffle(victims)
    due = 0.0

    def step(killed: int) -> int | None:
        nonlocal due
        table = processes()
        inside = {process: judge for process in table if (judge := judge_of(process, table))}
        if not inside or killed == len(victims) or time.monotonic() < due:
            return None
        due = time.monotonic() + chance.uniform(0.6, 1.2)
        process = chance.choice(sorted(inside))
        return inside[process] if victims[killed] == "judge" else process

    return step
