"""What a sandbox does before it serves: it refuses what does not hold, and says what does; the command line."""

from pathlib import Path

import pytest

from raymode.errors import SandboxError
from raymode.sandbox import Sandbox, Test, client
from raymode.sandbox import runner as runner_module
from raymode.sandbox.__main__ import main

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [Test("1 2\n", "3\n")]


def test_a_breach_is_refused(monkeypatch: pytest.MonkeyPatch, strongest: str) -> None:
    """A probe that gets through keeps the level from being used, and the reason is named."""
    monkeypatch.setattr(runner_module, "breaches", lambda output: ["read a file"])
    said = f"{strongest}: a program inside could read a file.*allow_unsafe"
    with pytest.raises(SandboxError, match=said):
        Sandbox()
    with Sandbox(allow_unsafe=True) as unsafe:
        assert unsafe.level == "unsafe"
        assert unsafe.judge(ADD, TESTS).level == "unsafe"


SILENT = """
import socket, sys
judge = socket.socket(fileno=int(sys.argv[3]))
while judge.recv(1 << 16):
    pass
"""


def test_a_zygote_that_says_nothing_is_a_sandbox_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about the level either: programs run neither at a lower one nor unprotected."""
    monkeypatch.setattr(client, "_START_S", 0.2)
    monkeypatch.setattr(client, "_BOOT", SILENT)
    with pytest.raises(SandboxError, match="no answer in time"):
        Sandbox(allow_unsafe=True)


def test_other_systems_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SandboxError, match="docker run"):
        Sandbox()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("p.py", ADD), ("in", "1 2\n"), ("out", "3\n"), ("bad", "4\n")):
        (tmp_path / name).write_text(text)
    arguments = [str(tmp_path / "p.py"), "--input", str(tmp_path / "in"), "--expect"]
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("AC\n")
    assert main([*arguments, str(tmp_path / "bad")]) == 1
    assert "WA  token 1: printed '3', expected '4'" in capsys.readouterr().out
    (tmp_path / "p.py").write_text(
        "import numpy\nprint(numpy.array(input().split(), dtype=int).sum())"
    )
    assert main([*arguments, str(tmp_path / "out")]) == 1
    assert "No module named 'numpy'" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "out"), "--package", "numpy"]) == 0
    assert main([*arguments, str(tmp_path / "missing")]) == 2
    assert "missing" in capsys.readouterr().err


def test_selftest_holds(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--selftest", "--level", level]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"level {level}")
    assert "FAILS" not in printed
