"""Whose child computes just now, among the zygotes of one sandbox."""

import contextlib
import threading
from collections.abc import Iterator


class Turn:
    """One core's worth of computing, passed from lane to lane."""

    def __init__(self) -> None:
        self._free = threading.Semaphore()

    @contextlib.contextmanager
    def taken(self) -> Iterator["Holding"]:
        """Wait for the turn; it is given back at the end, if it has not been before."""
        self._free.acquire()
        holding = Holding(self._free)
        try:
            yield holding
        finally:
            holding.give_back()


class Holding:
    """The turn in the hands of one lane."""

    def __init__(self, free: threading.Semaphore) -> None:
        self._free: threading.Semaphore | None = free

    def give_back(self) -> None:
        """Let another lane go on; once is enough."""
        if self._free is not None:
            self._free.release()
            self._free = None
