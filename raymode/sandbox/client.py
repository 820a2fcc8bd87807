"""The judge's end of one zygote: start it, hand it work, notice its death, end it."""

import contextlib
import marshal
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from raymode.errors import SandboxError
from raymode.sandbox import loops
from raymode.sandbox.interpreter import Interpreter
from raymode.sandbox.protocol import (
    FAILED,
    OUTCOME,
    READY,
    REQUEST,
    START,
    STILL_RUNNING,
    Outcome,
    Reason,
    Request,
)

_START_S = 30.0
_GRACE_S = 15.0  # beyond the wall limit, for the zygote to answer on a busy machine
_WATCH_S = (0.002, 0.05)
_FASTEST_GROWTH = 2 << 30  # bytes resident per second, about what page faults allow
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BOOT = """
import os, sys, types
os.register_at_fork = lambda **handlers: None
for name, path in (("raymode", sys.argv[1]), ("raymode.sandbox", sys.argv[2])):
    module = types.ModuleType(name)
    module.__path__ = [path]
    sys.modules[name] = module
if sys.argv[4] != "C":
    sys.modules["raymode.sandbox._forkloop"] = None
from raymode.sandbox.zygote import main
main(int(sys.argv[3]))
"""
"""Imports the zygote without what the packages' own `__init__` would bring along.

Modules that register a handler make every fork dearer, and children need none of those handlers.
"""


def _resident(child: int) -> int:
    """Bytes resident of the process behind a pidfd; 0 if it has ended."""
    with open(f"/proc/self/fdinfo/{child}") as lines:
        pid = next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


class ZygoteDied(Exception):
    """The zygote ended or fell silent; the work it had is to be done again."""


class Zygote:
    """One warm interpreter at isolation `level`. Raises SandboxError if it cannot shut itself in."""

    def __init__(self, interpreter: Interpreter, level: str, shared: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = os.memfd_create("zygote-errors")
        folder = os.path.dirname(os.path.abspath(__file__))
        boot = ["-c", _BOOT, os.path.dirname(folder), folder, str(theirs.fileno()), loops.KIND]
        with theirs:
            self._process = subprocess.Popen(
                [interpreter.executable, "-S", "-P", "-B", *boot],
                env=interpreter.environment, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, cwd="/",
            )  # fmt: skip
        self._connection = ours
        self._unanswered = 0  # outcomes still to come for `_request`
        self._answers: deque[Outcome] = deque()
        self._request: Request | None = None
        self._memory = 0
        try:
            self._start(interpreter.setup(level, os.getpid(), shared), errors)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(errors)

    def _start(self, setup: dict[str, Any], errors: int) -> None:
        self._connection.send(marshal.dumps(setup))
        level = setup["level"]
        try:
            answer, _ = self._receive(time.monotonic() + _START_S)
        except ZygoteDied as death:
            reason = os.pread(errors, 4000, 0).decode(errors="replace").strip().splitlines()
            raise SandboxError(f"{level}: {reason[-1] if reason else death}") from None
        if answer.startswith(FAILED):
            raise SandboxError(f"{level}: {answer.removeprefix(FAILED).decode(errors='replace')}")
        if answer != READY:
            raise SandboxError(f"{level}: the zygote answered {answer[:40]!r}")

    def ask(self, request: Request, descriptors: Sequence[int], memory: int) -> Iterator[Outcome]:
        """Have `request` done; yield how each child ended, until one fails. Raises ZygoteDied.

        memory: bytes resident at which a child that runs for long is killed. What a caller that stops early
        does not take is left out when the next request comes.
        """
        while self._unanswered:
            self._next_outcome()
        try:
            socket.send_fds(self._connection, [REQUEST.pack(*request)], list(descriptors))
        except OSError as error:
            raise ZygoteDied(str(error)) from None
        self._request, self._memory = request, memory
        self._unanswered = 1 if request.operation == START else request.tests
        while self._unanswered:
            yield self._next_outcome()

    def _next_outcome(self) -> Outcome:
        if not self._answers:
            self._answers = deque(self._receive_outcomes())
        outcome = self._answers.popleft()
        if outcome.status or outcome.reason:
            self._unanswered = 0  # the zygote does not go on
        else:
            self._unanswered -= 1
        return outcome

    def _receive_outcomes(self) -> list[Outcome]:
        """Wait for the children of the request to end, watching those that run for long."""
        assert self._request is not None
        over = False
        while True:
            deadline = time.monotonic() + self._request.wall_s + _GRACE_S
            answer, attached = self._receive(deadline)
            if answer != STILL_RUNNING:
                break
            try:
                over |= self._watch_memory(attached[0], self._memory, deadline)
            finally:
                os.close(attached[0])
        try:
            outcomes = [Outcome(*fields) for fields in OUTCOME.iter_unpack(answer)]
        except struct.error:
            raise ZygoteDied(f"answered {len(answer)} bytes") from None
        if over:  # a killed child is the last one
            outcomes[-1] = outcomes[-1]._replace(reason=Reason.MEMORY)
        return outcomes

    def _watch_memory(self, child: int, limit: int, deadline: float) -> bool:
        """Kill the child behind the pidfd if it holds more than `limit` bytes; False once it ended by itself.

        The zygote cannot: it has no /proc. Looks the more often the nearer the child is to its limit.
        """
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while time.monotonic() < deadline:
            resident = _resident(child)
            if resident > limit:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child, signal.SIGKILL)
                return True
            soonest_s = (limit - resident) / _FASTEST_GROWTH
            if poll.poll(1000 * min(max(soonest_s, _WATCH_S[0]), _WATCH_S[1])):
                break
        return False

    def _receive(self, deadline: float) -> tuple[bytes, list[int]]:
        self._connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            answer, attached, _, _ = socket.recv_fds(self._connection, 4096, 1)
        except OSError as error:
            raise ZygoteDied(f"no answer: {error}") from None
        if not answer:
            raise ZygoteDied("the connection ended")
        return answer, attached

    def process_count(self) -> int:
        """How many processes of the zygote's process group exist; nobody inside can leave it."""
        count = 0
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(ProcessLookupError):
                    count += os.getpgid(int(name)) == self._process.pid
        return count

    def close(self) -> None:
        """End the zygote and everything in it; waits until it is gone."""
        self._connection.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
