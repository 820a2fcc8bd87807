"""Shared mode: what may go in, what it must not change, and what it does when a program differs."""

import ast
import hashlib
from collections.abc import Iterator

import pytest
from processes import ZYGOTE, ranks

from raymode.sandbox import Limits, Sandbox, Status, Test
from raymode.sandbox.memory import digest_program
from raymode.sandbox.purity import examine

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test(f"{n} {n}\n", f"{2 * n}\n") for n in range(60)]

PURE = {
    "plain": ADD,
    "module as a base": "import math\nprint(math.gcd(4, 6))",
    "members": "from collections import deque, Counter\nprint(Counter(deque([1, 1])))",
    "star import": "from math import *\nprint(floor(pi))",
    "standard input": "import sys\ninput = sys.stdin.readline\nsys.stdout.write(input())",
    "recursion limit": "import sys\nsys.setrecursionlimit(10**6)",
    "open(0)": "print(open(0).read())",
    "os.read of standard input": "import os\nprint(len(os.read(0, os.fstat(0).st_size)))",
    "own class": "class Node:\n    def __init__(self):\n        self.next = None\nn = Node()\nn.next = Node()",
    "own private names": "class A:\n    def f(self):\n        self._x = 1",
    "decimal context": "from decimal import *\ngetcontext().prec = 30\nprint(Decimal(1) / 3)",
    "main guard": "def main():\n    pass\nif __name__ == '__main__':\n    main()",
    "special method by name": "d = {}\nprint(max(d, key=d.__getitem__, default=0))",
    "compiled pattern": "import re\nprint(re.compile('a+').findall('aab'))",
}
IMPURE = {
    "unlisted module": "import threading",
    "module as a value": "import math\nm = math",
    "attribute of a module": "import math\nmath.pi = 3",
    "attribute of a class in a module": "import collections\ncollections.Counter.x = 1",
    "attribute of an imported class": "from collections import Counter\nCounter.x = 1",
    "streams replaced": "import sys\nsys.stdin = None",
    "other names of sys": "import sys\nprint(sys.modules)",
    "another module's private name": "import heapq\nheapq._heapify_max([])",
    "any other file": "open('x')",
    "open as a value": "f = open",
    "os.write elsewhere": "import os\nos.write(5, b'x')",
    "os.write by itself": "import os\nw = os.write",
    "from os": "from os import write",
    "getattr": "print(getattr(1, 'real'))",
    "eval": "eval('1')",
    "builtins": "print(__builtins__)",
    "class of an object": "print([].__class__)",
    "frames": "g = (i for i in [1])\nprint(g.gi_frame)",
    "finalizer": "class A:\n    def __del__(self):\n        print(1)",
    "metaclass": "class A(metaclass=type):\n    pass",
    "write to what a call returns": "type(1).x = 1",
    "attrgetter": "from operator import attrgetter",
    "default context": "import decimal\ndecimal.DefaultContext.prec = 3",
    "coroutine": "async def f():\n    pass",
    "relative import": "from . import x",
}  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_honest_programs_pass(name: str) -> None:
    assert examine(ast.parse(PURE[name]))[0] == ""


@pytest.mark.parametrize("name", IMPURE)
def test_programs_that_reach_lasting_state_do_not(name: str) -> None:
    assert examine(ast.parse(IMPURE[name]))[0] != ""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(shared=True, cache_size=0) as sandbox:
        yield sandbox
        assert sandbox.difference == ""


def test_a_right_program_passes_all_tests(sandbox: Sandbox) -> None:
    verdict = sandbox.judge(ADD, TESTS)  # more than one request holds
    assert (verdict.status, verdict.tests_run) == (Status.AC, len(TESTS))
    assert 0 < verdict.cpu_s <= verdict.total_cpu_s


