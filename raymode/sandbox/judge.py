"""Judge programs: the trusted side, which holds the expected outputs and never runs a program itself."""

import logging
import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from raymode.errors import SandboxError
from raymode.sandbox.checkers import CHECKERS, SpecialJudge
from raymode.sandbox.client import ZygoteDied
from raymode.sandbox.judgement import Judgement
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.memory import KillerTests, VerdictCache, digest_program, digest_tests
from raymode.sandbox.runner import LEVELS, Runner
from raymode.sandbox.runs import Run
from raymode.sandbox.verdict import Status, Verdict

_DEFAULT_LIMITS = Limits()
_AUDIT_ONE_IN = 16
_LOG = logging.getLogger(__name__)


class Sandbox:
    """Runs untrusted Python programs under the kernel's isolation and judges their output.

    A context manager; every object owns one warm zygote process. Use it in the process that made it, by
    one thread at a time (others wait).
    """

    def __init__(
        self,
        *,
        level: str | None = None,
        allow_unsafe: bool = False,
        cache_size: int = 4096,
        killer_first: bool = False,
        shared: bool = False,
    ) -> None:
        """Start at `level` ("L4", "L3", "L2"), or at the strongest this host allows if None.

        allow_unsafe: where none works, run under plain resource limits (level "unsafe").
        cache_size: how many verdicts to remember, so that a program seen before is not run again.
        killer_first: run the tests that failed most programs first. Faster on wrong programs; but which
            failure is reported then depends on what was judged before.
        shared: run programs that pass a purity gate on all their tests in one process, many times faster.
            Failures are run again alone, and so is a sample of what was accepted; the first difference
            found turns it off, is logged, and stands in `difference`.
        Raises SandboxError if no allowed level works, ValueError for an unknown level.
        """
        if level is not None and level not in LEVELS:
            raise ValueError(f"sandbox level {level!r} is not one of {', '.join(LEVELS)}")
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._cache = VerdictCache(cache_size)
        self._killers = KillerTests() if killer_first else None
        self._runner: Runner | None = Runner(level, allow_unsafe, shared)
        self.level: str = self._runner.level
        self._shared = shared
        self.difference = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the zygote; nothing of it is left. Judging afterwards raises SandboxError."""
        with self._lock:
            if self._runner is not None and self._owner == os.getpid():
                self._runner.close()
            self._runner = None

    def judge(
        self,
        program: str,
        tests: Sequence[Test],
        limits: Limits = _DEFAULT_LIMITS,
        checker: str | SpecialJudge = "tokens",
    ) -> Verdict:
        """Run `program` on `tests` until one fails.

        checker: a name in `checkers.CHECKERS`, or a special judge.
        Raises ValueError for no tests or an unknown checker, SandboxError if this object is closed or
        belongs to another process. Never raises for anything a program does.
        """
        if not tests:
            raise ValueError("judge: no tests, and a program is right on nothing")
        if isinstance(checker, str) and checker not in CHECKERS:
            raise ValueError(f"judge: checker {checker!r} is not one of {', '.join(CHECKERS)}")
        with self._lock:
            runner = self._usable_runner()
            tests_digest = digest_tests(tests)
            key = (digest_program(program), tests_digest, limits, checker)
            verdict = self._cache.get(key)
            if verdict is None:
                killers = self._killers
                order = killers.order(tests_digest, len(tests)) if killers else range(len(tests))
                verdict = self._judge(runner, program, tests, limits, checker, order)
                self._cache.put(key, verdict)
                if killers:
                    killers.learn(tests_digest, verdict)
            return verdict

    def _judge(
        self,
        runner: Runner,
        program: str,
        tests: Sequence[Test],
        limits: Limits,
        checker: str | SpecialJudge,
        order: Sequence[int],
    ) -> Verdict:
        if not self._shared:
            return Judgement(runner, limits, checker).judge(program, tests, order)
        judgement = Judgement(runner, limits, checker, shared=True)
        verdict = judgement.judge(program, tests, order)
        difference = judgement.difference
        name = digest_program(program)
        if verdict.accepted and not difference and name[0] % _AUDIT_ONE_IN == 0:
            alone = Judgement(runner, limits, checker).judge(program, tests, order)
            if not alone.accepted:
                difference = f"accepted together, alone {alone.status} on test {alone.failing_test}"
                verdict = alone
        if difference:
            self._shared, self.difference = False, f"program {name.hex()[:16]}: {difference}"
            _LOG.warning("sandbox: shared mode is off from here on: %s", self.difference)
        return verdict

    def run(self, program: str, given: str, limits: Limits = _DEFAULT_LIMITS) -> Run:
        """Run `program` once with `given` on standard input; say how it ended and what it printed.

        Raises SandboxError as `judge` does, and if the sandbox failed twice.
        """
        with self._lock:
            runner = self._usable_runner()
            try:
                code = runner.compile(program)
                if isinstance(code, str):
                    return Run(Status.CE, code, 0.0, 0.0, b"", b"")
                try:
                    (run,) = runner.run(code, [given], limits)
                    return run
                finally:
                    code.close()
            except ZygoteDied as death:
                raise SandboxError(f"sandbox: failed twice on one program: {death}") from None

    def process_count(self) -> int:
        """How many processes this sandbox consists of just now: 2 (monitor, zygote) between judgements."""
        return self._usable_runner().process_count()

    def _usable_runner(self) -> Runner:
        if self._owner != os.getpid():
            raise SandboxError(
                "sandbox: used in a process that did not make it; make one in each process"
            )
        if self._runner is None:
            raise SandboxError("sandbox: already closed; make a new one")
        return self._runner
