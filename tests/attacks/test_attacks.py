"""No hostile program gets through, at any level."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from raymode.sandbox import Limits, Sandbox, Status
from raymode.sandbox.attacks import Attack, AttackResult, load_attacks, run_attacks
from raymode.sandbox.runner import LEVELS

OWN = Path(__file__).parent / "programs"


def got_through(attacks: list[Attack], level: str) -> dict[str, AttackResult]:
    return {result.name: result for result in run_attacks(attacks, level) if result.problems}


@pytest.mark.parametrize("level", LEVELS)
def test_own_attacks_are_contained(level: str) -> None:
    assert got_through(load_attacks(OWN), level) == {}


@pytest.mark.parametrize("level", LEVELS)
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


def test_a_giant_source_is_refused_before_it_is_compiled() -> None:
    giant = Attack("giant", f"x = {'9' * 20_000_000}\nprint(12)\n", ("CE",))
    assert got_through([giant], LEVELS[0]) == {}


def test_the_runner_notices_what_gets_through() -> None:
    """An attack that prints PWNED, one judged otherwise than allowed, one that prints the secret's path."""
    loud = Attack("loud", "print('PWNED')", ("WA",))
    wrong = Attack("wrong", "1 / 0", ("WA",))
    calm = Attack("calm", "print('nothing')", ("WA",))
    assert set(got_through([loud, wrong, calm], LEVELS[0])) == {"loud", "wrong"}


ONE_CALL = """
import ctypes, os, sys
number = int(input())
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
print(result, ctypes.get_errno())
"""
REFUSED = {1, 13, 25, 38}  # EPERM EACCES ENOTTY ENOSYS


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
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
