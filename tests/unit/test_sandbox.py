"""The judge: statuses, limits, what programs get to see, and what it remembers."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_hunt import HUNT, PLANTS

from raymode.sandbox import Limits, Sandbox, SpecialJudge, Status, Test
from raymode.sandbox.interpreter import find_interpreter

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n"), Test("5 5\n", "10\n"), Test("-1 1\n", "0\n")]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_right_program_at_every_level(level: str) -> None:
    with Sandbox(level=level) as sandbox:
        verdict = sandbox.judge(ADD, TESTS)
    assert (verdict.status, verdict.failing_test, verdict.message) == (Status.AC, None, "")
    assert (verdict.level, verdict.tests_run) == (level, 3)
    assert 0 < verdict.cpu_s <= verdict.total_cpu_s
    assert 1 < verdict.max_rss_mb < 100


@pytest.mark.parametrize(
    ("program", "status", "message"),
    [
        ("print(3)", Status.WA, "token 1: printed '3', expected '10'"),
        ("print(3); print('x' if int(input().split()[0]) > 1 else '')", Status.WA, "token 1"),
        (
            "print(3)\n1 / (int(input().split()[0]) - 5)",
            Status.RE,
            "ZeroDivisionError: division by zero",
        ),
        ("print(3)\nexit(int(input().split()[0]) // 5 * 7)", Status.RE, "exit code 7"),
        ("print(3)\nif input() == '5 5': import os; os.abort()", Status.RE, "killed by SIGABRT"),
        ("print(3)\nwhile input() == '5 5': pass", Status.RE, "EOFError"),
        ("print(3)\nx = input()\nwhile x == '5 5': pass", Status.TLE, "cpu"),
        ("print(3)\nif input() == '5 5': import time; time.sleep(60)", Status.TLE, "wall"),
        ("print(3)\nx = b'x' * (90 << 20 if input() == '5 5' else 1)", Status.MLE, "MiB resident"),
        (
            "print(3)\nif input() == '5 5': print('x' * (2 << 20))",
            Status.OLE,
            "more than 1 MiB of output",
        ),
        (
            "print(3)\nif input() == '5 5': import ctypes; ctypes.CDLL(None).ptrace(0)",
            Status.SV,
            "forbidden",
        ),
        ("print(3)\nif input() == '5 5': x = [0] * 10**12", Status.MLE, "MemoryError"),
    ],
)
def test_each_failure_has_its_status(
    sandbox: Sandbox, program: str, status: Status, message: str
) -> None:
    wall_s = 1.5 if message == "wall" else 30.0  # 0.5 CPU seconds can take long on a busy machine
    limits = Limits(cpu_s=0.5, wall_s=wall_s, memory_mb=64, output_mb=1)
    verdict = sandbox.judge(program, TESTS, limits)
    assert (verdict.status, verdict.failing_test, verdict.tests_run) == (status, 1, 2)
    assert message in verdict.message


@pytest.mark.parametrize(
    "source", ["print 'x'", "x = (", "\0", "if 1:\npass", "(" * 100_000, "'" + "\ud800" + "'"]
)
def test_compile_errors(sandbox: Sandbox, source: str) -> None:
    verdict = sandbox.judge(source, TESTS)
    assert (verdict.status, verdict.failing_test, verdict.tests_run) == (Status.CE, None, 0)
    assert verdict.message


def test_no_tests_and_unknown_names(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no tests"):
        sandbox.judge(ADD, [])
    with pytest.raises(ValueError, match="checker 'token'"):
        sandbox.judge(ADD, TESTS, checker="token")
    with pytest.raises(ValueError, match="level 'L9'"):
        Sandbox(level="L9")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu_s", 0),
        ("cpu_s", float("nan")),
        ("cpu_s", 1e8),
        ("wall_s", 1e7),
        ("memory_mb", 1 << 40),
    ],
)
def test_impossible_limits_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"limits\.{name}: {re.escape(repr(value))} "):
        Limits(**{name: value})  # type: ignore[arg-type]


SECRETS = [Test("", "TOPSECRET1"), Test("", "TOPSECRET2")]


def test_expected_outputs_never_reach_the_program(sandbox: Sandbox) -> None:
    """Whatever the program can look at holds no trace of the answer."""
    verdict = sandbox.judge(HUNT, SECRETS, Limits(cpu_s=20))
    assert (verdict.status, verdict.failing_test) == (Status.WA, 0)
    assert verdict.message == "token 1: printed 'nothing', expected 'TOPSECRET1'"


@pytest.mark.parametrize("place", PLANTS)
def test_the_hunt_for_expected_outputs_finds_what_is_there(sandbox: Sandbox, place: str) -> None:
    before, given = PLANTS[place]
    verdict = sandbox.judge(before + HUNT, [Test(given, "TOPSECRET1")], Limits(cpu_s=20))
    assert (verdict.status, verdict.message) == (Status.AC, "")


def test_programs_do_not_see_each_other(sandbox: Sandbox) -> None:
    leave = "import builtins, os, sys, heapq\nbuiltins.left = sys.left = heapq.left = 1\nos.environ['LEFT'] = '1'"
    look = "import builtins, os, sys, heapq\nprint(any(hasattr(m, 'left') for m in (builtins, sys, heapq)), 'LEFT' in os.environ)"
    sandbox.run(leave, "")
    assert sandbox.run(look, "").output == b"False False\n"


def test_an_earlier_program_is_not_in_memory() -> None:
    """A program that copied the code of an accepted one out of memory would be accepted."""
    earlier = "MARK = 'EARLIER-' + 'x' * 3 + '-PROGRAM'\nword = 'earlierxprogram'\nprint(word)\n"
    scan = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.sbrk.restype = ctypes.c_void_p\n"
        "top = libc.sbrk(0) & ~4095\n"
        "arenas = {id(o) >> 20 << 20 for o in [object() for _ in range(50000)]} | {id('a') >> 20 << 20}\n"
        "starts = [top - (8 << 20) + 4096 * i for i in range(2048)]\n"
        "starts += [a + 4096 * i for a in sorted(arenas) for i in range(-256, 512)]\n"
        "for start in starts:\n"
        "    libc.write(1, ctypes.c_void_p(start), 4096)\n"
    )
    with Sandbox() as sandbox:
        assert sandbox.run(earlier, "").output == b"earlierxprogram\n"
        found = sandbox.run(scan, "secretinput").output
    assert len(found) > 1 << 20  # the scan sees much of the memory
    assert b"libc.write" in found or b"sbrk" in found  # and itself in there
    assert b"earlierxprogram" not in found


def test_the_environment_is_not_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYMODE_TEST_TOKEN", "secret")
    with Sandbox() as fresh:
        printed = fresh.run("import os\nprint(sorted(os.environ))", "").output
    assert printed == b"['HOME', 'LC_ALL', 'PATH']\n"


def test_unseeded_random_programs_repeat() -> None:
    program = "import random\nprint(random.random(), hash('x'))"
    printed = []
    for _ in range(2):
        with Sandbox() as sandbox:
            printed.append(sandbox.run(program, "").output)
    assert printed[0] == printed[1]


def test_special_judge(sandbox: Sandbox) -> None:
    judge = SpecialJudge(
        "import json, sys\n"
        "q = json.load(sys.stdin)\n"
        "a, b = map(int, q['printed'].split())\n"
        "print('AC' if a * b == int(q['input']) else f'WA {a} x {b} is not {q[\"input\"].strip()}')\n"
    )
    tests = [Test("12", "3 4"), Test("35", "5 7")]
    right = "n = int(input())\nd = next(d for d in range(2, n) if n % d == 0)\nprint(d, n // d)"
    assert sandbox.judge(right, tests, checker=judge).status is Status.AC
    verdict = sandbox.judge("print(3, 4)", tests, checker=judge)
    assert (verdict.status, verdict.failing_test, verdict.message) == (
        Status.WA,
        1,
        "3 x 4 is not 35",
    )
    broken = sandbox.judge("print('three')", tests, checker=judge)
    assert broken.status is Status.SANDBOX_ERROR  # the judge's own failure is nobody's wrong answer
    assert "special judge" in broken.message


@pytest.mark.parametrize("said", ["\x1b[2Jno\x07", "no\nAC", "n\to", "n\u2028o", "no" * 1000])
def test_what_a_special_judge_says_is_one_short_printable_line(sandbox: Sandbox, said: str) -> None:
    judge = SpecialJudge(f"print({'WA ' + said!r})")
    verdict = sandbox.judge("print(1)", [Test("", "1")], checker=judge)
    assert verdict.status is Status.WA
    assert verdict.message.isprintable()
    assert "n" in verdict.message and len(verdict.message) <= 300


def test_cached_verdicts_are_the_same(sandbox: Sandbox) -> None:
    program = "import time\nprint(sum(map(int, input().split())))  # a comment of its own"
    first = sandbox.judge(program, TESTS)
    again = sandbox.judge(program.replace("\n", "\r\n"), TESTS)
    assert (again.status, again.cpu_s, again.tests_run) == (
        first.status,
        first.cpu_s,
        first.tests_run,
    )
    assert sandbox.judge(program, TESTS[:2]).tests_run == 2
    assert sandbox.judge(program, [*TESTS[:2], Test("1 1\n", "3\n")]).status is Status.WA


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_follows_a_last_backslash_makes_another_program(
    sandbox: Sandbox, order: tuple[int, int]
) -> None:
    programs = f"print({order[0]})\\", f"print({order[0]})\\\n\n"
    statuses = {}
    for number in order:
        statuses[number] = sandbox.judge(programs[number], [Test("", f"{order[0]}")]).status
    assert statuses == {0: Status.CE, 1: Status.AC}


def test_killer_tests_come_first() -> None:
    tests = [Test(f"{n}\n", f"{n * n}\n") for n in range(10)]
    with Sandbox(killer_first=True) as sandbox:
        first = sandbox.judge(
            "print(int(input()) ** 2 if True else 0) if 1 else 0; import sys", tests
        )
        wrong = [f"n = int(input())\nprint(n * n if n < 7 else {k})" for k in range(3)]
        verdicts = [sandbox.judge(program, tests) for program in wrong]
    assert first.status is Status.AC
    assert [(v.failing_test, v.tests_run) for v in verdicts] == [(7, 8), (7, 1), (7, 1)]


def test_the_interpreter_is_the_base_one() -> None:
    interpreter = find_interpreter()
    assert all("site-packages" not in path for path in interpreter.import_path)
    assert interpreter.inside(interpreter.trees[0]).startswith("/usr/lib/python3")


def test_an_interpreter_that_was_killed_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; kill -9 $$; }}\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(python))
    assert find_interpreter.__wrapped__().import_path
    assert (tmp_path / "tried").exists()
