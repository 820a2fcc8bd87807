"""Run one program on one input under one zygote, replacing the zygote if it dies.

The trusted side of the sandbox below the judge: it knows nothing of expected outputs.
"""

import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from raymode.errors import SandboxError
from raymode.sandbox import syscalls
from raymode.sandbox.client import Zygote, ZygoteDied
from raymode.sandbox.interpreter import find_interpreter
from raymode.sandbox.limits import Limits
from raymode.sandbox.memfile import new_file, read_file, sealed_file
from raymode.sandbox.probes import PROBE_LIMITS, breaches, probe_code
from raymode.sandbox.protocol import COMPILE, RUN, Outcome, Reason, Request
from raymode.sandbox.verdict import Status

LEVELS = ("L4", "L3", "L2")
UNSAFE = "unsafe"
MAX_SOURCE_BYTES = 1 << 20
MIB = 1 << 20
_COMPILE_CPU_S = 10.0
_COMPILE_MEMORY = 1 << 30
# Beside the program's own memory: the interpreter, one thread with the customary 512 MB stack, and the
# stacks of the other threads. Peak resident memory decides; this only ends what grows without bound.
_ADDRESS_SPACE_EXTRA = 768 * MIB
_STDERR_TAIL = 4096
_MESSAGE_CHARS = 300
_TRIES = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled program: the read-only file that holds its marshalled code, to be closed after use."""

    descriptor: int

    def close(self) -> None:
        """Release the file."""
        os.close(self.descriptor)


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
    """The end of what it wrote to standard error."""


class Runner:
    """Owns one zygote at isolation `level`."""

    def __init__(self, level: str | None, allow_unsafe: bool) -> None:
        """See `Sandbox`. Raises SandboxError if no allowed level works here."""
        _check_machine()
        candidates = [level] if level else list(LEVELS)
        if allow_unsafe and level != UNSAFE:
            candidates.append(UNSAFE)
        reasons = []
        for candidate in candidates:
            try:
                self.level = candidate
                self._zygote = self._begin()
                return
            except SandboxError as error:
                reasons.append(str(error))
        raise SandboxError(
            f"sandbox: no safe way to run programs on this host ({'; '.join(reasons)}); see docs/sandbox.md, "
            "or set sandbox.allow_unsafe=true to run them unprotected"
        )

    def _begin(self) -> Zygote:
        """Start a zygote at the level of this runner; it serves only if it holds."""
        zygote = Zygote(find_interpreter(), self.level)
        try:
            if self.level != UNSAFE:
                _probe(zygote, self.level)
        except BaseException:
            zygote.close()
            raise
        return zygote

    def close(self) -> None:
        """End the zygote and everything in it."""
        self._zygote.close()

    def process_count(self) -> int:
        """How many processes the zygote consists of, its monitor included."""
        return self._zygote.process_count()

    def compile(self, program: str) -> Code | str:
        """Compile in a confined child. Returns the code, or why there is none. Raises ZygoteDied."""
        try:
            source = program.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return "the source is not valid Unicode"
        if len(source) > MAX_SOURCE_BYTES:
            return f"the source has {len(source)} bytes, more than {MAX_SOURCE_BYTES}"
        given = sealed_file(source)
        try:
            return self._retried(lambda zygote: _compile_once(zygote, given))
        finally:
            os.close(given)

    def run(self, code: Code, given: bytes, limits: Limits, cpu_s: float | None = None) -> Run:
        """Run `code` with `given` on standard input.

        cpu_s: kill at this many CPU seconds instead of at limits.cpu_s. Raises ZygoteDied.
        """
        return self._retried(
            lambda zygote: _run_once(zygote, code.descriptor, given, limits, cpu_s or limits.cpu_s)
        )

    def _retried(self, work: Callable[[Zygote], tuple[Outcome, T]]) -> T:
        """Do `work`, once more if the zygote or the child was killed from outside. Raises ZygoteDied."""
        death = ZygoteDied("")
        for _ in range(_TRIES):
            try:
                outcome, result = work(self._zygote)
            except ZygoteDied as error:
                death = error
                self._replace_zygote()
                continue
            if outcome.reason != Reason.NONE or outcome.status != signal.SIGKILL:
                return result
            # Nothing inside can send SIGKILL: somebody outside did, or the child could not be confined.
            death = ZygoteDied("the child was killed from outside")
        raise death

    def _replace_zygote(self) -> None:
        self._zygote.close()
        try:
            self._zygote = self._begin()
        except SandboxError as error:
            raise ZygoteDied(str(error)) from None


def _compile_once(zygote: Zygote, given: int) -> tuple[Outcome, Code | str]:
    memory = _COMPILE_MEMORY
    request = Request(COMPILE, _COMPILE_CPU_S, 2 * _COMPILE_CPU_S, memory, memory, 64 * MIB, 0)
    output, stderr = new_file(), new_file()
    try:
        outcome = zygote.ask(request, [given, output, stderr])
        if outcome.reason == Reason.NONE and outcome.status == 0:
            return outcome, Code(sealed_file(read_file(output, 64 * MIB)))
        said = last_line(read_file(stderr, _STDERR_TAIL))
        return outcome, said or f"the compiler: {_how_it_ended(outcome)}"
    finally:
        os.close(output)
        os.close(stderr)


def _run_once(
    zygote: Zygote, code: int, given: bytes, limits: Limits, cpu_s: float
) -> tuple[Outcome, Run]:
    request = Request(
        RUN, cpu_s, limits.effective_wall_s, limits.memory_mb * MIB,
        limits.memory_mb * MIB + _ADDRESS_SPACE_EXTRA, limits.output_mb * MIB + 1, limits.threads,
    )  # fmt: skip
    stdin, stdout, stderr = sealed_file(given), new_file(), new_file()
    try:
        outcome = zygote.ask(request, [code, stdin, stdout, stderr])
        return outcome, _explain(outcome, limits, stdout, stderr)
    finally:
        for file in (stdin, stdout, stderr):
            os.close(file)


def _probe(zygote: Zygote, level: str) -> None:
    """Raise SandboxError unless a child of `zygote` fails at everything it must not be able to do."""
    code = sealed_file(probe_code())
    try:
        _, run = _run_once(zygote, code, b"", PROBE_LIMITS, PROBE_LIMITS.cpu_s)
    except ZygoteDied as death:
        raise SandboxError(f"{level}: the zygote ended under its probes: {death}") from None
    finally:
        os.close(code)
    if found := breaches(run.output):
        why = f" ({run.status} {run.message})" if run.status is not Status.AC else ""
        raise SandboxError(f"{level}: a program inside could {', '.join(found)}{why}")


def _check_machine() -> None:
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            f"sandbox: {platform.system()} cannot isolate programs; run raymode in a Linux container, for "
            'example: docker run -it -v "$PWD":/raymode -w /raymode python:3.11 bash (see docs/sandbox.md)'
        )
    if syscalls.MACHINE not in syscalls.SUPPORTED_MACHINES:
        known = " and ".join(syscalls.SUPPORTED_MACHINES)
        raise SandboxError(f"sandbox: {syscalls.MACHINE} machines are not supported, only {known}")


def _explain(outcome: Outcome, limits: Limits, stdout: int, stderr: int) -> Run:
    """Turn what the kernel reports about a child into a status, the most telling reason first."""
    written, complained = os.fstat(stdout).st_size, os.fstat(stderr).st_size
    errors = read_file(stderr, _STDERR_TAIL) if complained else b""
    rss_mb = outcome.max_rss_kib / 1024
    status, message = _classify(outcome, rss_mb, limits, written, complained, last_line(errors))
    output = os.pread(stdout, min(written, limits.output_mb * MIB), 0)
    return Run(status, message, outcome.cpu_s, rss_mb, output, errors)


def _classify(
    outcome: Outcome,
    rss_mb: float,
    limits: Limits,
    written: int,
    complained: int,
    complaint: str,
) -> tuple[Status, str]:
    if rss_mb > limits.memory_mb or outcome.reason == Reason.MEMORY:
        return Status.MLE, f"{rss_mb:.0f} MiB resident, limit {limits.memory_mb}"
    for name, size in (("output", written), ("error output", complained)):
        if size > limits.output_mb * MIB:
            return Status.OLE, f"more than {limits.output_mb} MiB of {name}"
    if outcome.status == 0 and outcome.reason == Reason.NONE:
        return Status.AC, ""
    ending = _how_it_ended(outcome)
    if ending in ("cpu", "wall"):
        return Status.TLE, ending
    if os.WTERMSIG(outcome.status) == signal.SIGSYS:
        return Status.SV, "a forbidden system call"
    if os.WIFEXITED(outcome.status) and complaint.startswith("MemoryError"):
        return Status.MLE, complaint
    return Status.RE, complaint or ending


def _how_it_ended(outcome: Outcome) -> str:
    if outcome.reason == Reason.WALL:
        return "wall"
    if outcome.reason == Reason.CPU or os.WTERMSIG(outcome.status) == signal.SIGXCPU:
        return "cpu"
    if os.WIFSIGNALED(outcome.status):
        return f"killed by {signal.Signals(os.WTERMSIG(outcome.status)).name}"
    return f"exit code {os.WEXITSTATUS(outcome.status)}"


def last_line(text: bytes) -> str:
    """The last line that says something, printable and short whatever the program wrote."""
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    printable = "".join(c if c.isprintable() else "?" for c in lines[-1].strip())
    return printable[:_MESSAGE_CHARS]
