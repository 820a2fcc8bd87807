"""Several programs at a time, programs that break the sandbox, and both fork loops."""

import itertools
import re
import time

import pytest
from processes import killing_programs, ranks

from raymode.errors import SandboxError
from raymode.sandbox import Limits, Question, Sandbox, Status, Test, loops, probes
from raymode.sandbox import runner as runner_module

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n"), Test("5 5\n", "10\n"), Test("-1 1\n", "0\n")]


def questions() -> list[Question]:
    programs = [ADD, "print(3)", "1 / 0", "x = (", ADD + "# again", "print('no')", ADD]
    return [Question(program, TESTS) for program in programs]


@pytest.mark.parametrize("lanes", [1, 3])
def test_many_are_judged_as_one_by_one(lanes: int) -> None:
    with Sandbox(lanes=lanes, cache_size=0) as sandbox:
        together = sandbox.judge_many(questions())
        alone = [sandbox.judge(q.program, q.tests) for q in questions()]
    told = [(v.status, v.failing_test, v.message, v.tests_run) for v in together]
    assert told == [(v.status, v.failing_test, v.message, v.tests_run) for v in alone]
    assert {v.status for v in together} == {Status.AC, Status.WA, Status.RE, Status.CE}


def intervals(sandbox: Sandbox, action: str, count: int) -> list[tuple[float, float]]:
    """When so many programs, judged together, began and ended `action`; in the order of their beginnings.

    They say so in what they print, which the message about a wrong answer shows.
    """
    program = (
        f"import time\nstart = time.monotonic()\n{action}\nprint(f'{{start}}/{{time.monotonic()}}')"
    )
    asked = [Question(f"{program}\n# {n}", [Test("", "times")]) for n in range(count)]
    found = []
    for verdict in sandbox.judge_many(asked):
        times = re.search(r"printed '([\d.]+)/([\d.]+)'", verdict.message)
        assert times, verdict
        found.append((float(times[1]), float(times[2])))
    return sorted(found)


def started(lanes: int) -> Sandbox:
    """A sandbox of which every lane has its zygote already."""
    sandbox = Sandbox(lanes=lanes, cache_size=0)
    sleep = "import time\ntime.sleep(0.5)\n"
    sandbox.judge_many([Question(f"{sleep}# {n}", [Test("", "")]) for n in range(lanes)])
    assert [len(rank) for rank in ranks(sandbox)] == [lanes, lanes]
    return sandbox


def test_a_program_that_sleeps_holds_up_nobody() -> None:
    with started(3) as sandbox:
        slept = intervals(sandbox, "time.sleep(1)", 3)
    assert all(later[0] < earlier[1] for earlier, later in itertools.pairwise(slept))


def test_lanes_take_turns_on_one_core() -> None:
    """While one program computes no other is begun."""
    with started(2) as sandbox:
        computed = intervals(sandbox, "while time.thread_time() < 0.3: pass", 4)
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(computed))


def test_no_lane_has_another_level_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where programs may run unprotected: that is decided once, and said."""
    held: list[bool] = []

    def breaches(output: bytes) -> list[str]:
        found = ["read a file"] if any(held) else probes.breaches(output)
        held.append(not found)
        return found

    monkeypatch.setattr(runner_module, "breaches", breaches)
    asked = [Question(f"import time\ntime.sleep(0.5)\n# {n}", TESTS[:1]) for n in range(2)]
    with Sandbox(lanes=2, allow_unsafe=True) as sandbox:
        assert sandbox.level != "unsafe"
        with pytest.raises(SandboxError, match=f"{sandbox.level}: a program inside could read"):
            sandbox.judge_many(asked)
        assert sandbox.judge(ADD, TESTS).level == sandbox.level


def test_programs_of_one_name_are_judged_once() -> None:
    with Sandbox() as sandbox:
        first, second = sandbox.judge_many(
            [Question(ADD, TESTS, name="add"), Question("1 / 0", TESTS, name="add")]
        )
        assert first == second
        assert sandbox.judge_many([Question("1 / 0", TESTS, name="other")])[0].status is Status.RE


def test_a_program_that_breaks_the_sandbox_twice_is_not_run_again() -> None:
    poison = "import time\ntime.sleep(5)"
    with Sandbox() as sandbox:
        with killing_programs(sandbox) as killed:
            assert sandbox.judge(poison, TESTS).status is Status.SANDBOX_ERROR
        assert len(killed) == 2
        begun = time.monotonic()
        verdict = sandbox.judge(poison, TESTS)
        assert (verdict.status, verdict.tests_run) == (Status.SANDBOX_ERROR, 0)
        assert verdict.message.startswith("quarantined: the child was killed")
        assert time.monotonic() - begun < 1
        assert list(sandbox.quarantined.values()) == ["the child was killed from outside"]
        assert sandbox.judge(ADD, TESTS).accepted


def test_no_lane_is_refused() -> None:
    with pytest.raises(ValueError, match="lanes"):
        Sandbox(lanes=0)


@pytest.mark.parametrize("shared", [False, True])
def test_both_loops_give_the_same_verdicts(
    level: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loops.KIND in ("C", "Python")
    limits = Limits(cpu_s=0.3, wall_s=20, memory_mb=64, output_mb=1)
    programs = [
        *(q.program for q in questions()),
        "while True: pass",
        "print('x' * (2 << 20))",
        "x = bytearray(100 << 20)",
        "import ctypes; ctypes.CDLL(None).ptrace(0)",
        "import os; os.abort()",
        "import sys; sys.stderr.write('x' * 3000000)",
    ]
    told = []
    for kind in (loops.KIND, "Python"):
        monkeypatch.setattr(loops, "KIND", kind)
        with Sandbox(level=level, cache_size=0, shared=shared) as sandbox:
            verdicts = [sandbox.judge(program, TESTS, limits) for program in programs]
        told.append([(v.status, v.failing_test, v.tests_run) for v in verdicts])
    assert told[0] == told[1]
    assert len({status for status, _, _ in told[0]}) == 8
