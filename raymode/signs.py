"""Signs of life: tells an actor that hangs, frozen or waiting for a disk that is gone, from one that works.

Ray would wait for it for ever. An actor leaves a fresh sign in Ray's key-value store every few seconds, beside its work;
who waits for it looks there, so that no answer is waited for.
"""

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import ray.exceptions
from ray.experimental import internal_kv

from raymode.cluster import node_of

BEAT_S = 10.0  # between two signs of an actor, and between two looks
# Without a sign: the actor hangs. Importing torch on a loaded machine takes not so long.
SILENT_S = 120.0
_NAMESPACE = b"raymode-signs"


@functools.cache
def show_life() -> None:
    """Leave signs of life of this process's actor from now on."""
    key = ray.get_runtime_context().get_actor_id().encode()
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
        """End those that have shown life and do so no longer; those already ended, and when it is too early, do nothing."""
        now = time.monotonic()
        if not self._silence.is_due(now):
            return
        known = {_key(actor): actor for actor in actors}
        signs: Mapping[bytes, bytes] = {}
        with contextlib.suppress(ray.exceptions.RpcError):
            signs = _store().internal_kv_multi_get(list(known), _NAMESPACE)
        for key in self._silence.silent(signs, now):
            # One that Ray is starting again, perhaps on a node that is still to come, shows nothing either.
            if node_of(known[key]):
                print(
                    f"{known[key]}: no sign of life for {SILENT_S:g} s; its process is ended and started again",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                ray.kill(known[key], no_restart=False)


def forget(actors: Sequence[Any]) -> None:
    """Delete the signs of actors that are ended."""
    for actor in actors:
        _store().internal_kv_del(_key(actor), False, _NAMESPACE)


def _store() -> Any:
    return internal_kv.internal_kv_get_gcs_client()


def _key(actor: Any) -> bytes:
    key: bytes = actor._actor_id.hex().encode()
    return key
