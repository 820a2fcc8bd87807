"""One judgement: compile, run test after test, compare, stop at the first failure."""

import json
import time
from collections.abc import Iterable, Sequence

from raymode.sandbox.checkers import CHECKERS, SpecialJudge
from raymode.sandbox.client import ZygoteDied
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.runner import Code, Run, Runner
from raymode.sandbox.verdict import Status, Verdict

# CPU time grows with the load of the machine, by up to a quarter: a program over its limit by less than
# that is run again, and its best time decides.
_BORDERLINE = 1.25
_BORDERLINE_RUNS = 3
_SPECIAL_JUDGE_LIMITS = Limits(cpu_s=10.0)


class _NoDecision(Exception):
    """A special judge did not say whether an output is right."""


class Judgement:
    """Judges one program; what it measured on the way ends up in the verdict."""

    def __init__(self, runner: Runner, limits: Limits, checker: str | SpecialJudge) -> None:
        self._runner = runner
        self._limits = limits
        self._checker = checker
        self._started = time.monotonic()
        self._cpu: list[float] = []
        self._rss_mb = 0.0

    def judge(self, program: str, tests: Sequence[Test], order: Iterable[int]) -> Verdict:
        """Run `program` on the tests in `order`; see `Sandbox.judge`."""
        current: int | None = None
        try:
            code = self._runner.compile(program)
            if isinstance(code, str):
                return self._verdict(Status.CE, None, code)
            try:
                for current in order:
                    status, message = self._run_test(code, tests[current])
                    if status is not Status.AC:
                        return self._verdict(status, current, message)
            finally:
                code.close()
        except (ZygoteDied, _NoDecision) as failure:
            return self._verdict(Status.SANDBOX_ERROR, current, str(failure))
        return self._verdict(Status.AC, None, "")

    def _run_test(self, code: Code, test: Test) -> tuple[Status, str]:
        self._cpu.append(0.0)
        run = self._run_until_clear(code, encode(test.input))
        self._cpu[-1] = run.cpu_s
        self._rss_mb = max(self._rss_mb, run.max_rss_mb)
        if run.status is not Status.AC:
            return run.status, run.message
        if run.cpu_s > self._limits.cpu_s:
            return Status.TLE, "cpu"
        difference = self._compare(test, run.output)
        return (Status.WA, difference) if difference else (Status.AC, "")

    def _run_until_clear(self, code: Code, given: bytes) -> Run:
        """Run once, or again while the CPU time is just over the limit; the run with the least counts."""
        limit, kill_at = self._limits.cpu_s, _BORDERLINE * self._limits.cpu_s
        best = self._runner.run(code, given, self._limits, kill_at)
        for _ in range(_BORDERLINE_RUNS - 1):
            if not (best.status is Status.AC and best.cpu_s > limit):
                break
            again = self._runner.run(code, given, self._limits, kill_at)
            best = min(best, again, key=lambda run: run.cpu_s)
        return best

    def _compare(self, test: Test, printed: bytes) -> str:
        if isinstance(self._checker, SpecialJudge):
            return self._ask_special_judge(self._checker, test, printed)
        return CHECKERS[self._checker](printed, encode(test.output))

    def _ask_special_judge(self, judge: SpecialJudge, test: Test, printed: bytes) -> str:
        """Run the special judge in the same sandbox. Raises _NoDecision."""
        text = printed.decode("utf-8", "surrogateescape")
        question = json.dumps({"input": test.input, "expected": test.output, "printed": text})
        code = self._runner.compile(judge.program)
        if isinstance(code, str):
            raise _NoDecision(f"the special judge does not compile: {code}")
        try:
            run = self._runner.run(code, question.encode(), _SPECIAL_JUDGE_LIMITS)
        finally:
            code.close()
        if run.status is not Status.AC:
            raise _NoDecision(f"the special judge ended with {run.status}: {run.message}")
        word, _, message = run.output.decode("utf-8", "replace").strip().partition(" ")
        if word not in ("AC", "WA"):
            raise _NoDecision(f"the special judge printed {word[:40]!r}, not AC or WA")
        return (
            ""
            if word == "AC"
            else message.splitlines()[0][:300]
            if message
            else "refused by the special judge"
        )

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


def encode(text: str) -> bytes:
    """UTF-8 bytes; a surrogate stands for the byte it was read from, or for itself."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
