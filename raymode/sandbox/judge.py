"""Judge programs: the trusted side, which holds the expected outputs and never runs a program itself."""

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from raymode.errors import SandboxError
from raymode.sandbox.checkers import SpecialJudge
from raymode.sandbox.client import ZygoteDied
from raymode.sandbox.judgement import Judgement
from raymode.sandbox.lanes import Lanes
from raymode.sandbox.limits import DEFAULT_LIMITS, Limits, Test
from raymode.sandbox.memory import Key, Memory, digest_program, digest_tests
from raymode.sandbox.packages import NO_PACKAGES
from raymode.sandbox.question import Question
from raymode.sandbox.runner import LEVELS, Runner, check_machine
from raymode.sandbox.runs import Run
from raymode.sandbox.verdict import UNSAFE, Status, Verdict

MOST_LANES = 64
_AUDIT_ONE_IN = 16


class Sandbox:
    """Runs untrusted Python programs under the kernel's isolation and judges their output.

    A context manager; every object owns one warm zygote process, or as many as it has lanes. Use it in the
    process that made it; threads may share it.
    """

    def __init__(
        self,
        *,
        level: str | None = None,
        allow_unsafe: bool = False,
        cache_size: int = 4096,
        killer_first: bool = False,
        shared: bool = False,
        lanes: int = 1,
        packages: Sequence[str] = (),
    ) -> None:
        """Start at `level` ("L4", "L3", "L2"), or at the strongest this host allows if None.

        allow_unsafe: where none works, run under plain resource limits (level "unsafe").
        cache_size: how many verdicts to remember, so that a program seen before is not run again.
        killer_first: run the tests that failed most programs first. Faster on wrong programs; but which
            failure is reported then depends on what was judged before.
        shared: run programs that pass a purity gate on all their tests in one process, many times faster.
            Failures are run again alone, and so is a sample of what was accepted; the first difference
            found turns it off, is logged, and stands in `difference`.
        lanes: how many programs may be under way at a time. They take turns on one core's worth of time:
            another goes on while one sleeps or its output is compared.
        packages: names of installed distributions ("numpy") that programs may import, with those they require.
            Their files become readable and they are loaded before any program runs.
        Raises SandboxError if no allowed level works or a package cannot be loaded, ValueError for an unknown
        level or no lane.
        """
        if level is not None and level not in LEVELS:
            raise ValueError(f"sandbox level {level!r} is not one of {', '.join(LEVELS)}")
        if not 1 <= lanes <= MOST_LANES:
            raise ValueError(f"sandbox lanes: {lanes} must be from 1 to {MOST_LANES}")
        self._owner = os.getpid()
        self._secret = os.urandom(16)  # or a program could make sure that it is not looked at again
        self._memory = Memory(cache_size, killer_first)
        check_machine()
        allowed = NO_PACKAGES
        if packages:
            # Not imported otherwise: what reads the metadata of packages takes long to load.
            from raymode.sandbox.distributions import find_packages

            allowed = find_packages(tuple(packages))
        levels = [level] if level else list(LEVELS)
        self._lanes = Lanes(lanes, levels + [UNSAFE] * allow_unsafe, shared, allowed)
        self._shared = shared
        self.level: str = self._lanes.level
        self.difference = ""
        if self.level == UNSAFE:
            _warn("programs run WITHOUT isolation here (sandbox.allow_unsafe=true)")

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
        """End the zygotes; nothing of them is left. Judging afterwards raises SandboxError."""
        if self._owner == os.getpid():
            self._lanes.close()

    def judge(
        self,
        program: str,
        tests: Sequence[Test],
        limits: Limits = DEFAULT_LIMITS,
        checker: str | SpecialJudge = "tokens",
    ) -> Verdict:
        """Run `program` on `tests` until one fails.

        checker: a name in `checkers.CHECKERS`, or a special judge.
        Raises ValueError for no tests or an unknown checker, SandboxError if this object is closed or
        belongs to another process, or if the zygote died and no other can be started. Never raises for
        anything a program does; one under which the sandbox failed twice is quarantined: from then on it
        is SANDBOX_ERROR without being run.
        """
        question = Question(program, tests, limits, checker)
        return self._answer(question, _key(question))

    def judge_many(self, questions: Iterable[Question]) -> list[Verdict]:
        """Judge programs, as many at a time as there are lanes; verdicts in the order of the questions.

        The same program with the same tests is judged once. Raises as `judge` does.
        """
        asked = [(_key(question), question) for question in questions]
        different = dict(reversed(asked))  # the first of a name stands for the others
        if len(different) == 1 or self._lanes.count == 1:
            verdicts = {key: self._answer(different[key], key) for key in dict(asked)}
        else:
            with ThreadPoolExecutor(self._lanes.count) as threads:
                keys = list(dict(asked))
                answers = threads.map(lambda key: self._answer(different[key], key), keys)
                verdicts = dict(zip(keys, answers, strict=True))
        return [verdicts[key] for key, _ in asked]

    def _answer(self, question: Question, key: Key) -> Verdict:
        self._check_usable()
        verdict = self._memory.recall(key, self.level)
        if verdict is not None:
            return verdict
        try:
            return self._judge(question, key)
        except OSError as error:
            if error.errno is None:  # the caller's own, of an alarm say
                raise
            raise SandboxError(f"sandbox: this process is in trouble: {error}") from error

    def _judge(self, question: Question, key: Key) -> Verdict:
        order = self._memory.order(key, len(question.tests))
        with self._lanes.borrowed() as runner:
            shared = self._shared  # another lane may turn it off meanwhile
            judgement = Judgement(runner, question, order, shared)
            verdict = judgement.judge()
            if shared:
                verdict = self._audited(judgement, verdict, runner, question, order)
        self._memory.learn(key, verdict, judgement.is_poison)
        if judgement.is_poison:
            _warn(f"quarantined program {key[0]}: {verdict.message}")
        return verdict

    def _audited(
        self,
        judgement: Judgement,
        verdict: Verdict,
        runner: Runner,
        question: Question,
        order: Sequence[int],
    ) -> Verdict:
        """Judge a sample of what shared mode accepted once more, each test alone."""
        difference = judgement.difference
        name = digest_program(question.program)
        chosen = hashlib.sha256(self._secret + name).digest()[0] % _AUDIT_ONE_IN == 0
        if verdict.accepted and not difference and chosen:
            alone = Judgement(runner, question, order).judge()
            if not alone.accepted:
                difference = f"accepted together; alone {alone.status} on test {alone.failing_test}"
                verdict = alone
        if difference and self._shared:  # the first one
            self._shared, self.difference = False, f"program {name.hex()[:16]}: {difference}"
            _warn(f"shared mode is off from here on: {self.difference}")
        return verdict

    def run(self, program: str, given: str, limits: Limits = DEFAULT_LIMITS) -> Run:
        """Run `program` once with `given` on standard input; say how it ended and what it printed.

        Raises SandboxError as `judge` does, and if the sandbox failed twice.
        """
        self._check_usable()
        with self._lanes.borrowed() as runner:
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

    @property
    def quarantined(self) -> dict[str, str]:
        """Programs that are not run any more, by their name or digest: why."""
        return self._memory.quarantined

    @property
    def has_cgroup(self) -> bool:
        """Whether a cgroup bounds memory and tasks, beside the limits of each process."""
        return self._lanes.has_cgroup

    def processes(self) -> list[int]:
        """Ids of the processes this sandbox consists of just now.

        Between judgements those are a monitor and a zygote for each lane that has been used.
        """
        self._check_usable()
        return self._lanes.processes()

    def _check_usable(self) -> None:
        if self._owner != os.getpid():
            raise SandboxError(
                "sandbox: used in a process that did not make it; make one in each process"
            )
        self._lanes.check_open()


def _warn(message: str) -> None:
    """Say what must be seen: loggers may be turned off by whoever set up logging, Ray for one."""
    print(f"warning: sandbox: {message}", file=sys.stderr, flush=True)


def _key(question: Question) -> Key:
    program = question.name or digest_program(question.program).hex()
    return program, digest_tests(question.tests), question.limits, question.checker
