"""Several zygotes that take turns: a program that sleeps does not hold up the others.

A lane is a zygote with the thread that uses it. All lanes of a sandbox share one turn, which a lane holds while
a child of its zygote computes; it passes the turn on when its child ends, or is seen to sleep.
"""

import contextlib
import threading
from collections.abc import Iterator

from raymode.errors import SandboxError
from raymode.sandbox.packages import Packages
from raymode.sandbox.runner import Runner
from raymode.sandbox.turn import Turn
from raymode.sandbox.verdict import UNSAFE


class Lanes:
    """Up to `count` runners, each made when it is first needed."""

    def __init__(
        self, count: int, level: str | None, allow_unsafe: bool, shared: bool, packages: Packages
    ) -> None:
        """Start the first one; see `Sandbox`. Raises SandboxError if no allowed level works here."""
        self.count = count
        self._allow_unsafe = allow_unsafe
        self._shared = shared
        self._packages = packages
        self._turn = Turn()
        self._changed = threading.Condition()
        first = Runner(level, allow_unsafe, shared, packages, self._turn)
        self._runners = [first]
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
                if len(self._runners) < self.count:
                    runner = Runner(
                        None if self.level == UNSAFE else self.level,
                        self._allow_unsafe,
                        self._shared,
                        self._packages,
                        self._turn,
                    )
                    self._runners.append(runner)
                    return runner
                self._changed.wait()

    def check_open(self) -> None:
        """Raise SandboxError if closed."""
        if self._closed:
            raise SandboxError("sandbox: already closed; make a new one")

    def close(self) -> None:
        """Wait until every runner is free, and end them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while len(self._free) < len(self._runners):
                self._changed.wait()
            for runner in self._runners:
                runner.close()
            self._runners.clear()
            self._free.clear()

    def processes(self) -> list[int]:
        """Ids of all processes of all lanes."""
        with self._changed:
            return [pid for runner in self._runners for pid in runner.processes()]
