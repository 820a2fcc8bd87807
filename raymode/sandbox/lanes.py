"""Several zygotes that take turns: a program that sleeps does not hold up the others.

A lane is a zygote with the thread that uses it. All lanes of a sandbox share one turn, which a lane holds while
a child of its zygote computes; it passes the turn on when its child ends, or is seen to sleep.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence

from raymode.errors import SandboxError
from raymode.sandbox.packages import Packages
from raymode.sandbox.runner import Runner
from raymode.sandbox.turn import Turn


class Lanes:
    """Up to `count` runners, each made when it is first needed."""

    def __init__(self, count: int, levels: Sequence[str], shared: bool, packages: Packages) -> None:
        """Start the first one; see `Sandbox`. Raises SandboxError if none of the levels works here."""
        self.count = count
        self._shared = shared
        self._packages = packages
        self._turn = Turn()
        self._changed = threading.Condition()
        first = Runner(levels, shared, packages, self._turn)
        self._runners = [first]
        self._starting = 0
        self._free = [first]
        self._closed = False
        self.level = first.level
        self.has_cgroup = first.has_cgroup

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Runner]:
        """A runner nobody else uses meanwhile; waits for one. Raises SandboxError if closed."""
        runner = self._take()
        try:
            yield runner
        finally:
            with self._changed:
                self._free.append(runner)
                self._changed.notify_all()

    def _take(self) -> Runner:
        with self._changed:
            while True:
                self.check_open()
                if self._free:
                    return self._free.pop()
                if len(self._runners) + self._starting < self.count:
                    self._starting += 1
                    break
                self._changed.wait()
        return self._start()

    def _start(self) -> Runner:
        """Start another runner, at the level of the first; others go on meanwhile."""
        runner = None
        try:
            runner = Runner([self.level], self._shared, self._packages, self._turn)
            return runner
        finally:
            with self._changed:
                self._starting -= 1
                if runner is not None:
                    self._runners.append(runner)
                self._changed.notify_all()

    def check_open(self) -> None:
        """Raise SandboxError if closed."""
        if self._closed:
            raise SandboxError("sandbox: already closed; make a new one")

    def close(self) -> None:
        """Wait until every runner is free, and end them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._starting or len(self._free) < len(self._runners):
                self._changed.wait()
            for runner in self._runners:
                runner.close()
            self._runners.clear()
            self._free.clear()

    def processes(self) -> list[int]:
        """Ids of all processes of all lanes."""
        with self._changed:
            return [pid for runner in self._runners for pid in runner.processes()]
