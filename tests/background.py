"""Something done over and over beside a block of a test."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def repeating(step: Callable[[], object], pause_s: float) -> Iterator[None]:
    """Call `step` again and again in a thread while the block runs; what it raises is raised at the end."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(pause_s):
            step()

    with ThreadPoolExecutor(1) as pool:
        repeated = pool.submit(repeat)
        try:
            yield
        finally:
            stop.set()
            repeated.result()
