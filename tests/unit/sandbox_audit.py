# ruff: noqa: E501 - the programs are one line each, however long
"""Programs with the verdicts they must get whatever the sandbox does to be quick: all that one process for
several tests could get wrong.

Right programs, wrong ones, crashing ones, such as reach a limit on one test or would over all of them
together, and those of `sandbox_states`, each twice: with the outputs of fresh processes, which must be
accepted, and with those of a process that kept its state, which must be refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from real_python import Ending, RealPython
from sandbox_programs import generate as generate_programs
from sandbox_states import StateProgram, state_programs

from raymode.sandbox import Limits, Status, Test
from raymode.sources.embedded import generate as generate_problems

LIMITS = Limits(cpu_s=5.0, memory_mb=512)


@dataclass(frozen=True)
class Audit:
    """One program to judge and the verdict due."""

    name: str
    source: str
    tests: tuple[Test, ...]
    status: Status = Status.AC
    failing_test: int | None = None
    limits: Limits = LIMITS
    checker: str = "exact"


def _on(number: int, does: str) -> str:
    """A program that doubles its input and does something on input `number` only."""
    return f"import os, sys\nx = int(input())\nif x == {number}:\n    {does}\nprint(2 * x)\n"


_SPIN = "while True: pass"
# name: (program, status, failing test, limits); the tests are 0 -> 0, 1 -> 2 ... 7 -> 14
LIMITED: dict[str, tuple[str, Status, int | None, Limits]] = {
    "TLE at 0": (_on(0, _SPIN), Status.TLE, 0, Limits(cpu_s=0.2)),
    "TLE at 3": (_on(3, _SPIN), Status.TLE, 3, Limits(cpu_s=0.2)),
    "TLE at 7": (_on(7, _SPIN), Status.TLE, 7, Limits(cpu_s=0.2)),
    "TLE on the wall": (_on(2, "__import__('time').sleep(30)"), Status.TLE, 2, Limits(wall_s=1.0)),
    "MLE at 4": (_on(4, "y = b'x' * (200 << 20)"), Status.MLE, 4, Limits(memory_mb=100)),
    "MemoryError at 1": (_on(1, "y = b'x' * (8 << 30)"), Status.MLE, 1, Limits(memory_mb=200)),
    "OLE at 5": (_on(5, "sys.stdout.write('x' * (3 << 20))"), Status.OLE, 5, Limits(output_mb=2)),
    "OLE on stderr": (_on(6, "sys.stderr.write('x' * (3 << 20))"), Status.OLE, 6, Limits(output_mb=2)),
    "SV at 2": (_on(2, "__import__('ctypes').CDLL(None).ptrace(0)"), Status.SV, 2, LIMITS),
    "RE at 3": (_on(3, "1 / 0"), Status.RE, 3, LIMITS),
    "exit code at 3": (_on(3, "sys.exit(3)"), Status.RE, 3, LIMITS),
    "os._exit at 3": (_on(3, "os._exit(3)"), Status.RE, 3, LIMITS),
    "os._exit(0) at 3": (_on(3, "os._exit(0)"), Status.WA, 3, LIMITS),
    "crash at 6": (_on(6, "__import__('ctypes').string_at(0)"), Status.RE, 6, LIMITS),
    "abort at 0": (_on(0, "os.abort()"), Status.RE, 0, LIMITS),
    "signal at 4": (_on(4, "__import__('signal').raise_signal(15)"), Status.RE, 4, LIMITS),
    "silent at 2": (_on(2, "exit()"), Status.WA, 2, LIMITS),
    "wrong at 7": (_on(7, "x = 8"), Status.WA, 7, LIMITS),
    "thread left at 3": (_on(3, "__import__('threading').Thread(target=__import__('time').sleep, args=(30,)).start()"), Status.TLE, 3, Limits(wall_s=1.0)),
    "CPU of all tests": ("import time\nx = int(input())\nwhile time.process_time() < 0.12: pass\nprint(2 * x)\n", Status.AC, None, Limits(cpu_s=0.4)),
    "memory of all tests": ("import math\nx = int(input())\nmath.kept = getattr(math, 'kept', []) + [b'x' * (60 << 20)]\nprint(2 * x)\n", Status.AC, None, Limits(memory_mb=200)),
    "output of all tests": ("x = int(input())\nprint(2 * x, ' ' * (1 << 20))\n", Status.AC, None, Limits(output_mb=2)),
    "threads of all tests": ("import threading, time\nx = int(input())\nfor _ in range(6): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\nprint(2 * x)\n", Status.AC, None, LIMITS),
    "wall time of all tests": ("import time\nx = int(input())\ntime.sleep(0.3)\nprint(2 * x)\n", Status.AC, None, Limits(wall_s=1.5)),
    "reads no further than needed": ("x = int(input())\nprint(2 * x)\n", Status.AC, None, LIMITS),
    "counts its runs": ("import math\nx = int(input())\nmath.runs = getattr(math, 'runs', -1) + 1\nprint(2 * math.runs)\n", Status.WA, 1, LIMITS),
    "remembers the last input": ("import builtins\nx = int(input())\nlast = getattr(builtins, 'last', -1)\nbuiltins.last = x\nprint(2 * (last + 1))\n", Status.WA, 1, LIMITS),
    "does not compile": ("x = (\n", Status.CE, None, LIMITS),
    "empty": ("", Status.WA, 0, LIMITS),
}  # fmt: skip
DOUBLES = tuple(Test(f"{x}\nrest {x}\n", f"{2 * x}\n") for x in range(8))


def limited() -> Iterator[Audit]:
    """Programs that reach a limit, crash or are wrong at a known test, or must reach none."""
    for name, (source, status, failing_test, limits) in LIMITED.items():
        yield Audit(name, source, DOUBLES, status, failing_test, limits, "tokens")


def states(python: RealPython, seed: int, places: int) -> Iterator[Audit]:
    """Programs that show state: what fresh processes print is right, what a used one would is wrong."""
    inputs = [f"{x}\nrest {x}\n" for x in (3, 1, 2)]
    for program in state_programs(seed, places):
        fresh = python.run_all(program.source, inputs)
        audit = _due(f"state: {program.name}", program.source, inputs, fresh)
        yield audit
        if audit.status is Status.AC:
            yield from _kept(python, program, audit)


def _kept(python: RealPython, program: StateProgram, audit: Audit) -> Iterator[Audit]:
    """The same program, due what it would print if the state were kept, if that is anything else."""
    later = list(enumerate(audit.tests))[1:]
    endings = [python.run(program.after(runs), test.input) for runs, test in later]
    if any(ending.code != 0 for ending in endings):
        return  # for instance what is deleted already cannot be deleted again
    outputs = [ending.output.decode("utf-8", "surrogateescape") for ending in endings]
    wanted = [replace(test, output=out) for test, out in zip(audit.tests[1:], outputs, strict=True)]
    failing = next((n for n, test in enumerate(wanted, 1) if test != audit.tests[n]), None)
    if failing:
        yield replace(
            audit, name=f"{audit.name}, kept", tests=(audit.tests[0], *wanted),
            status=Status.WA, failing_test=failing,
        )  # fmt: skip


def generated(python: RealPython, seed: int, count: int) -> Iterator[Audit]:
    """Generated programs with what they print; every third is due something else on its third test."""
    for number, program in enumerate(generate_programs(seed, count, inputs=4)):
        audit = _due(program.name, program.source, list(program.inputs),
                     python.run_all(program.source, list(program.inputs)))  # fmt: skip
        yield audit
        if number % 3 == 0 and audit.status is Status.AC:
            changed = replace(audit.tests[2], output="something else\n")
            tests = (*audit.tests[:2], changed, audit.tests[3])
            yield replace(
                audit, name=f"{audit.name}, wrong", tests=tests, status=Status.WA, failing_test=2
            )


def embedded(seed: int, problems_per_family: int) -> Iterator[tuple[Audit, bool]]:
    """Programs of the embedded source, and whether they are right."""
    problems = generate_problems(seed, problems_per_family=problems_per_family, slow_every=0)
    for problem, solutions in problems:
        tests = tuple(Test(row["input"], row["output"]) for row in problem["tests"])
        for solution in solutions:
            name = f"{problem['problem_id']} {solution['label']}"
            yield Audit(name, solution["code"], tests, checker="tokens"), solution["claimed"]


def _due(name: str, source: str, inputs: list[str], endings: list[Ending]) -> Audit:
    """The verdict that follows from how the interpreter itself ended, its output being what is expected."""
    tests = tuple(
        Test(given, ending.output.decode("utf-8", "surrogateescape"))
        for given, ending in zip(inputs, endings, strict=True)
    )
    failed = next((index for index, ending in enumerate(endings) if ending.code != 0), None)
    return Audit(name, source, tests, Status.AC if failed is None else Status.RE, failed)
