"""What the kernel reports about a child, turned into a status."""

import os
import re
import signal
from dataclasses import dataclass

from raymode.sandbox.limits import Limits
from raymode.sandbox.memfile import read_file
from raymode.sandbox.protocol import Outcome, Reason
from raymode.sandbox.verdict import Status

MIB = 1 << 20
_STDERR_TAIL = 4096
_MESSAGE_CHARS = 300
_MEMORY_ERROR = re.compile(r"[\w.]*MemoryError\b")  # numpy has its own


@dataclass(frozen=True, slots=True)
class Run:
    """How a program ended on one input; status AC says only that it ended well."""

    status: Status
    message: str
    cpu_s: float
    max_rss_mb: float
    output: bytes
    """What it printed, cut at the output limit."""
    error_output: bytes
    """The end of what it wrote to standard error; empty if the run was one of several and ended well."""

    @property
    def ended_well(self) -> bool:
        """Whether it ended by itself, with exit code 0 and within the limits."""
        return self.status is Status.AC

    def within(self, limits: Limits) -> bool:
        """Whether it ended without coming near a limit of time or memory."""
        over = self.status in (Status.TLE, Status.MLE) or self.cpu_s > limits.cpu_s
        return not over and self.max_rss_mb <= limits.memory_mb


def explain(outcome: Outcome, limits: Limits, stdout: int, stderr: int | None) -> Run:
    """Turn what the kernel reports about a child into a status, the most telling reason first.

    stdout, stderr: the files it wrote; stderr None if it is another child's already.
    """
    written = os.fstat(stdout).st_size
    errors = read_file(stderr, _STDERR_TAIL) if stderr is not None and outcome.error_bytes else b""
    rss_mb = outcome.max_rss_kib / 1024
    status, message = _classify(outcome, rss_mb, limits, written, last_line(errors))
    output = os.pread(stdout, min(written, limits.output_mb * MIB), 0)
    return Run(status, message, outcome.cpu_s, rss_mb, output, errors)


def explain_compiler(outcome: Outcome, stderr: int) -> str:
    """Why a compilation gave no code; empty if the compiler ended without saying anything."""
    said = last_line(read_file(stderr, _STDERR_TAIL))
    if said or (outcome.reason == Reason.NONE and os.WIFEXITED(outcome.status)):
        return said
    return f"the compiler: {_how_it_ended(outcome)}"


def _classify(
    outcome: Outcome, rss_mb: float, limits: Limits, written: int, complaint: str
) -> tuple[Status, str]:
    if rss_mb > limits.memory_mb or outcome.reason == Reason.MEMORY:
        return Status.MLE, f"{rss_mb:.0f} MiB resident, limit {limits.memory_mb}"
    for name, size in (("output", written), ("error output", outcome.error_bytes)):
        if size > limits.output_mb * MIB:
            return Status.OLE, f"more than {limits.output_mb} MiB of {name}"
    if outcome.status == 0 and outcome.reason == Reason.NONE:
        return Status.AC, ""
    ending = _how_it_ended(outcome)
    if ending in ("cpu", "wall"):
        return Status.TLE, ending
    if os.WTERMSIG(outcome.status) == signal.SIGSYS:
        return Status.SV, "a forbidden system call"
    if os.WIFEXITED(outcome.status) and _MEMORY_ERROR.match(complaint):
        return Status.MLE, complaint
    return Status.RE, complaint or ending


def _how_it_ended(outcome: Outcome) -> str:
    if outcome.reason == Reason.WALL:
        return "wall"
    if outcome.reason == Reason.CPU or os.WTERMSIG(outcome.status) == signal.SIGXCPU:
        return "cpu"
    if os.WIFSIGNALED(outcome.status):
        return f"killed by {_signal_name(os.WTERMSIG(outcome.status))}"
    return f"exit code {os.WEXITSTATUS(outcome.status)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal, which has no name
        return f"signal {number}"


def last_line(text: bytes) -> str:
    """The last line that says something, printable and short whatever the program wrote."""
    return _said(text, -1)


def first_line(text: bytes) -> str:
    """The first line that says something, likewise."""
    return _said(text, 0)


def _said(text: bytes, which: int) -> str:
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    printable = "".join(c if c.isprintable() else "?" for c in lines[which].strip())
    return printable[:_MESSAGE_CHARS]
