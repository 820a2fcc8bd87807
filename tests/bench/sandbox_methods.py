"""The ways to judge that the sandbox benchmark compares.

A method takes cases and says of each whether it was accepted; an empty fork says nothing. All stop at a program's first failing test,
compare white-space-separated tokens, and run programs with the same base interpreter and environment.
"""

import io
import marshal
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox_corpus import Case

from raymode.sandbox import Limits, Sandbox, Status, Test
from raymode.sandbox.interpreter import find_interpreter

Method = Callable[[list[Case]], list[bool]]

BASELINE = "subprocess + rlimits"
CACHED = "raymode L4, cache"
FORK, PYFORK, PROGRAMS = "floor: fork in C", "floor: os.fork", "floor: programs"
LIMITS = Limits(cpu_s=10.0)


def _sandbox(level: str, **options: Any) -> Method:
    def judge(cases: list[Case]) -> list[bool]:
        with Sandbox(level=level, **{"cache_size": 0, **options}) as sandbox:
            return [
                sandbox.judge(case.source, case.tests, LIMITS).status is Status.AC for case in cases
            ]

    return judge


def _set_limits() -> None:
    for name, value in (("AS", 1 << 32), ("CPU", 10), ("FSIZE", 1 << 24)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _subprocess(before_exec: Callable[[], None] | None) -> Method:
    """An interpreter per test; with nothing to do before exec, `subprocess` can use vfork."""

    def judge(cases: list[Case]) -> list[bool]:
        interpreter = find_interpreter()
        accepted = []
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "program.py")
            for case in cases:
                file.write_text(case.source)
                accepted.append(all(
                    subprocess.run(
                        [interpreter.executable, str(file)], input=test.input.encode(), check=False,
                        capture_output=True, preexec_fn=before_exec, env=interpreter.environment,
                    ).stdout.split() == test.output.encode().split()
                    for test in case.tests
                ))  # fmt: skip
        return accepted

    return judge


class _Stdin(io.StringIO):
    """A text stream with a `buffer`, which many programs read."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.buffer = io.BytesIO(text.encode())


def _exec_tests(case: Case, answer: "multiprocessing.SimpleQueue[bool]") -> None:
    accepted = True
    code = compile(case.source, "program", "exec")
    for test in case.tests:
        sys.stdin, sys.stdout = _Stdin(test.input), io.StringIO()
        signal.alarm(10)
        try:
            exec(code, {"__name__": "__main__"})
        except SystemExit:
            pass
        except Exception:  # a program's own, or one caused by the streams that are none
            accepted = False
        signal.alarm(0)
        if not (accepted := accepted and sys.stdout.getvalue().split() == test.output.split()):
            break
    answer.put(accepted)


def _multiprocessing(cases: list[Case]) -> list[bool]:
    """As LiveCodeBench judges, less the manager process it starts for the answer: a forked process per
    program, `exec` of every test inside it, streams replaced by objects, expected outputs in its memory.
    """
    context = multiprocessing.get_context("fork")
    accepted = []
    for case in cases:
        answer: multiprocessing.SimpleQueue[bool] = context.SimpleQueue()
        process = context.Process(target=_exec_tests, args=(case, answer))
        process.start()
        process.join(60)
        accepted.append(not answer.empty() and answer.get())
    return accepted


def _floor(mode: str) -> Method:
    def judge(cases: list[Case]) -> list[bool]:
        return [character == ord("1") for character in run_floor(mode, cases)]

    return judge


def run_floor(mode: str, cases: list[Case]) -> bytes:
    """What `sandbox_floor.py` prints in this mode; it gets the tests up to the first failing one."""
    interpreter = find_interpreter()
    judged = [(case.source, case.tests[: case.tests_run]) for case in cases]
    rows = [(code, [t.input for t in tests], [t.output for t in tests]) for code, tests in judged]
    script = str(Path(__file__).with_name("sandbox_floor.py"))
    return subprocess.run(
        [interpreter.executable, "-S", "-P", "-B", script, mode],
        input=marshal.dumps(rows), stdout=subprocess.PIPE, env=interpreter.environment, check=True,
    ).stdout  # fmt: skip


def memory_kib() -> tuple[int, int]:
    """Anonymous memory of a zygote and of the process that the floor is measured in."""
    with Sandbox(level="L4") as sandbox:
        sandbox.judge("print(1)", [Test("", "1")])
        zygote = os.getpid()
        while below := Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split():
            zygote = int(below[0])  # this process -> monitor -> zygote
        status = Path(f"/proc/{zygote}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    return resident, int(run_floor("memory", []))


METHODS: dict[str, Method] = {
    BASELINE: _subprocess(_set_limits),
    "subprocess, vfork": _subprocess(None),
    "exec in forked process": _multiprocessing,
    "raymode L4": _sandbox("L4"),
    "raymode L3": _sandbox("L3"),
    "raymode L2": _sandbox("L2"),
    "raymode L4, shared": _sandbox("L4", shared=True),
    CACHED: _sandbox("L4", cache_size=4096),
    FORK: _floor("fork"),
    PYFORK: _floor("pyfork"),
    PROGRAMS: _floor("programs"),
}
