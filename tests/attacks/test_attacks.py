"""No hostile program gets through, at any level."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import raymode
from raymode.sandbox import Limits, Sandbox, Status, client
from raymode.sandbox import attacks as attacks_module
from raymode.sandbox import runner as runner_module
from raymode.sandbox.attacks import Attack, AttackResult, load_attacks, run_attacks

OWN = Path(__file__).parent / "programs"


def got_through(attacks: list[Attack], level: str) -> dict[str, AttackResult]:
    return {result.name: result for result in run_attacks(attacks, level) if result.problems}


def test_own_attacks_are_contained(level: str) -> None:
    assert got_through(load_attacks(OWN), level) == {}


def test_given_attacks_are_contained(level: str) -> None:
    shared = os.environ.get("RAYMODE_SHARED")
    if not shared:
        pytest.skip("RAYMODE_SHARED names no folder with an attacks/ inside")
    attacks = []
    for attack in load_attacks(Path(shared, "attacks")):
        if "kernel_surface" in attack.name:  # tries the call its input names, one per run
            attack = replace(attack, inputs=tuple(f"{index}\n" for index in range(10)))
        attacks.append(attack)
    assert got_through(attacks, level) == {}


@pytest.mark.parametrize(
    "level",
    [pytest.param("L4", marks=pytest.mark.slow), "L3", pytest.param("L2", marks=pytest.mark.slow)],
    indirect=True,
)
def test_own_attacks_are_contained_for_a_normal_user(
    level: str, level_refused: Callable[[str], None]
) -> None:
    """Started by a user without any right: nobody's identity is changed, and limits count differently."""
    user = 54321
    if os.geteuid() != 0:
        pytest.skip("started by a normal user already: the other tests are this one")
    pythons = [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"]
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        copy = Path(name)
        copy.chmod(0o755)
        shutil.copytree(Path(raymode.__file__).parent, copy / "raymode")
        shutil.copytree(OWN, copy / "attacks")
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        environment = {"PYTHONPATH": name, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        python = next((p for p in pythons if _starts(p, user, environment)), None)
        if python is None:
            pytest.skip("no Python 3.11 or newer here that a normal user may start")
        command = [python, "-m", "raymode.sandbox", "--attacks", "attacks", "--level", level]
        done = subprocess.run(
            command, cwd=name, env=environment, user=user, group=user, extra_groups=[],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if "no safe way to run programs" in done.stderr:  # which may be allowed to root alone
        level_refused(f"to a normal user: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" attacks, 0 got through")


def _starts(python: str, user: int, environment: dict[str, str]) -> bool:
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return not subprocess.run(
            [python, "-c", test], env=environment, user=user, group=user, extra_groups=[],
            capture_output=True, check=False,
        ).returncode  # fmt: skip
    except OSError:  # not there, or in a folder that is not for everybody
        return False


def test_a_giant_source_is_refused_before_it_is_compiled(strongest: str) -> None:
    giant = Attack("giant", f"x = {'9' * 20_000_000}\nprint(12)\n", ("CE",))
    assert got_through([giant], strongest) == {}


# name: (program, the only thing that there is to say about it where nothing isolates it)
THROUGH = {
    "says so": ("print('PWNED')", "printed b'PWNED'"),
    "reads the secret": ("print('it is', open('@CANARY@').read())", "printed b'it is CANARY-"),
    "writes": ("open('@CANARYDIR@/new', 'w')", "changed: canary folder"),
    "changes": ("import os\nos.truncate('@CANARYDIR@/keep', 1)", "changed: canary folder"),
    "stops a process": (
        "import os, time\nos.kill(@PID@, 19)\ntime.sleep(0.2)",
        "changed: canary process",
    ),
    "connects": (
        "import socket\nsocket.create_connection(('127.0.0.1', @PORT@)).recv(1)",
        "connected to ",
    ),
    "takes memory": ("x = b'x' * (100 << 20)", "MiB resident"),
    "ends otherwise than it may": ("1 / 0", "RE (ZeroDivisionError: division by zero), not WA/MLE"),
    "leaves a process": ("import os, time\nif not os.fork(): time.sleep(2)", "1 processes left"),
}


def test_the_runner_notices_what_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these gets through where nothing isolates programs, and is told from the others."""
    monkeypatch.setattr(runner_module, "breaches", lambda output: ["do all it likes"])
    monkeypatch.setattr(attacks_module, "Sandbox", partial(Sandbox, allow_unsafe=True))
    monkeypatch.setattr(attacks_module, "ATTACK_LIMITS", Limits(cpu_s=2, memory_mb=80))
    monkeypatch.setattr(client, "usage", lambda child: (0, 0.0))  # nobody ends what grows
    attacks = [Attack(name, text, ("WA", "MLE")) for name, (text, _) in THROUGH.items()]
    calm = Attack("calm", "print('nothing')", ("WA",))
    found = {result.name: result.problems for result in run_attacks([calm, *attacks])}
    assert found.pop("calm") == ()
    assert found.keys() == THROUGH.keys()
    for name, (_, due) in THROUGH.items():
        (problem,) = found[name]
        assert due in problem, name


ONE_CALL = """
import ctypes, os, sys
number = int(input())
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
print(result, ctypes.get_errno())
"""
REFUSED = {1, 13, 25, 38}  # EPERM EACCES ENOTTY ENOSYS


@pytest.mark.slow
def test_every_call_not_on_the_list_is_refused_alone(level: str) -> None:
    """Each number up to 500 in a run of its own, so that an early end hides nothing."""
    from raymode.sandbox import seccomp, syscalls

    by_argument = (
        "openat open mmap mprotect ioctl fcntl clone socketpair prctl arch_prctl prlimit64 tgkill"
    )
    allowed = {syscalls.NUMBERS.get(name) for name in [*seccomp.PLAIN, *by_argument.split()]}
    allowed |= {
        335,
        336,
    }  # uretprobe, uprobe: never filtered; the kernel itself refuses all but its own
    succeeded = []
    with Sandbox(level=level) as sandbox:
        for number in range(500):
            if number in allowed:
                continue
            run = sandbox.run(ONE_CALL, f"{number}\n", Limits(cpu_s=2))
            refused = run.status is Status.SV
            if run.status is Status.AC:
                result, errno = map(int, run.output.split())
                refused = result == -1 and errno in REFUSED
            if not refused:
                succeeded.append((number, run.status, run.output))
    assert succeeded == []
