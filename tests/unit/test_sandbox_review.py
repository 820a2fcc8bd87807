"""Ways a hostile program could mislead the judge or disturb its process, each closed and kept closed."""

import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from raymode.sandbox import Limits, Sandbox, SpecialJudge, Status, Test
from raymode.sandbox.question import Question

ADD_ONE = "print(int(input()) + 1)"
TESTS = [Test(f"{n}\n", f"{n + 1}\n") for n in range(3)]
EXIT_THREAD = {"x86_64": 60, "aarch64": 93}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(cache_size=0) as sandbox:
        yield sandbox


def judges_on(sandbox: Sandbox) -> bool:
    """Whether the next programs get the verdicts they deserve, and none is put away for good."""
    programs = ("print(3)", ADD_ONE, "1 / 0", "x = (")
    found = [(v.status, v.failing_test) for v in (sandbox.judge(p, TESTS) for p in programs)]
    deserved = [(Status.WA, 0), (Status.AC, None), (Status.RE, 0), (Status.CE, None)]
    return found == deserved and not sandbox.quarantined


# --- what the owner of a sandbox reads about a program is the program's choice


@pytest.mark.parametrize("number", [32, 35, 40, 63])
def test_a_signal_without_a_name_is_told_by_its_number(sandbox: Sandbox, number: int) -> None:
    """Raised past the C library, which keeps some of them for itself."""
    program = (
        "import ctypes, os, threading\n"
        f"ctypes.CDLL(None).tgkill(os.getpid(), threading.get_native_id(), {number})\n"
    )
    verdict = sandbox.judge(program, TESTS)
    assert (verdict.status, verdict.message) == (Status.RE, f"killed by signal {number}")
    many = sandbox.judge_many([Question(program, TESTS), Question(ADD_ONE, TESTS)])
    assert [each.status for each in many] == [Status.RE, Status.AC]
    assert judges_on(sandbox)


NAMED = (
    "import ctypes, time\n"
    "assert ctypes.CDLL(None).prctl(15, b'\\xff) Z 1', 0, 0, 0) == 0\n"
    f"time.sleep(0.1)\n{ADD_ONE}\n"
)


@pytest.mark.parametrize("shared", [False, True])
def test_a_process_name_that_is_no_text_changes_nothing(level: str, shared: bool) -> None:
    """It stands among the numbers which the kernel shows of a process that runs for long."""
    with Sandbox(level=level, cache_size=0, shared=shared) as sandbox:
        assert sandbox.judge(NAMED, TESTS).status is Status.AC
        assert judges_on(sandbox)


def test_memory_of_a_thread_that_outlives_the_main_one_is_watched(level: str) -> None:
    """The kernel shows no memory of a process whose main thread has ended: it could take all there is."""
    program = (
        "import ctypes, threading, time\n"
        "def grow():\n    x = []\n    while len(x) < 60:\n"
        "        time.sleep(0.02)\n        x.append(b'x' * (8 << 20))\n"
        "threading.Thread(target=grow).start()\n"
        f"ctypes.CDLL(None).syscall({EXIT_THREAD[platform.machine()]}, 0)\n"
    )
    with Sandbox(level=level) as sandbox:
        verdict = sandbox.judge(program, TESTS, Limits(memory_mb=64))
    assert (verdict.status, verdict.failing_test) == (Status.MLE, 0)
    assert verdict.max_rss_mb < 350  # of nearly 500, on a machine however busy


# --- the process that owns a sandbox


@pytest.mark.parametrize("again_s", [0.0, 0.3], ids=["once", "again and again"])
def test_the_callers_own_alarm_reaches_it(again_s: float) -> None:
    """A TimeoutError is an OSError, but this one is not about the machine: no work is done again."""

    def alarm(*_: object) -> None:
        raise TimeoutError("the caller's own")

    handler = signal.signal(signal.SIGALRM, alarm)
    try:
        with Sandbox(cache_size=0) as sandbox:
            with pytest.raises(TimeoutError, match="the caller's own"):
                signal.setitimer(signal.ITIMER_REAL, 0.3, again_s)
                sandbox.judge(f"import time\ntime.sleep(2)\n{ADD_ONE}", TESTS)
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert judges_on(sandbox)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


WITHOUT_DESCRIPTORS = f"""
import os, resource
from raymode.errors import SandboxError
from raymode.sandbox import Sandbox, Status, Test

tests = [Test(f"{{n}}\\n", f"{{n + 1}}\\n") for n in range(30)]
count = lambda: len(os.listdir("/proc/self/fd"))
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
with Sandbox(cache_size=0) as sandbox:
    assert sandbox.judge({ADD_ONE!r}, tests).status is Status.AC
    before, refused = count(), 0
    for room in (1, 6, 11, 16, 40):
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + room, most))
        try:
            assert sandbox.judge({ADD_ONE!r}, tests).status is Status.AC
        except SandboxError:
            refused += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, most), most))
        assert count() == before, (room, count(), before)
        assert sandbox.judge({ADD_ONE!r}, tests).status is Status.AC
    assert not sandbox.quarantined
    print("refused", refused)
"""


