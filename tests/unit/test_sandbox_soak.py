"""Long runs: nothing piles up, kills at random moments change no verdict, a busy machine neither."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from raymode.sandbox import Limits, Sandbox, Status, Test

pytestmark = pytest.mark.slow

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n"), Test("5 5\n", "10\n")]
ENDINGS = [
    (ADD, Status.AC),
    (ADD + "print('more')\n", Status.WA),
    ("1 / 0\n", Status.RE),
    ("x = (\n", Status.CE),
    ("import ctypes\nctypes.CDLL(None).ptrace(0)\n", Status.SV),
    (ADD + "import threading\nthreading.Thread(target=print).start()\n" * 2, Status.AC),
]


def _group_processes(sandbox: Sandbox) -> list[int]:
    assert sandbox._runner is not None
    group = sandbox._runner._zygote._process.pid
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == group:
                    found.append(int(name))
            except ProcessLookupError:
                continue
    return found


def _resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_ten_thousand_programs_leave_everything_as_it_was() -> None:
    with Sandbox(cache_size=100) as sandbox:

        def judge(count: int) -> None:
            for n in range(count):
                program, status = ENDINGS[n % len(ENDINGS)]
                assert sandbox.judge(program + f"# {n}", TESTS).status is status

        def state() -> tuple[int, int, list[str]]:
            return (
                len(os.listdir("/proc/self/fd")),
                len(_group_processes(sandbox)),
                sorted(os.listdir("/dev/shm")),
            )

        judge(500)
        before = state()
        monitor_and_zygote = _group_processes(sandbox)
        resident = [_resident_kib(pid) for pid in [os.getpid(), *monitor_and_zygote]]
        judge(9_500)
        assert state() == before
        assert _group_processes(sandbox) == monitor_and_zygote  # the same two, never replaced
        grown = [_resident_kib(pid) for pid in [os.getpid(), *monitor_and_zygote]]
        assert all(now <= then + 2048 for now, then in zip(grown, resident, strict=True))


def test_kills_at_random_moments_change_no_verdict() -> None:
    seconds = float(os.environ.get("RAYMODE_KILL_SECONDS", "60"))
    stop = threading.Event()
    kills = 0
    chance = random.Random(1)
    with Sandbox(cache_size=0) as sandbox:

        def kill() -> None:
            nonlocal kills
            while not stop.wait(chance.uniform(0.2, 0.8)):
                processes = _group_processes(sandbox)
                if processes:
                    try:
                        os.kill(chance.choice(processes), signal.SIGKILL)
                        kills += 1
                    except ProcessLookupError:
                        continue

        killer = threading.Thread(target=kill)
        killer.start()
        judged: dict[Status, int] = {}
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for program, expected in ENDINGS:
                    status = sandbox.judge(program, TESTS).status
                    assert status in (expected, Status.SANDBOX_ERROR)
                    judged[status] = judged.get(status, 0) + 1
        finally:
            stop.set()
            killer.join()
    assert kills > seconds / 2
    assert judged.get(Status.SANDBOX_ERROR, 0) <= 0.01 * sum(judged.values())


def test_a_busy_machine_changes_no_verdict() -> None:
    """200 right programs near their limit, with twice as many busy processes as cores."""
    work = ADD + "s = 0\nfor i in range({n}):\n    s += i * i % 7\n"
    with Sandbox(cache_size=0) as sandbox:
        calm = min(
            sandbox.run(work.format(n=300_000), "1 2\n", Limits(cpu_s=60)).cpu_s for _ in range(5)
        )
        limits = Limits(cpu_s=2 * calm)
        burners = [
            subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
            for _ in range(2 * (os.cpu_count() or 1))
        ]
        try:
            verdicts = [
                sandbox.judge(work.format(n=300_000) + f"# {n}", TESTS[:1], limits)
                for n in range(200)
            ]
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
    assert [v.status for v in verdicts if v.status is not Status.AC] == []
