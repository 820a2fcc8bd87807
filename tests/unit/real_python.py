"""What the interpreter itself does with a program: the oracle of the sandbox's tests."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from raymode.sandbox.interpreter import find_interpreter


@dataclass(frozen=True)
class Ending:
    """How `python program.py < input` ended."""

    code: int
    """Exit code; minus the signal's number for a killed process."""
    output: bytes
    last_line: str
    """Of standard error, in the form of `Run.message`: "" if nothing was written."""

    @property
    def message(self) -> str:
        """What `Run.message` has to say of it."""
        if self.code == 0:
            return ""
        if self.last_line:
            return self.last_line
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"


def to_bytes(text: str) -> bytes:
    """UTF-8; surrogates stand for bytes."""
    return text.encode("utf-8", "surrogateescape")


def last_line(text: bytes) -> str:
    """The last line that is not blank, as a message shows it."""
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    return "".join(c if c.isprintable() else "?" for c in lines[-1].strip())[:300]


class RealPython:
    """Runs programs as files in `folder`, with the base interpreter and the sandbox's environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], Ending] = {}
        interpreter = find_interpreter()
        self._command = [interpreter.executable, str(folder / "program.py")]
        self._environment = {**interpreter.environment, "HOME": "/box", "PATH": "/usr/bin:/bin"}

    def run(self, program: str, given: str) -> Ending:
        """Run `program` once."""
        return self.run_all(program, [given])[0]

    def run_all(self, program: str, inputs: list[str]) -> list[Ending]:
        """Run `program` once per input, each time in a new process; what is known already is not run again."""
        if any((program, given) not in self._known for given in inputs):
            Path(self._command[1]).write_bytes(to_bytes(program))
        return [self._run(program, given) for given in inputs]

    def _run(self, program: str, given: str) -> Ending:
        if (program, given) in self._known:
            return self._known[program, given]
        stdin = self._folder / "stdin"
        stdin.write_bytes(to_bytes(given))
        descriptor = os.open(stdin, os.O_RDONLY)
        try:
            done = subprocess.run(
                self._command, stdin=descriptor, capture_output=True, cwd=self._folder,
                env=self._environment, timeout=30, check=False,
            )  # fmt: skip
        finally:
            os.close(descriptor)
        ending = Ending(done.returncode, done.stdout, last_line(done.stderr))
        self._known[program, given] = ending
        return ending
