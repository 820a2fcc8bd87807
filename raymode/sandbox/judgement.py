"""One judgement: compile, run test after test, compare, stop at the first failure."""

import json
import time
from collections.abc import Sequence

from raymode.sandbox.checkers import CHECKERS, SpecialJudge
from raymode.sandbox.client import ZygoteDied
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.memfile import encode
from raymode.sandbox.protocol import MAX_TESTS
from raymode.sandbox.question import Question
from raymode.sandbox.runner import Runner
from raymode.sandbox.runs import Run, first_line
from raymode.sandbox.starts import Code, Started
from raymode.sandbox.verdict import Status, Verdict

# CPU time grows with the load of the machine, by up to a quarter: a program over its limit by less than
# that is run again, and its best time decides.
_BORDERLINE = 1.25
_BORDERLINE_RUNS = 3
_SLOW_TEST_S = 0.01  # longer ones gain nothing from being asked for together
# For each MiB that a special judge reads, beside what it gets anyway: the program may have flooded it.
_JUDGE_CPU_S, _JUDGE_CPU_S_PER_MIB = 10.0, 1.0
_JUDGE_MEMORY_MB, _JUDGE_MEMORY_MB_PER_MIB = 512, 32


class _NoDecision(Exception):
    """A special judge did not say whether an output is right."""


class Judgement:
    """Judges one program; what it measured on the way ends up in the verdict."""

    def __init__(
        self, runner: Runner, question: Question, order: Sequence[int], shared: bool = False
    ) -> None:
        """order: indices of the tests. shared: let a pure program run on all tests in one process."""
        self._runner = runner
        self._program = question.program
        self._tests = question.tests
        self._order = order
        self._limits = question.limits
        self._checker = question.checker
        self._together = shared and not isinstance(question.checker, SpecialJudge)
        self.is_poison = False
        """Whether the sandbox failed twice under this very program."""
        self.difference = ""
        """How the program behaved otherwise in shared mode than alone; empty if it did not."""
        self._kill_at = _BORDERLINE * question.limits.cpu_s
        self._started = time.monotonic()
        self._current: int | None = None
        self._cpu: list[float] = []
        self._rss_mb = 0.0

    def judge(self) -> Verdict:
        """Run the program on the tests until one fails; see `Sandbox.judge`."""
        try:
            return self._judge()
        except ZygoteDied as death:
            self.is_poison = True
            return self._verdict(Status.SANDBOX_ERROR, self._current, str(death))
        except _NoDecision as failure:
            return self._verdict(Status.SANDBOX_ERROR, self._current, str(failure))

    def _judge(self) -> Verdict:
        first = self._order[0]
        started = self._start(0, MAX_TESTS if self._together else 1)
        if isinstance(started.code, str):
            return self._verdict(Status.CE, None, started.code)
        code = started.code
        try:
            if started.together:
                return self._judge_together(code, started) or self._run_tests(code, 0)
            for run in started.runs:
                self._current = first
                status, message = self._examine(code, self._tests[first], run)
                if status is not Status.AC:
                    return self._verdict(status, first, message)
            return self._run_tests(code, len(started.runs))
        finally:
            code.close()

    def _start(self, done: int, most: int) -> Started:
        batch = self._order[done : done + most]
        given = [self._tests[i].input for i in batch]
        first = self._tests[batch[0]]
        return self._runner.start(
            self._program,
            given,
            self._limits,
            self._kill_at,
            passes=lambda output: not self._compare(first, output),
        )

    def _judge_together(self, code: Code, started: Started) -> Verdict | None:
        """Look at runs that shared a process; None if they decide nothing, and each test is to be run alone.

        A failure is run again alone. If it passes then, the program behaves otherwise in shared mode:
        `difference` says so.
        """
        done = 0
        while True:
            batch = self._order[done : done + MAX_TESTS]
            for index, run in zip(batch, started.runs, strict=False):
                self._current = index
                difference = run.ended_well and self._compare(self._tests[index], run.output)
                if not run.ended_well or (difference and index != batch[0]):
                    return self._confirm(code, index)
                self._cpu.append(run.cpu_s)
                self._rss_mb = max(self._rss_mb, run.max_rss_mb)
                if difference:  # the first run of a process is like any alone
                    return self._verdict(Status.WA, index, difference)
            if len(started.runs) < len(batch):
                self._cpu.clear()
                return None
            done += len(batch)
            if done == len(self._order):
                return self._verdict(Status.AC, None, "")
            started = self._start(done, MAX_TESTS)
            if isinstance(started.code, Code):
                started.code.close()

    def _confirm(self, code: Code, index: int) -> Verdict | None:
        test = self._tests[index]
        (run,) = self._runner.run(code, [test.input], self._limits, self._kill_at)
        status, message = self._examine(code, test, run)
        if status is not Status.AC:
            return self._verdict(status, index, message)
        self.difference = f"test {index} fails after others and passes alone"
        self._cpu.clear()
        return None

    def _run_tests(self, code: Code, done: int) -> Verdict:
        """Run the tests from `done` on in batches that grow: what follows a wrong answer is run in vain."""
        tests, order, size = self._tests, self._order, 2
        while done < len(order):
            batch = order[done : done + (1 if isinstance(self._checker, SpecialJudge) else size)]
            runs = self._runner.run(
                code, [tests[i].input for i in batch], self._limits, self._kill_at
            )
            started = time.monotonic()
            self._current = batch[0]
            for index, run in zip(batch, runs, strict=False):
                self._current = index
                status, message = self._examine(code, tests[index], run)
                if status is not Status.AC:
                    return self._verdict(status, index, message)
                done += 1
                if self._is_borderline(run):
                    break  # it has been run again, and the rest of its batch is lost
                self._current = order[min(done, len(order) - 1)]
            slow = time.monotonic() - started > _SLOW_TEST_S * len(batch)
            size = 1 if slow else min(2 * size, MAX_TESTS)
        return self._verdict(Status.AC, None, "")

    def _examine(self, code: Code, test: Test, run: Run) -> tuple[Status, str]:
        """Look at one run, after running again while it is just over the time limit; the least counts."""
        limit = self._limits.cpu_s
        self._cpu.append(0.0)
        for _ in range(_BORDERLINE_RUNS - 1):
            if not self._is_borderline(run):
                break
            (again,) = self._runner.run(code, [test.input], self._limits, self._kill_at)
            run = min(run, again, key=lambda run: run.cpu_s)
        self._cpu[-1] = run.cpu_s
        self._rss_mb = max(self._rss_mb, run.max_rss_mb)
        if not run.ended_well:
            return run.status, run.message
        if run.cpu_s > limit:
            return Status.TLE, "cpu"
        difference = self._compare(test, run.output)
        return (Status.WA, difference) if difference else (Status.AC, "")

    def _is_borderline(self, run: Run) -> bool:
        return run.ended_well and run.cpu_s > self._limits.cpu_s

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
            mib = len(question) >> 20
            limits = Limits(
                cpu_s=_JUDGE_CPU_S + _JUDGE_CPU_S_PER_MIB * mib,
                memory_mb=_JUDGE_MEMORY_MB + _JUDGE_MEMORY_MB_PER_MIB * mib,
            )
            (run,) = self._runner.run(code, [question], limits)
        finally:
            code.close()
        if run.status is not Status.AC:
            raise _NoDecision(f"the special judge ended with {run.status}: {run.message}")
        word, _, message = first_line(run.output).partition(" ")
        if word not in ("AC", "WA"):
            raise _NoDecision(f"the special judge printed {word[:40]!r}, not AC or WA")
        return "" if word == "AC" else message or "refused by the special judge"

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
