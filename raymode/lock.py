"""One driver per run directory: the second says so and stops."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

from raymode.errors import BusyError
from raymode.store import Store

NAME = ".lock"
_HELD: set[str] = set()  # by this process: taking a lock again inside its own block is no conflict


@contextlib.contextmanager
def exclusive(store: Store) -> Iterator[None]:
    """Hold the run directory while the block runs; BusyError, naming the holder, if another driver has it.

    The kernel drops the lock when its process ends, however it ends. It covers one machine or a shared file system
    with locks; on an object store nothing is locked.
    """
    if not store.is_local or store.path() in _HELD:
        yield
        return
    os.makedirs(store.path(), exist_ok=True)
    with open(store.path(NAME), "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BusyError(
                f"run_dir {store.url}: another driver is at work here ({file.read().strip()}); wait for it or stop it"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        _HELD.add(store.path())
        try:
            yield
        finally:
            _HELD.discard(store.path())
