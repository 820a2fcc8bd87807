"""SIGKILLs for judges and what runs in their sandboxes, chosen while a stage is at work."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

THREADS = 6
"""How a poison program shows itself to the killer: nothing else in a sandbox has threads."""


def processes() -> dict[int, tuple[int, int, str]]:
    """Return process id -> (parent, threads, name) of this machine."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{name}/status").read_text().splitlines()
                if ":\t" in line
            )
            called = Path(f"/proc/{name}/cmdline").read_text().split("\0")[0]
            found[int(name)] = (int(status["PPid"]), int(status["Threads"]), called)
    return found


def judge_of(process: int, table: dict[int, tuple[int, int, str]]) -> int | None:
    """Return the judge actor that a process descends from, if it does."""
    parent = table[process][0]
    while parent in table and not table[parent][2].startswith("ray::"):
        parent = table[parent][0]
    return parent if parent in table and "ray::" not in table[process][2] else None


@contextlib.contextmanager
def killer(step: Callable[[], int | None]) -> Iterator[list[int]]:
    """Repeat `step` in a thread while the block runs, and SIGKILL what it returns; yields what was killed."""
    stop, killed = threading.Event(), []

    def watch() -> None:
        while not stop.wait(0.03):
            victim = step()
            if victim is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def poisoned() -> Callable[[], int | None]:
    """Return a step that finds the judge of every poison program, each time one runs."""
    seen = set()

    def step() -> int | None:
        table = processes()
        for process, (_, threads, _) in table.items():
            judge = judge_of(process, table)
            if judge and threads == THREADS + 1 and process not in seen:
                seen.add(process)
                return judge
        return None

    return step


def by_chance(seed: int, judges: int, others: int) -> Callable[[], int | None]:
    """Return a step that kills so many judges and processes of their sandboxes, at random moments."""
    chance = random.Random(seed)
    victims = ["judge"] * judges + ["sandbox"] * others
    chance.shuffle(victims)
    due = 0.0

    def step() -> int | None:
        nonlocal due
        table = processes()
        inside = {process: judge for process in table if (judge := judge_of(process, table))}
        if not inside or not victims or time.monotonic() < due:
            return None
        due = time.monotonic() + chance.uniform(0.6, 1.2)
        process = chance.choice(sorted(inside))
        return inside[process] if victims.pop() == "judge" else process

    return step
