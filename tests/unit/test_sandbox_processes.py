"""The processes of a sandbox: what becomes of it when they are killed or it is interrupted, and that none is left."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import MONITOR, PROGRAM, ZYGOTE, kill_one, killing_programs, ranks

from raymode.errors import SandboxError
from raymode.sandbox import Sandbox, Status, Test

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n"), Test("5 5\n", "10\n"), Test("-1 1\n", "0\n")]
SLOW = ADD + "import time\ntime.sleep(0.1)\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("rank", [MONITOR, ZYGOTE, PROGRAM], ids=["monitor", "zygote", "program"])
def test_what_is_killed_is_replaced_and_its_work_done_again(rank: int) -> None:
    with Sandbox() as sandbox, ThreadPoolExecutor(1) as pool:
        before = ranks(sandbox)
        killing = pool.submit(kill_one, sandbox, rank)
        verdict = sandbox.judge(SLOW, TESTS)
        assert not killing.result().alive
        assert (verdict.status, verdict.tests_run) == (Status.AC, 3)
        after = ranks(sandbox)
        assert [len(processes) for processes in after] == [1, 1]
        replaced = [then != now for then, now in zip(before, after, strict=True)]
        assert replaced == [rank != PROGRAM] * 2


def test_a_child_killed_twice_from_outside_is_a_sandbox_error(sandbox: Sandbox) -> None:
    with killing_programs(sandbox) as killed:
        verdict = sandbox.judge("import time\ntime.sleep(5)", TESTS)
    assert len(killed) == 2
    assert verdict.status is Status.SANDBOX_ERROR
    assert sandbox.judge(ADD + "# after", TESTS).status is Status.AC


class Interrupted(BaseException):
    """Like KeyboardInterrupt, which would end the tests themselves if it came too late."""


@contextlib.contextmanager
def interrupted(sandbox: Sandbox) -> Iterator[None]:
    """Interrupt this thread in the block when a program has run for a while."""
    main, left = threading.get_ident(), threading.Event()

    def raise_it(*_: object) -> None:
        raise Interrupted

    def interrupt() -> None:
        while len(ranks(sandbox)) <= PROGRAM and not left.wait(0.01):
            pass
        if not left.wait(0.05):
            signal.pthread_kill(main, signal.SIGUSR1)

    handler = signal.signal(signal.SIGUSR1, raise_it)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        with pytest.raises(Interrupted):
            yield
    finally:
        left.set()
        interrupter.join()
        signal.signal(signal.SIGUSR1, handler)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("test", [0, 2], ids=["at its start", "among its tests"])
def test_the_verdicts_after_an_interruption_are_the_right_ones(shared: bool, test: int) -> None:
    """No answer to what was asked before is taken for one to what is asked now."""
    first, _ = TESTS[test].input.split()
    sleeps = ADD + f"import time\nif a == {first}:\n    time.sleep(0.4)\n"
    with Sandbox(shared=shared) as sandbox:
        for number in range(2):
            with interrupted(sandbox):
                sandbox.judge(f"{sleeps}# {number}", TESTS)
            programs = [f"{text}\n# {number}" for text in ("print(3)", ADD, "1 / 0", "x = (")]
            verdicts = [sandbox.judge(program, TESTS) for program in programs]
            assert [(verdict.status, verdict.failing_test) for verdict in verdicts] == [
                (Status.WA, 1), (Status.AC, None), (Status.RE, 0), (Status.CE, None),
            ]  # fmt: skip
        assert [len(processes) for processes in ranks(sandbox)] == [1, 1]


def test_close_leaves_nothing() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    sandbox = Sandbox()
    sandbox.judge(ADD, TESTS)
    processes = [process for rank in ranks(sandbox) for process in rank]
    assert len(processes) == 2
    sandbox.close()
    sandbox.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert not [process for process in processes if process.alive]
    with pytest.raises(SandboxError, match="closed"):
        sandbox.judge(ADD, TESTS)


def test_a_killed_owner_leaves_nothing() -> None:
    script = (
        "import os, sys\n"
        "from raymode.sandbox import Sandbox, Test\n"
        "s = Sandbox()\n"
        "print(os.getpgid(s.processes()[0]), flush=True)\n"
        "s.judge('import time; time.sleep(60)', [Test('', '')])\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    try:
        group = int(owner.stdout.readline())
        assert _comes_to_hold(group, 3)  # monitor, zygote, program
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    assert _comes_to_hold(group, 0)


def _comes_to_hold(group: int, count: int) -> bool:
    """Wait for a process group to have `count` members; False if it does not in time."""
    deadline = time.monotonic() + 10
    while _in_group(group) != count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _in_group(group: int) -> int:
    return sum(_group(int(name)) == group for name in os.listdir("/proc") if name.isdigit())


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


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


def test_threads_that_share_it_each_get_their_own_verdict(sandbox: Sandbox) -> None:
    programs = [ADD + f"# {n}" if n % 2 else f"print('no')  # {n}" for n in range(8)]
    with ThreadPoolExecutor(len(programs)) as threads:
        verdicts = list(threads.map(lambda program: sandbox.judge(program, TESTS), programs))
    assert [verdict.status for verdict in verdicts] == [Status.WA, Status.AC] * 4