def test_a_process_out_of_descriptors_says_so_and_loses_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wall_s", float("inf")), ("cpu_s", 1e6), ("memory_mb", 256.5), ("memory_mb", 256.0),
        ("memory_mb", 1 << 44), ("output_mb", 1.5), ("output_mb", 1 << 50), ("threads", 2.0),
        ("threads", 1 << 33),
    ],
)  # fmt: skip
def test_limits_that_no_request_can_carry_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"limits\.{name}: {re.escape(repr(value))} "):
        Limits(**{name: value})  # type: ignore[arg-type]


# --- what the kernel must refuse to a program


@pytest.mark.parametrize(
    "action", ["mmap.mmap(-1, 4096)", "mmap.mmap(-1, 1 << 25, flags=0x23)"], ids=["plain", "valid"]
)
def test_shared_memory_without_a_file_is_refused(level: str, action: str) -> None:
    """Most of it can be unmapped and stays: no limit of a process counts it."""
    program = (
        "import mmap\n"
        f"try:\n    {action}\nexcept OSError as error:\n    print(error.errno)\n"
        "print(len(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)))\n"
    )
    with Sandbox(level=level) as sandbox:
        assert sandbox.run(program, "").output.split()[1:] == [b"4096"]
        assert sandbox.run(program, "").output.split()[0] in (b"1", b"95")


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_program_cannot_limit_its_own_cpu_time(level: str, seconds: int) -> None:
    """The kernel would end it by the signal that means somebody outside did."""
    program = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))\nwhile True: pass"
    )
    with Sandbox(level=level, cache_size=0) as sandbox:
        verdict = sandbox.judge(program, TESTS, Limits(cpu_s=2))
        assert (verdict.status, verdict.failing_test) == (Status.RE, 0)
        assert judges_on(sandbox)


def test_nor_with_a_limit_at_an_address_whose_low_half_is_zero(level: str) -> None:
    """The filter sees an address in two halves; asking for the limit (address 0) stays allowed."""
    program = (
        "import ctypes, resource, struct\n"
        "libc, place = ctypes.CDLL(None, use_errno=True), 1 << 32\n"
        "address, number = ctypes.c_void_p, ctypes.c_int\n"
        "libc.mmap.restype = address\n"
        "libc.mmap.argtypes = [address, ctypes.c_size_t, number, number, number, ctypes.c_long]\n"
        "libc.prlimit.argtypes = [number, number, address, address]\n"
        "assert libc.mmap(place, 4096, 3, 0x32, -1, 0) == place\n"
        "ctypes.memmove(place, struct.pack('QQ', 1, 1), 16)\n"
        "print(libc.prlimit(0, resource.RLIMIT_CPU, place, None), ctypes.get_errno())\n"
        "print(len(resource.getrlimit(resource.RLIMIT_CPU)))\n"
    )
    with Sandbox(level=level) as sandbox:
        run = sandbox.run(program, "")
    assert (run.status, run.output) == (Status.AC, b"-1 1\n2\n"), run.message


@pytest.mark.parametrize("level_with_proc", ["L3", "L2"])
def test_the_files_of_the_parent_are_out_of_reach(
    level_with_proc: str, require_level: Callable[[str], None]
) -> None:
    """They are the inputs of later tests and what other children printed."""
    require_level(level_with_proc)
    program = (
        "import os\n"
        "folder, found = f'/proc/{os.getppid()}', []\n"
        "for n in range(64):\n"
        "    for look in (os.readlink, os.stat, lambda path: os.open(path, os.O_RDONLY)):\n"
        "        try:\n            found.append(look(f'{folder}/fd/{n}'))\n"
        "        except OSError:\n            pass\n"
        "for look in (os.listdir, os.scandir):\n"
        "    try:\n        found.append(list(look(f'{folder}/fd')))\n"
        "    except OSError:\n        pass\n"
        "print(found)\n"
    )
    with Sandbox(level=level_with_proc) as sandbox:
        run = sandbox.run(program, "")
    assert (run.status, run.output) == (Status.AC, b"[]\n")


# --- what one child could leave to the next


READ_BEFORE = (
    "import os, time\n"
    "time.sleep(0.02)\n"  # the kernel's clock of files ticks every few milliseconds
    "times = os.fstat(0)\n"
    "print('later' if times.st_atime_ns > times.st_mtime_ns else 'first')\n"
    "input()\n"
)


@pytest.mark.parametrize("tests", [1, 2, 6])
def test_an_input_does_not_tell_whether_it_was_read_before(level: str, tests: int) -> None:
    """By its access time; the programs of a problem share the files of its inputs, equal texts do not."""
    with Sandbox(level=level, cache_size=0) as sandbox:
        for _ in range(3):
            verdict = sandbox.judge(READ_BEFORE, [Test("abc\n", "first")] * tests)
            assert (verdict.status, verdict.message) == (Status.AC, "")


# --- special judges


def test_a_special_judge_decides_on_flooded_output(sandbox: Sandbox) -> None:
    """What a program prints must not make its judge fail: that would say nothing about the program."""
    judge = SpecialJudge(
        "import json, sys\nq = json.load(sys.stdin)\n"
        "print('AC' if q['printed'].split() == q['expected'].split() else 'WA no')\n"
    )
    # Five million tokens, each of them twelve characters long in JSON.
    flood = "import sys\nsys.stdout.buffer.write(b'\\xff\\xff ' * ((16 << 20) // 3))"
    verdict = sandbox.judge(flood, TESTS, checker=judge)
    assert (verdict.status, verdict.message) == (Status.WA, "no")
