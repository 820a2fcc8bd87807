"""What a sandbox remembers between judgements: verdicts, tests that fail programs, programs that break it."""

import hashlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from raymode.sandbox.checkers import SpecialJudge
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.verdict import Status, Verdict

Key = tuple[str, bytes, Limits, str | SpecialJudge]
"""Name or digest of a program, digest of the tests, limits, checker."""


def digest_tests(tests: Sequence[Test]) -> bytes:
    """A name for a test set: the same for the same inputs and outputs in the same order."""
    digest = hashlib.sha256()
    for test in tests:
        for text in (test.input, test.output):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.digest()


def digest_program(program: str) -> bytes:
    """A name for a program: the same whatever its line ends, which Python reads as one."""
    normalised = program.replace("\r\n", "\n")
    return hashlib.sha256(normalised.encode("utf-8", "surrogatepass")).digest()


class Memory:
    """All that one sandbox remembers; threads may share it."""

    def __init__(self, cache_size: int, killer_first: bool) -> None:
        self._lock = threading.Lock()
        self._verdicts = VerdictCache(cache_size)
        self._killers = KillerTests() if killer_first else None
        self._quarantine: dict[Key, str] = {}

    def recall(self, key: Key, level: str) -> Verdict | None:
        """The verdict that needs no run: one given before, or that of a quarantined program."""
        with self._lock:
            why = self._quarantine.get(key)
            if why is not None:
                return Verdict(
                    Status.SANDBOX_ERROR, None, 0.0, 0.0, 0.0, 0.0, f"quarantined: {why}", level, 0
                )
            return self._verdicts.get(key)

    def order(self, key: Key, count: int) -> Sequence[int]:
        """In which order to run `count` tests."""
        with self._lock:
            return self._killers.order(key[1], count) if self._killers else range(count)

    def learn(self, key: Key, verdict: Verdict, is_poison: bool) -> None:
        """Take note of a verdict. is_poison: the sandbox failed twice under this program."""
        with self._lock:
            self._verdicts.put(key, verdict)
            if is_poison:
                self._quarantine[key] = verdict.message
            if self._killers:
                self._killers.learn(key[1], verdict)

    @property
    def quarantined(self) -> dict[str, str]:
        """Programs not to be run again, by their name or digest: why."""
        with self._lock:
            return {key[0]: why for key, why in self._quarantine.items()}


class VerdictCache:
    """The verdicts of the last `size` different questions.

    Sampled programs repeat: that is what mode collapse is. A failure of the sandbox is never kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._verdicts: OrderedDict[Key, Verdict] = OrderedDict()

    def get(self, key: Key) -> Verdict | None:
        """The verdict given before, with the wall time of now; None if there is none."""
        started = time.monotonic()
        verdict = self._verdicts.get(key)
        if verdict is None:
            return None
        self._verdicts.move_to_end(key)
        return replace(verdict, wall_s=time.monotonic() - started)

    def put(self, key: Key, verdict: Verdict) -> None:
        """Remember `verdict`, forgetting the one unused for longest."""
        if verdict.status is Status.SANDBOX_ERROR or self._size == 0:
            return
        self._verdicts[key] = verdict
        if len(self._verdicts) > self._size:
            self._verdicts.popitem(last=False)


class KillerTests:
    """Which tests of a problem fail programs most often, for the last `size` problems."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._failures: OrderedDict[bytes, Counter[int]] = OrderedDict()

    def order(self, tests_digest: bytes, count: int) -> list[int]:
        """Indices of all tests, the deadliest so far first, the others as given."""
        failures = self._failures.get(tests_digest, Counter())
        return sorted(range(count), key=lambda index: -failures[index])

    def learn(self, tests_digest: bytes, verdict: Verdict) -> None:
        """Take note of which test failed."""
        if verdict.failing_test is None or verdict.status is Status.SANDBOX_ERROR:
            return
        self._failures.setdefault(tests_digest, Counter())[verdict.failing_test] += 1
        self._failures.move_to_end(tests_digest)
        if len(self._failures) > self._size:
            self._failures.popitem(last=False)
