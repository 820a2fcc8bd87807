"""Ways a hostile program could mislead shared mode, each closed and kept closed."""

import ast
import contextlib
import os
import re
import typing
from typing import Any

import pytest

from raymode.sandbox import Limits, Sandbox, Status, Test
from raymode.sandbox.protocol import GO, PURE, REPORT, STOP, Outcome, Reason
from raymode.sandbox.purity import examine
from raymode.sandbox.shared import _state
from raymode.sandbox.starts import Dialogue, _runs_together

# Runs by itself what shared mode would run on all tests, and answers the question of the first as it is told to.
TWO_FACED = """
import os, stat, struct
for report in range(3, 64):
    try:
        if stat.S_ISSOCK(os.fstat(report).st_mode):
            break
    except OSError:
        pass
ended_well = b"p" + struct.pack("=id", 0, 0.0)
os.pwrite(1, b"YES\\n", 0)
os.write(report, ended_well)
if os.read(report, 1) == b"s":
    os.ftruncate(1, 0)
    os.pwrite(1, b"NO\\n", 0)
for given in range(report + 3, 64, 2):
    try:
        os.pwrite(given + 1, b"saw " + os.pread(given, 100, 0), 0)
    except OSError:
        break
    os.write(report, ended_well)
os._exit(0)
"""
REACHES_TWO_FACED = f"""
import typing
def f(x: {f"exec({TWO_FACED!r})"!r}): pass
typing.get_type_hints(f)
"""


def test_a_program_that_answers_twice_is_right_for_neither() -> None:
    statuses = []
    for answer in ("YES\n", "NO\n"):
        tests = [Test("q\n", answer), *(Test(f"{n}\n", f"saw {n}\n") for n in range(2))]
        with Sandbox(shared=True) as sandbox:
            statuses.append(sandbox.judge(REACHES_TWO_FACED, tests).status)
    assert Status.AC not in statuses


@pytest.mark.parametrize("expected", [b"YES\n", b"NO\n"])
def test_what_decided_to_go_on_is_what_counts(expected: bytes) -> None:
    """A child that gets hold of its report socket learns the decision; its output is no longer its own to change."""
    output = os.memfd_create("output")
    dialogue = Dialogue(output, lambda printed: printed == expected)
    with contextlib.closing(dialogue), open(output, "r+b", buffering=0) as file:
        file.write(b"YES\n")
        dialogue.theirs.send(PURE + REPORT.pack(0, 0.0))
        assert dialogue.take()
        assert dialogue.theirs.recv(8) == (GO if expected == b"YES\n" else STOP)
        file.truncate(0)
        file.seek(0)
        file.write(b"NO\n")
        ended = Outcome(0, Reason.NONE, 0.01, 9000, 0.01, 0)
        (run,) = _runs_together(ended, dialogue, [output], Limits())
    assert run.output == b"YES\n"


PATTERN = "YNYNNYYN"
COUNTS = f"t.n = t.n + 1 if hasattr(t, 'n') else 0\nprint({PATTERN!r}[t.n])\n"
EVALUATED = "__import__('sys').modules.setdefault('left', []).append(1)"
LEAVES_STATE = {
    "variable of typing": f"import typing\nt = typing.AnyStr\n{COUNTS}",
    "flag of re": f"import re\nt = re.IGNORECASE\n{COUNTS}",
    "registry of overloads": "import typing\ndef f(): pass\ntyping.overload(f)\n",
    "text of a hint": f"import typing\ndef f(x: {EVALUATED!r}): pass\ntyping.get_type_hints(f)\n",
}


@pytest.mark.parametrize("name", LEAVES_STATE)
def test_programs_that_reach_instances_of_a_module_run_alone(name: str) -> None:
    assert examine(ast.parse(LEAVES_STATE[name]))[0] != ""


@pytest.mark.parametrize("name", [name for name in LEAVES_STATE if COUNTS in LEAVES_STATE[name]])
def test_a_program_that_counts_its_runs_there_is_wrong(name: str) -> None:
    """Each test has the same input: only what an earlier run left could tell one from the next."""
    with Sandbox(shared=True) as sandbox:
        verdict = sandbox.judge(LEAVES_STATE[name], [Test("same\n", each) for each in PATTERN])
        assert not verdict.accepted
        assert sandbox.difference == ""


@pytest.mark.parametrize("thing", [typing.AnyStr, re.IGNORECASE], ids=["typing", "re"])
def test_what_is_written_to_an_instance_of_a_module_is_seen(thing: Any) -> None:
    """The second look, should a program get past the gate."""
    module = {"thing": thing}
    before, kept = _state([module])
    thing.left = object()
    try:
        after, _ = _state([module])
    finally:
        del thing.left
    assert after != before
    assert _state([module])[0] == before and kept
