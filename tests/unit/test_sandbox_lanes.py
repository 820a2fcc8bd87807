"""Several programs at a time, programs that break the sandbox, and both fork loops."""

import os
import signal
import threading
import time

import pytest

from raymode.sandbox import Limits, Question, Sandbox, Status, Test, loops

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


def test_a_program_that_sleeps_holds_up_nobody() -> None:
    sleepers = [
        Question(f"import time\ntime.sleep(1)\nprint({n})", [Test("", f"{n}")]) for n in range(3)
    ]
    with Sandbox(lanes=3) as sandbox:
        sandbox.judge_many(questions())  # all lanes have been started
        started = time.monotonic()
        assert all(v.accepted for v in sandbox.judge_many(sleepers))
        assert time.monotonic() - started < 2.5


def test_lanes_take_turns_on_one_core() -> None:
    """While one program computes no other is begun: each sees the clock advance as fast as its own time."""
    burn = "import time\nstart = time.monotonic()\nwhile time.thread_time() < 0.3: pass\nprint(time.monotonic() - start)"
    with Sandbox(lanes=2, cache_size=0) as sandbox:
        runs: list[float] = []
        threads = [
            threading.Thread(target=lambda: runs.append(float(sandbox.run(burn, "").output)))
            for _ in range(2)
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started > 0.6
        assert len(sandbox.processes()) == 4


def test_programs_of_one_name_are_judged_once() -> None:
    with Sandbox() as sandbox:
        first, second = sandbox.judge_many(
            [Question(ADD, TESTS, name="add"), Question("1 / 0", TESTS, name="add")]
        )
        assert first == second
        assert sandbox.judge_many([Question("1 / 0", TESTS, name="other")])[0].status is Status.RE


def test_a_program_that_breaks_the_sandbox_twice_is_not_run_again() -> None:
    poison = "import time\ntime.sleep(5)"
    stop = threading.Event()
    with Sandbox() as sandbox:

        def kill_children() -> None:
            while not stop.wait(0.02):
                for pid in sandbox.processes()[2:]:
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_children)
        killer.start()
        try:
            assert sandbox.judge(poison, TESTS).status is Status.SANDBOX_ERROR
        finally:
            stop.set()
            killer.join()
        started = time.monotonic()
        verdict = sandbox.judge(poison, TESTS)
        assert (verdict.status, verdict.tests_run) == (Status.SANDBOX_ERROR, 0)
        assert verdict.message.startswith("quarantined: the child was killed")
        assert time.monotonic() - started < 1
        assert list(sandbox.quarantined.values()) == ["the child was killed from outside"]
        assert sandbox.judge(ADD, TESTS).accepted


def test_no_lane_is_refused() -> None:
    with pytest.raises(ValueError, match="lanes"):
        Sandbox(lanes=0)


@pytest.mark.parametrize("level", ["L4", "L3", "L2"])
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