@pytest.mark.parametrize(
    ("program", "status", "message"),
    [
        ("n = int(input().split()[0])\nprint(2 * n + (n == 7))", Status.WA, "expected '14'"),
        ("n = int(input().split()[0])\nprint(2 * n // (n != 7))", Status.RE, "ZeroDivisionError"),
        ("n = int(input().split()[0])\nprint(2 * n)\nexit(n == 7)", Status.RE, "exit code 1"),
        ("n = int(input().split()[0])\nprint(2 * n)\nwhile n == 7: pass", Status.TLE, "cpu"),
        (
            "n = int(input().split()[0])\nprint(2 * n)\nx = 'x' * (n == 7) * (200 << 20)",
            Status.MLE,
            "MiB",
        ),
        (
            "n = int(input().split()[0])\nprint(2 * n)\nprint(' ' * (n == 7) * (3 << 20))",
            Status.OLE,
            "more than 2 MiB of output",
        ),
    ],
)
def test_failures_are_those_of_test_by_test_judging(
    sandbox: Sandbox, program: str, status: Status, message: str
) -> None:
    limits = Limits(cpu_s=0.5, wall_s=30, memory_mb=128, output_mb=2)
    verdict = sandbox.judge(program, TESTS, limits)
    assert (verdict.status, verdict.failing_test, verdict.tests_run) == (status, 7, 8)
    assert message in verdict.message
    with Sandbox() as alone:
        plain = alone.judge(program, TESTS, limits)
    assert (plain.status, plain.failing_test, plain.tests_run) == (status, 7, 8)


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.setrecursionlimit(5000)\ndef f(n):\n    return n and 1 + f(n - 1)\n"
        "print(int(input().split()[0]) * 2, end='')\nf(900)",
        "from functools import lru_cache\n@lru_cache(None)\ndef f(x, seen=[]):\n    seen.append(x)\n"
        "    return x * len(seen)\nprint(2 * f(int(input().split()[0])))",
        "class A:\n    total = 0\nA.total += 2 * int(input().split()[0])\nprint(A.total)",
        "from decimal import *\nif getcontext().prec == 28:\n    getcontext().prec = 5\n    print(2 * int(input().split()[0]))",
        "import sys\nprint(2 * int(sys.stdin.readline().split()[0]))\nsys.stdin.close()",
        "import sys\nsys.stdout.write(str(2 * int(open(0).readline().split()[0])))",
        "def g():\n    try:\n        yield 1\n    finally:\n        print(2 * int(input().split()[0]))\nx = g()\nnext(x)",
    ],
)
def test_state_of_one_test_is_not_seen_by_the_next(sandbox: Sandbox, program: str) -> None:
    assert examine(ast.parse(program))[0] == ""
    verdict = sandbox.judge(program, TESTS)
    assert (verdict.status, verdict.message) == (Status.AC, "")


def test_the_same_input_twice_is_read_twice(sandbox: Sandbox) -> None:
    assert sandbox.judge(ADD, [TESTS[3]] * 10).status is Status.AC


COUNTS_RUNS = (
    "from {module} import {name}\n"
    "thing = [{name}][0]\n"
    "try:\n    thing.runs += 1\nexcept AttributeError:\n    thing.runs = 1\n"
    "print(2 * int(input().split()[0]) + (thing.runs > 3))\n"
)


@pytest.mark.parametrize(("module", "name"), [("collections", "Counter"), ("heapq", "merge")])
def test_traces_left_in_the_library_are_noticed(module: str, name: str) -> None:
    """It gets past the gate, and would pass no test after the third; what it did in one process counts for nothing."""
    program = COUNTS_RUNS.format(module=module, name=name)
    assert examine(ast.parse(program))[0] == ""
    with Sandbox(shared=True, cache_size=0) as sandbox:
        assert sandbox.judge(program, TESTS[:20]).status is Status.AC
        assert sandbox.difference == ""


def test_a_difference_turns_shared_mode_off() -> None:
    """A program that is caught neither by the gate nor by its traces is judged as if alone, and named."""
    program = (
        "import sys\nprint(2 * int(input().split()[0]) + (sys.stderr.buffer.raw.seek(0, 1) > 3))\n"
        "sys.stderr.write('xx')\n"
    )
    assert examine(ast.parse(program))[0] == ""
    with Sandbox(shared=True, cache_size=0) as sandbox:
        assert sandbox.judge(program, TESTS).status is Status.AC
        assert "test 2 fails after others and passes alone" in sandbox.difference
        assert sandbox.judge(ADD, TESTS).status is Status.AC


def test_a_sample_of_what_is_accepted_is_judged_again_alone() -> None:
    def chance(sandbox: Sandbox, program: str) -> int:
        return hashlib.sha256(sandbox._secret + digest_program(program)).digest()[0] % 16

    programs = [f"{ADD}# {n}" for n in range(500)]
    with Sandbox(shared=True, cache_size=0) as sandbox:
        sampled = next(program for program in programs if chance(sandbox, program) == 0)
        skipped = next(program for program in programs if chance(sandbox, program) == 1)
        faults = []
        for program in (skipped, sampled):
            before = _faults_of_children(sandbox)
            assert sandbox.judge(program, TESTS).accepted
            faults.append(_faults_of_children(sandbox) - before)
    assert faults[1] > 2 * faults[0] > 0


def _faults_of_children(sandbox: Sandbox) -> int:
    """Page faults of the children the zygote has waited for: each child costs a hundred and more."""
    with open(f"/proc/{ranks(sandbox)[ZYGOTE][0].pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[8])
