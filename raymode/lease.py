"""One driver per run directory where storage has no locks: a lease, renewed for as long as the driver lives.

The holder counts up in a small object. Who finds one watches whether it still counts; clocks of different machines
are never compared. The window between two drivers that begin in the same second is closed by looking once more.
"""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raymode.errors import BusyError, StorageError
from raymode.store import Store

NAME = ".lease.json"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two renewals, of silence after which a holder is taken for dead, and to look once more."""

    renew: float = 10.0
    dead: float = 60.0
    settle: float = 2.0


@contextlib.contextmanager
def leased(store: Store, pace: Pace = Pace()) -> Iterator[None]:  # it is frozen
    """Hold the lease of a run directory while the block runs; BusyError, naming the holder, if another driver lives.

    A lease that a dead driver left is taken over after `pace.dead` seconds. A holder that storage kept from renewing
    for so long that another took over says so and is ended by SIGTERM.
    """
    _wait_for_silence(store, pace)
    mine = {
        "token": secrets.token_hex(8),
        "holder": f"process {os.getpid()} on {socket.gethostname()}",
    }
    store.write_json(NAME, {**mine, "count": 0})
    time.sleep(pace.settle)
    now = _read(store)
    if now.get("token") != mine["token"]:
        raise _busy(store, now)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(store, mine, pace, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with contextlib.suppress(OSError):  # storage is down: what it did to the work is to be told
            if _read(store).get("token") == mine["token"]:
                store.delete(NAME)


def _wait_for_silence(store: Store, pace: Pace) -> None:
    """Return once there is no lease, or none that is renewed; raise BusyError as soon as one is."""
    first = _read(store)
    if not first:
        return
    print(
        f"run_dir {store.url}: {first['holder']} was at work here; watching up to {pace.dead:g} s whether it still is",
        file=sys.stderr,
        flush=True,
    )
    until = time.monotonic() + pace.dead
    while time.monotonic() < until:
        time.sleep(pace.renew / 2)
        now = _read(store)
        if not now:
            return
        if now != first:
            raise _busy(store, now)


def _renew(store: Store, mine: dict[str, str], pace: Pace, ended: threading.Event) -> None:
    count = 0
    while not ended.wait(pace.renew):
        count += 1
        try:
            now = _read(store)
            if now.get("token", mine["token"]) != mine["token"]:
                print(
                    f"run_dir {store.url}: {now['holder']} took over while storage did not answer; stopping",
                    file=sys.stderr,
                    flush=True,
                )
                # Not SIGINT: a driver that a shell started in the background ignores that one.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            store.write_json(NAME, {**mine, "count": count})
        except (OSError, StorageError):
            continue  # it may come back; if it does not, the work itself will say so


def _read(store: Store) -> dict[str, Any]:
    try:
        value: dict[str, Any] = store.read_json(NAME)
    except StorageError:
        return {}
    return value


def _busy(store: Store, lease: dict[str, Any]) -> BusyError:
    return BusyError(
        f"run_dir {store.url}: another driver is at work here ({lease['holder']}); wait for it or stop it"
    )
