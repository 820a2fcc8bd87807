"""The judge: statuses, limits, what it remembers, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from raymode.errors import SandboxError
from raymode.sandbox import Limits, Sandbox, SpecialJudge, Status, Test
from raymode.sandbox.interpreter import find_interpreter

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n"), Test("5 5\n", "10\n"), Test("-1 1\n", "0\n")]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("level", ["L4", "L3", "L2"])
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
    with pytest.raises(ValueError, match="cpu_s"):
        Limits(cpu_s=0)


def test_expected_outputs_never_reach_the_program(sandbox: Sandbox) -> None:
    """Frames, objects and files hold no trace of the answer."""
    hunt = (
        "import gc, sys\n"
        "frame, seen = sys._getframe(), []\n"
        "while frame:\n    seen.append(repr(frame.f_locals)); frame = frame.f_back\n"
        "seen += [repr(o) for o in gc.get_objects() if isinstance(o, (str, bytes, dict, list, tuple))]\n"
        "found = [s for s in seen if 'TERCESPOT' in s[::-1]]\n"
        "print(found[0] if found else 'nothing')\n"
    )
    tests = [Test("", "TOPSECRET1"), Test("", "TOPSECRET2")]
    run = sandbox.run(hunt, "")
    assert run.output == b"nothing\n"
    assert sandbox.judge(hunt, tests).status is Status.WA


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


def test_the_environment_is_not_the_callers(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_cached_verdicts_are_the_same(sandbox: Sandbox) -> None:
    program = "import time\nprint(sum(map(int, input().split())))  # a comment of its own"
    first = sandbox.judge(program, TESTS)
    again = sandbox.judge(program.replace("\n", "\r\n") + "\r\n", TESTS)
    assert again.wall_s < first.wall_s / 5
    assert (again.status, again.cpu_s, again.tests_run) == (
        first.status,
        first.cpu_s,
        first.tests_run,
    )
    assert sandbox.judge(program, TESTS[:2]).tests_run == 2
    assert sandbox.judge(program, [*TESTS[:2], Test("1 1\n", "3\n")]).status is Status.WA


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


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def test_a_killed_zygote_is_replaced_and_its_work_done_again() -> None:
    slow = ADD + "import time\ntime.sleep(0.3)"
    with Sandbox() as sandbox:
        for victim in (0, -1):  # the monitor, then the zygote or a child of it
            before = sandbox.processes()
            timer = threading.Timer(
                0.15, lambda v=victim: os.kill(sandbox.processes()[v], signal.SIGKILL)
            )
            timer.start()
            verdict = sandbox.judge(slow + f"\n# {victim}", TESTS)
            timer.join()
            assert (verdict.status, verdict.tests_run) == (Status.AC, 3)
            assert len(sandbox.processes()) == len(before) == 2


def test_a_child_killed_twice_from_outside_is_a_sandbox_error(sandbox: Sandbox) -> None:
    stop = threading.Event()

    def kill_children() -> None:
        while not stop.wait(0.02):
            for pid in sandbox.processes()[2:]:
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_children)
    killer.start()
    try:
        verdict = sandbox.judge("import time\ntime.sleep(5)", TESTS)
    finally:
        stop.set()
        killer.join()
    assert verdict.status is Status.SANDBOX_ERROR
    assert sandbox.judge(ADD + "# after", TESTS).status is Status.AC


def test_close_leaves_nothing() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    sandbox = Sandbox()
    sandbox.judge(ADD, TESTS)
    processes = sandbox.processes()
    sandbox.close()
    sandbox.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert not [pid for pid in processes if os.path.exists(f"/proc/{pid}")]
    with pytest.raises(SandboxError, match="closed"):
        sandbox.judge(ADD, TESTS)


def test_a_killed_owner_leaves_nothing() -> None:
    script = (
        "import sys, time\n"
        "from raymode.sandbox import Sandbox, Test\n"
        "s = Sandbox()\n"
        "import os; print(os.getpgid(s.processes()[0]), flush=True)\n"
        "s.judge('import time; time.sleep(60)', [Test('', '')])\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    group = int(owner.stdout.readline())
    time.sleep(0.3)
    assert _in_group(group) == 3  # monitor, zygote, child
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 5
    while _in_group(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _in_group(group) == 0


def _in_group(group: int) -> int:
    return sum(_group(int(p)) == group for p in os.listdir("/proc") if p.isdigit())


def test_another_process_may_not_use_it(sandbox: Sandbox) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sandbox.judge(ADD, TESTS)
        except SandboxError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    assert b"process that did not make it" in os.read(read, 1000)
    os.close(read)
    assert sandbox.judge(ADD + "# mine", TESTS).status is Status.AC


def test_threads_take_turns(sandbox: Sandbox) -> None:
    statuses: list[Status] = []
    programs = [ADD + f"# {n}" if n % 2 else "print('no')" + f"# {n}" for n in range(8)]
    threads = [
        threading.Thread(target=lambda p=p: statuses.append(sandbox.judge(p, TESTS).status))
        for p in programs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [Status.AC] * 4 + [Status.WA] * 4


def test_the_interpreter_is_the_base_one() -> None:
    interpreter = find_interpreter()
    assert all("site-packages" not in path for path in interpreter.import_path)
    assert interpreter.inside(interpreter.trees[0]).startswith("/usr/lib/python3")
