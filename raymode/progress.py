"""Progress lines on standard error: what is running, how far, how fast, how long still; and who else wants to know."""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

INTERVAL_S = 2.0


class Standing(NamedTuple):
    """How far a stage is."""

    stage: str
    run: str  # in a few words; "" for what all runs share
    unit: str
    done: int
    total: int
    per_second: float  # since it began, without what was there already
    work_s: float  # seconds that its workers have worked, in sum, as far as they are counted


_observers: list[Callable[[Standing], None]] = []


def observe(observer: Callable[[Standing], None]) -> None:
    """Have `observer` called with how far stages of this process are, every two seconds or so, from now on."""
    _observers.append(observer)


def tell(standing: Standing) -> None:
    """Tell all observers how far a stage is."""
    for observer in _observers:
        observer(standing)


class Progress:
    """Counts `unit`s of a known `total`; prints a line at most every two seconds, on a terminal or in a log."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        """label: the stage, and the run if it has one, in a few words."""
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.skipped = 0
        self.work_s = 0.0
        self._started = self._shown = time.monotonic()
        self._printed = -1

    def skip(self, count: int) -> None:
        """Count work that was already there: it says nothing about speed."""
        self.skipped += count
        self.done += count

    def advance(self, count: int, work_s: float = 0.0) -> None:
        """Count finished work, and the seconds it took its worker."""
        self.done += count
        self.work_s += work_s
        if time.monotonic() - self._shown >= INTERVAL_S:
            self._show()

    def close(self) -> None:
        """Print the last line, if it has not been."""
        if self._printed != self.done:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._printed = self.done
        elapsed = self._shown - self._started
        fresh = self.done - self.skipped
        rate = fresh / elapsed if fresh and elapsed > 0 else 0.0
        stage, _, run = self.label.partition(" ")
        tell(Standing(stage, run, self.unit, self.done, self.total, rate, self.work_s))
        line = f"{self.label}: {self.done}/{self.total} {self.unit}"
        if rate:
            left = (self.total - self.done) / rate
            line += f", {rate:.1f}/s, " + (
                f"{left:.0f} s left" if self.done < self.total else f"{elapsed:.0f} s"
            )
        print(line, file=sys.stderr, flush=True)
