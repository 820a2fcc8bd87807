"""Signs of life: tells an actor whose process stands still from one that works; Ray would wait for it for ever.

An actor leaves a fresh sign in Ray's key-value store every few seconds, beside its work; who waits for it looks there,
so that no answer is waited for. Work that is late while its process lives, such as reading from a disk that is gone,
shows signs of life like any other.
"""

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import ray._private.state
import ray._private.worker
import ray.exceptions

BEAT_S = 10.0  # between two signs of an actor, and between two looks
# Without a sign: the process hangs. No single call holds the interpreter so long, not even loading torch.
SILENT_S = 120.0
_NAMESPACE = b"raymode-signs"


@functools.cache
def show_life() -> None:
    """Leave signs of life of this process's actor from now on."""
    context = ray.get_runtime_context()
    key = _key(context.get_job_id(), context.get_actor_id())
    threading.Thread(target=_beat, args=(key,), daemon=True).start()


def _beat(key: bytes) -> None:
    while True:
        with contextlib.suppress(ray.exceptions.RpcError):  # the head does not answer: it may again
            _store().internal_kv_put(key, str(time.time_ns()).encode(), True, _NAMESPACE)
        time.sleep(BEAT_S)


class Silence:
    """How long nothing new was heard, by key."""

    def __init__(self) -> None:
        self._heard: dict[bytes, tuple[bytes, float]] = {}
        self._looked = float("-inf")

    def is_due(self, now: float) -> bool:
        """Return whether it is time to look again."""
        return now - self._looked >= BEAT_S

    def silent(self, signs: Mapping[bytes, bytes], now: float) -> list[bytes]:
        """Return the keys whose sign is the same for more than `SILENT_S` seconds, once each; what has no sign is left alone."""
        if now - self._looked > 2 * BEAT_S:  # this process hung itself, perhaps with its machine
            self._heard.clear()
        self._looked = now
        for key, sign in signs.items():
            if self._heard.get(key, (b"", now))[0] != sign:
                self._heard[key] = sign, now
        found = [key for key in signs if now - self._heard[key][1] > SILENT_S]
        for key in found:
            self._heard[key] = signs[key], now
        return found


class Guard:
    """Ends actors that hang; Ray starts them again with the work that they had."""

    def __init__(self) -> None:
        self._silence = Silence()

    def look(self, actors: Sequence[Any]) -> None:
        """End those of this job that have shown life and do so no longer; do nothing if it is too early for another look."""
        now = time.monotonic()
        if not actors or not self._silence.is_due(now):
            return
        job = ray.get_runtime_context().get_job_id()
        known = {_key(job, actor._actor_id.hex()): actor for actor in actors}
        with contextlib.suppress(ray.exceptions.RpcError):  # as in _beat
            signs = _store().internal_kv_multi_get(list(known), _NAMESPACE)
            for key in self._silence.silent(signs, now):
                self._end(key, known[key])

    def _end(self, key: bytes, actor: Any) -> None:
        # One that Ray is starting again, perhaps on a node that is still to come, shows nothing either.
        state = ray._private.state.actors(actor._actor_id.hex()).get("State")
        if state == "DEAD":
            _store().internal_kv_del(key, False, _NAMESPACE)
        if state == "ALIVE":
            print(
                f"{actor}: no sign of life for {SILENT_S:g} s; its process is ended and started again",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            ray.kill(actor, no_restart=False)


def forget_all() -> None:
    """Delete the signs of all actors of this job."""
    job = ray.get_runtime_context().get_job_id()
    with contextlib.suppress(ray.exceptions.RpcError):
        _store().internal_kv_del(_key(job, ""), True, _NAMESPACE)


def _store() -> Any:
    """Return the client of Ray's key-value store that lives as long as this process's connection."""
    return ray._private.worker.global_worker.gcs_client


def _key(job: str, actor: str) -> bytes:
    return f"{job}/{actor}".encode()
