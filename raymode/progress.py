"""Progress lines on standard error: what is running, how far, how fast, how long still."""

import sys
import time

INTERVAL_S = 2.0


class Progress:
    """Counts `unit`s of a known `total`; prints a line at most every two seconds, on a terminal or in a log."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.skipped = 0
        self._started = self._shown = time.monotonic()
        self._printed = -1

    def skip(self, count: int) -> None:
        """Count work that was already there: it says nothing about speed."""
        self.skipped += count
        self.done += count

    def advance(self, count: int) -> None:
        """Count finished work."""
        self.done += count
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
        line = f"{self.label}: {self.done}/{self.total} {self.unit}"
        if fresh and elapsed > 0:
            left = (self.total - self.done) * elapsed / fresh
            line += f", {fresh / elapsed:.1f}/s, " + (
                f"{left:.0f} s left" if self.done < self.total else f"{elapsed:.0f} s"
            )
        print(line, file=sys.stderr, flush=True)
