"""Judge programs: the trusted side, which holds the expected outputs and never runs a program itself."""

import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from raymode.errors import SandboxError
from raymode.sandbox.checkers import CHECKERS, Checker
from raymode.sandbox.client import ZygoteDied
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.runner import LEVELS, Code, Run, Runner
from raymode.sandbox.verdict import Status, Verdict

_DEFAULT_LIMITS = Limits()
# CPU time grows with the load of the machine, by up to a quarter: a program over its limit by less than
# that is run again, and its best time decides.
_BORDERLINE = 1.25
_BORDERLINE_RUNS = 3


class Sandbox:
    """Runs untrusted Python programs under the kernel's isolation and judges their output.

    A context manager; every object owns one warm zygote process. Use it in the process that made it, by
    one thread at a time (others wait).
    """

    def __init__(self, *, level: str | None = None, allow_unsafe: bool = False) -> None:
        """Start at `level` ("L4", "L3", "L2"), or at the strongest this host allows if None.

        allow_unsafe: where none works, run under plain resource limits (level "unsafe").
        Raises SandboxError if no allowed level works, ValueError for an unknown level.
        """
        if level is not None and level not in LEVELS:
            raise ValueError(f"sandbox level {level!r} is not one of {', '.join(LEVELS)}")
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._runner: Runner | None = Runner(level, allow_unsafe)
        self.level: str = self._runner.level

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
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
        checker: str = "tokens",
    ) -> Verdict:
        """Run `program` on `tests` until one fails.

        checker: a name in `checkers.CHECKERS`.
        Raises ValueError for no tests or an unknown checker, SandboxError if this object is closed or
        belongs to another process. Never raises for anything a program does.
        """
        if not tests:
            raise ValueError("judge: no tests, and a program is right on nothing")
        if checker not in CHECKERS:
            raise ValueError(f"judge: checker {checker!r} is not one of {', '.join(CHECKERS)}")
        with self._lock:
            return _Judgement(self._usable_runner(), limits).judge(program, tests, CHECKERS[checker])

    def run(self, program: str, given: str, limits: Limits = _DEFAULT_LIMITS) -> Run:
        """Run `program` once with `given` on standard input and say how it ended and what it printed.

        Raises SandboxError as `judge` does, and if the sandbox failed twice.
        """
        with self._lock:
            runner = self._usable_runner()
            try:
                code = runner.compile(program)
                if isinstance(code, str):
                    return Run(Status.CE, code, 0.0, 0.0, b"", b"")
                try:
                    return runner.run(code, _encode(given), limits)
                finally:
                    code.close()
            except ZygoteDied as death:
                raise SandboxError(f"sandbox: failed twice on one program: {death}") from None

    def process_count(self) -> int:
        """How many processes this sandbox consists of just now: 2 (monitor, zygote) between judgements."""
        return self._usable_runner().process_count()

    def _usable_runner(self) -> Runner:
        if self._owner != os.getpid():
            raise SandboxError("sandbox: used in a process that did not make it; make one in each process")
        if self._runner is None:
            raise SandboxError("sandbox: already closed; make a new one")
        return self._runner


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "surrogatepass")


class _Judgement:
    """One call of `Sandbox.judge`."""

    def __init__(self, runner: Runner, limits: Limits) -> None:
        self._runner = runner
        self._limits = limits
        self._started = time.monotonic()
        self._cpu: list[float] = []
        self._rss_mb = 0.0

    def judge(self, program: str, tests: Sequence[Test], check: Checker) -> Verdict:
        """Compile and run; see `Sandbox.judge`."""
        test: int | None = None
        try:
            code = self._runner.compile(program)
            if isinstance(code, str):
                return self._verdict(Status.CE, None, code)
            try:
                for test in range(len(tests)):
                    status, message = self._run_test(code, tests[test], check)
                    if status is not Status.AC:
                        return self._verdict(status, test, message)
            finally:
                code.close()
        except ZygoteDied as death:
            return self._verdict(Status.SANDBOX_ERROR, test, f"the sandbox failed twice: {death}")
        return self._verdict(Status.AC, None, "")

    def _run_test(self, code: Code, test: Test, check: Checker) -> tuple[Status, str]:
        given = _encode(test.input)
        self._cpu.append(0.0)
        run = self._runner.run(code, given, self._limits, _BORDERLINE * self._limits.cpu_s)
        cpu_s = run.cpu_s
        for _ in range(_BORDERLINE_RUNS - 1):
            if not self._limits.cpu_s < cpu_s <= _BORDERLINE * self._limits.cpu_s or run.message == "cpu":
                break
            run = self._runner.run(code, given, self._limits, _BORDERLINE * self._limits.cpu_s)
            cpu_s = min(cpu_s, run.cpu_s)
        self._cpu[-1] = cpu_s
        self._rss_mb = max(self._rss_mb, run.max_rss_mb)
        if run.status is not Status.AC:
            return run.status, run.message
        if cpu_s > self._limits.cpu_s:
            return Status.TLE, "cpu"
        difference = check(run.output, _encode(test.output))
        return (Status.WA, difference) if difference else (Status.AC, "")

    def _verdict(self, status: Status, failing_test: int | None, message: str) -> Verdict:
        return Verdict(
            status=status,
            failing_test=failing_test,
            cpu_s=max(self._cpu, default=0.0),
            total_cpu_s=sum(self._cpu),
            wall_s=time.monotonic() - self._started,
            max_rss_mb=self._rss_mb,
            message=message,
            level=self._runner.level,
            tests_run=len(self._cpu),
        )
