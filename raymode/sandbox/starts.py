"""The first request of a program: compile it and, in the same confined child, run it.

In shared mode the child runs all tests, and what it reports of them is looked at here.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from raymode.sandbox.client import Zygote, ZygoteDied
from raymode.sandbox.limits import Limits
from raymode.sandbox.memfile import opened_file, read_file, sealed_file
from raymode.sandbox.protocol import (
    COMPLETE,
    FLAG_SHARED,
    GO,
    LEAKED,
    PURE,
    REPORT,
    START,
    STOP,
    Outcome,
    Reason,
    Report,
    Request,
)
from raymode.sandbox.runs import MIB, Run, explain, explain_compiler
from raymode.sandbox.verdict import Status

Passes = Callable[[bytes], bool]
_COMPILE_CPU_S = 10.0
_COMPILE_MEMORY = 1 << 30
_COMPILE_FILE = 64 * MIB


class Code:
    """A compiled program: the file that holds its marshalled code, to be closed after use."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Release the file."""
        os.close(self.descriptor)


@dataclass(slots=True)
class Started:
    """What came of a program's first request."""

    code: Code | str
    """Its code, or why there is none."""
    runs: list[Run] = field(default_factory=list)
    """How it ended on the first input, or in shared mode on each; none where that is to be found out anew."""
    together: bool = False
    """Whether the runs shared a process."""


class ChildKilled(ZygoteDied):
    """Nothing inside can send SIGKILL: somebody outside did, or the child could not be confined."""

    def __init__(self) -> None:
        super().__init__("the child was killed from outside")


def checked(outcome: Outcome) -> Outcome:
    """Return `outcome`; raise ChildKilled if it says nothing about the program."""
    if outcome.reason == Reason.NONE and outcome.status == signal.SIGKILL:
        raise ChildKilled
    return outcome


class Dialogue:
    """The judge's end of a report socket: notes what comes, and says after the first run whether to go on."""

    def __init__(self, first_output: int, passes: Passes) -> None:
        self._first_output = first_output
        self._passes = passes
        self.socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.first_printed: bytes | None = None
        """What was looked at to decide; what the child writes to that file later does not count."""
        self.is_pure = False
        self.has_leaked = False
        self.reports: list[Report] = []

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self.theirs.close()

    def is_expected(self) -> bool:
        """Whether the child may be waiting: before its first report."""
        return not self.reports

    def take(self) -> bool:
        """Take one message and answer it; False if there is none now."""
        try:
            message = self.socket.recv(64)
        except BlockingIOError:
            return False
        self.has_leaked |= message == LEAKED
        if len(message) == len(PURE) + REPORT.size and message.startswith(PURE):
            self.is_pure = True
            self.reports.append(Report(*REPORT.unpack(message[len(PURE) :])))
            if len(self.reports) == 1:
                size = os.fstat(self._first_output).st_size
                self.first_printed = os.pread(self._first_output, size, 0)
                goes_on = self._passes(self.first_printed)
                with contextlib.suppress(BrokenPipeError):  # the child has ended
                    self.socket.send(GO if goes_on else STOP)
        return bool(message)


def start_once(
    zygote: Zygote,
    request: Request,
    source: bytes,
    inputs: Sequence[int],
    limits: Limits,
    passes: Passes,
) -> Started | None:
    """Have a START done; None if it did not get as far as code, and compiling is to be asked for alone.

    passes: whether an output is right for the first input; else shared mode need not go on.
    """
    with contextlib.ExitStack() as opened:
        code, stderr, *outputs = (opened_file(opened) for _ in range(2 + len(inputs)))
        given = sealed_file(source)
        opened.callback(os.close, given)
        dialogue = None
        if request.flags & FLAG_SHARED:
            dialogue = opened.enter_context(contextlib.closing(Dialogue(outputs[0], passes)))
        files = [given, stderr, code, dialogue.theirs.fileno() if dialogue else stderr]
        for standard_input, output in zip(inputs, outputs, strict=True):
            files += [standard_input, output]
        asked = zygote.ask(request, files, limits.memory_mb * MIB, dialogue)
        (outcome,) = map(checked, asked)
        if not _is_complete(code):
            # At its end without code: the compiler says why, unless the code was too large to write.
            complaint = "" if _was_cut_short(outcome) else explain_compiler(outcome, stderr)
            return Started(complaint) if complaint else None
        while dialogue and dialogue.take():
            pass  # what came at the very end
        if dialogue and dialogue.is_pure:
            runs = _runs_together(outcome, dialogue, outputs, limits)
            return Started(Code(os.dup(code)), runs, True)
        run = explain(outcome, limits, outputs[0], stderr)
        usable = not _was_cut_short(outcome) and run.within(limits)
        return Started(Code(os.dup(code)), [run] if usable else [])


def compile_once(zygote: Zygote, source: bytes) -> Code | str:
    """Have `source` compiled alone, within limits of its own. Returns the code, or why there is none."""
    request = Request(
        START, 0, 0, 0, _COMPILE_CPU_S, 2 * _COMPILE_CPU_S, _COMPILE_MEMORY, _COMPILE_FILE
    )
    with contextlib.ExitStack() as opened:
        code, stderr = opened_file(opened), opened_file(opened)
        given = sealed_file(source)
        opened.callback(os.close, given)
        files = [given, stderr, code, stderr]
        (outcome,) = map(checked, zygote.ask(request, files, _COMPILE_MEMORY))
        if _is_complete(code) and not outcome.status:
            return Code(os.dup(code))
        return explain_compiler(outcome, stderr) or "the compiler: the code is too large"


def _is_complete(code: int) -> bool:
    return read_file(code, len(COMPLETE)) == COMPLETE


def _was_cut_short(outcome: Outcome) -> bool:
    return outcome.reason != Reason.NONE or os.WIFSIGNALED(outcome.status)


def _runs_together(
    outcome: Outcome, dialogue: Dialogue, outputs: Sequence[int], limits: Limits
) -> list[Run]:
    """The runs on all inputs up to the first that failed; none if the process as a whole came near a limit.

    Its CPU time bounds that of every run, and so does its memory: nothing the child says is needed for that.
    """
    rss_mb = outcome.max_rss_kib / 1024
    over = outcome.cpu_s > limits.cpu_s or rss_mb > limits.memory_mb
    too_loud = outcome.error_bytes > limits.output_mb * MIB
    if _was_cut_short(outcome) or over or too_loud or dialogue.has_leaked:
        return []
    runs: list[Run] = []
    for (exit_code, cpu_s), output in zip(dialogue.reports, outputs, strict=False):
        printed = os.pread(output, os.fstat(output).st_size, 0) if runs else dialogue.first_printed
        well = exit_code == 0 and printed is not None and len(printed) <= limits.output_mb * MIB
        status = Status.AC if well else Status.RE
        runs.append(Run(status, "", cpu_s, rss_mb, printed or b"" if well else b"", b""))
    return runs
