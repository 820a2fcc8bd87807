"""Generated programs behave as under the interpreter itself, and what one test leaves reaches no other."""

import os
import re
from collections.abc import Iterator
from typing import Any, Self

import pytest
import sandbox_audit
from real_python import RealPython
from sandbox_audit import Audit
from sandbox_programs import generate

from raymode.sandbox import Limits, Sandbox, Status, Test, Verdict

pytestmark = pytest.mark.slow

PROGRAMS = int(os.environ.get("RAYMODE_FUZZ_PROGRAMS", "300"))
LIMITS = Limits(cpu_s=10.0, memory_mb=1024)
both_modes = pytest.mark.parametrize("options", [{}, {"shared": True}], ids=["fresh", "shared"])


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> RealPython:
    return RealPython(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def audits(python: RealPython) -> list[Audit]:
    """All programs with a verdict that is known; several hundred."""
    return [
        *sandbox_audit.limited(),
        *sandbox_audit.states(python, 0, places=2),
        *sandbox_audit.generated(python, 1, PROGRAMS // 4),
    ]


class Judge:
    """A sandbox that judges without a cache and is made anew when it gave up shared mode."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._sandbox = Sandbox(cache_size=0, **options)
        self.gave_up: list[str] = []
        """What it noticed itself: right verdicts, but of programs that should not have shared a process."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    def __call__(self, audit: Audit) -> Verdict:
        verdict = self._sandbox.judge(audit.source, audit.tests, audit.limits, audit.checker)
        if self._sandbox.difference:
            self.gave_up.append(f"{audit.name}: {self._sandbox.difference}")
            self._sandbox.close()
            self._sandbox = Sandbox(cache_size=0, **self._options)
        return verdict


def show(different: list[Any]) -> str:
    return f"{len(different)} different\n" + "\n".join(str(row)[:600] for row in different[:20])


def without_places(message: str) -> str:
    """The library lies elsewhere in the sandbox, and an ImportError says where."""
    return re.sub(r"\(/[^)]*\)", "(library)", message)


def test_generated_programs_run_as_under_the_interpreter(python: RealPython) -> None:
    """Same bytes on standard output, same kind of end, same last line of the exception or exit code."""
    different = []
    with Sandbox() as sandbox:
        for program in generate(0, PROGRAMS):
            endings = python.run_all(program.source, list(program.inputs))
            for given, real in zip(program.inputs, endings, strict=True):
                run = sandbox.run(program.source, given, LIMITS)
                seen = (run.status is Status.AC, run.output, without_places(run.message))
                expected = (real.code == 0, real.output, without_places(real.message))
                if seen != expected:
                    different.append((program.name, given, seen, expected))
    assert not different, show(different)


@both_modes
def test_every_verdict_is_the_one_due(audits: list[Audit], options: dict[str, Any]) -> None:
    """Also where a state that survives would change an output, and where one test uses up what others need."""
    different = []
    with Judge(**options) as judge:
        for audit in audits:
            verdict = judge(audit)
            seen = (verdict.status, verdict.failing_test)
            if seen != (audit.status, audit.failing_test):
                different.append(
                    (audit.name, *seen, verdict.message, "due", audit.status, audit.failing_test)
                )
    assert not different, show(different)


@both_modes
def test_programs_of_the_embedded_source(options: dict[str, Any]) -> None:
    different = []
    with Judge(**options) as judge:
        for audit, right in sandbox_audit.embedded(0, 1):
            verdict = judge(audit)
            if verdict.accepted != right:
                different.append(
                    (audit.name, verdict.status, verdict.failing_test, verdict.message)
                )
    assert not different, show(different)


UNSEEDED = (
    "import random\nx = int(input())\nprint(x, random.random(), random.randint(0, 9**9))\n{}\n"
)
CHANGES = ("", "random.seed(5)", "random.random()", "random.setstate(random.Random(1).getstate())",
           "random.gauss(0, 1)", "random._inst = random.Random(3)", "random.random = lambda: 0.5")  # fmt: skip


def unseeded() -> Iterator[Audit]:
    """Programs whose output depends on the state that `random` begins with, which only the sandbox knows."""
    for change in CHANGES:
        source = UNSEEDED.format(change)
        with Sandbox() as sandbox:
            outputs = [sandbox.run(source, f"{x}\n").output.decode() for x in range(3)]
        tests = tuple(Test(f"{x}\n", out) for x, out in enumerate(outputs))
        yield Audit(f"unseeded random: {change}", source, tests)


@both_modes
def test_unseeded_random_begins_the_same_in_every_test(options: dict[str, Any]) -> None:
    with Judge(**options) as judge:
        for audit in unseeded():
            assert judge(audit).accepted, audit.source


def test_shared_and_fresh_processes_give_the_same_verdicts(audits: list[Audit]) -> None:
    """Status, failing test and message, figures in the message apart."""
    different = []
    with Judge() as fresh, Judge(shared=True) as shared:
        for audit in [*audits, *(audit for audit, _ in sandbox_audit.embedded(2, 1))]:
            one, other = (
                (v.status, v.failing_test, re.sub(r"\d+", "#", v.message))
                for v in (fresh(audit), shared(audit))
            )
            if one != other:
                different.append((audit.name, one, other))
    assert not different, show(different)
    assert not shared.gave_up, show(shared.gave_up)
