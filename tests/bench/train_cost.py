"""What an arm of the training benchmark costs: CPU time, wall time and memory of a process of its own."""

import multiprocessing
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from train_arms import ARMS, First, Setup
from train_trl import TRL_ARMS

ALL_ARMS = ARMS | TRL_ARMS
MIB = 1024
"""KiB in one."""


@dataclass(frozen=True)
class Cost:
    """Per update after the first: CPU seconds of all threads, wall seconds. Of the process: resident memory in MiB."""

    cpu_s: float
    wall_s: float
    before_mib: float  # when it was ready to make the first update
    peak_mib: float  # while it made updates
    first: First

    @property
    def step_mib(self) -> float:
        """Memory that updates take beyond what the process has before the first."""
        return self.peak_mib - self.before_mib


def measure(name: str, setup: Setup, start: str) -> Cost:
    """Return what the arm `name` costs in a process started by "fork" or "spawn".

    A forked process has everything imported at once. A spawned one imports what its arm needs, so that its memory is
    that of a program that does nothing else.
    """
    context = multiprocessing.get_context(start)
    here, there = context.Pipe(duplex=False)
    child = context.Process(  # type: ignore[attr-defined]
        target=_make_updates, args=(there, name, setup)
    )
    child.start()
    there.close()
    try:
        cost: Cost = here.recv()
    except EOFError:
        raise SystemExit(f"{name}: failed, see above") from None
    finally:
        child.join()
    return cost


def rounds_of(
    names: Sequence[str], setup: Setup, rounds: int, start: str = "fork"
) -> dict[str, list[Cost]]:
    """Return the costs of arms in each round; in a round every arm has its turn."""
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            costs[name].append(measure(name, setup, start))
    return costs


def ratio(costs: dict[str, list[Cost]], name: str, other: str) -> float:
    """Return the median over rounds of the CPU time of `name` over that of `other` in the same round."""
    return statistics.median(
        one.cpu_s / two.cpu_s for one, two in zip(costs[name], costs[other], strict=True)
    )


def _make_updates(pipe: Connection, name: str, setup: Setup) -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    torch.set_num_threads(setup.threads)
    marks: list[tuple[float, float]] = []
    before: list[float] = []

    def mark() -> None:
        marks.append((time.process_time(), time.perf_counter()))
        if len(marks) == 1:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before.append(_status_mib("VmRSS"))

    first = ALL_ARMS[name](setup, mark)
    if len(marks) != setup.updates + 1:
        raise SystemExit(f"{name}: made {len(marks) - 1} updates instead of {setup.updates}")
    cpu_s, wall_s = (
        (end - begin) / (setup.updates - 1) for begin, end in zip(marks[1], marks[-1], strict=True)
    )
    pipe.send(Cost(cpu_s, wall_s, before[0], _status_mib("VmHWM"), first))


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / MIB
