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
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from raymode.errors import SandboxError
from raymode.sandbox import loops
from raymode.sandbox.cgroup import Cgroup
from raymode.sandbox.interpreter import Interpreter
from raymode.sandbox.packages import PackageError, Packages
from raymode.sandbox.protocol import (
    FAILED,
    NOT_LOADED,
    OUTCOME,
    READY,
    REQUEST,
    STILL_RUNNING,
    Outcome,
    Reason,
    Request,
)
from raymode.sandbox.turn import Holding, Turn
from raymode.sandbox.usage import usage

_START_S = 30.0
_GRACE_S = 15.0  # beyond the wall limit, for the zygote to answer on a busy machine
_WATCH_S = (0.002, 0.05)
_FASTEST_GROWTH = 2 << 30  # bytes resident per second, about what page faults allow
_ASLEEP_S = 0.1
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


def _execute(interpreter: Interpreter, descriptor: int, errors: int) -> subprocess.Popen[bytes]:
    """Start the interpreter with the zygote's code, a socket to the judge, and nothing else of this process."""
    folder = os.path.dirname(os.path.abspath(__file__))
    boot = ["-c", _BOOT, os.path.dirname(folder), folder, str(descriptor), loops.KIND]
    return subprocess.Popen(
        [interpreter.executable, "-S", "-P", "-B", *boot],
        env=interpreter.environment, pass_fds=[descriptor], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, cwd="/",
    )  # fmt: skip


class Dialogue(Protocol):
    """Somebody who talks with a child over a socket of their own."""

    socket: socket.socket

    def is_expected(self) -> bool:
        """Whether a message is to be answered as soon as it comes."""

    def take(self) -> bool:
        """Take one message and answer it; False if there is none."""


class ZygoteDied(Exception):
    """The zygote ended or fell silent; the work it had is to be done again."""


@contextlib.contextmanager
def _trouble_is_death() -> Iterator[None]:
    """Raise ZygoteDied for an error of the system inside; one without a number is the caller's own (an alarm's)."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise ZygoteDied(str(error)) from None


class Zygote:
    """One warm interpreter at isolation `level`.

    Raises SandboxError if it cannot shut itself in, PackageError if it cannot load `packages`, ZygoteDied if it
    could not be started for a reason that lies elsewhere.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        level: str,
        shared: bool,
        modules: Sequence[str],
        packages: Packages,
        turn: Turn,
    ) -> None:
        # First of all: where this process has to move for it, it must not have a zygote yet.
        self._cgroup = Cgroup.make() if level == "L4" else None
        self._oom_kills = 0
        self._turn = turn
        self._process: subprocess.Popen[bytes] | None = None
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = os.memfd_create("zygote-errors")
        try:
            with theirs, _trouble_is_death():
                self._process = _execute(interpreter, theirs.fileno(), errors)
                if self._cgroup:
                    self._cgroup.add(
                        self._process.pid
                    )  # it waits for its setup; its children follow
            allowed = packages.setup(interpreter.library_folder) if packages.files else {}
            self._start(interpreter.setup(level, os.getpid(), shared, modules, allowed), errors)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(errors)

    def _start(self, setup: dict[str, Any], errors: int) -> None:
        with _trouble_is_death():
            self._connection.send(marshal.dumps(setup))
        level = setup["level"]
        try:
            answer, _ = self._receive(time.monotonic() + _START_S)
        except ZygoteDied as death:
            said = os.pread(errors, 4000, 0).decode(errors="replace").strip().splitlines()
            if said:
                raise SandboxError(f"{level}: {said[-1]}") from None
            raise ZygoteDied(f"while starting: {death}") from None
        if answer.startswith(FAILED):
            raise SandboxError(f"{level}: {answer.removeprefix(FAILED).decode(errors='replace')}")
        if answer.startswith(NOT_LOADED):
            why = answer.removeprefix(NOT_LOADED).decode(errors="replace").splitlines()[0]
            raise PackageError(
                f"sandbox.packages: loads outside the sandbox, but not inside at {level}: {why}; a package that "
                "needs files beside its own, or whose files not every user may read, cannot be used"
            )
        if answer != READY:
            raise SandboxError(f"{level}: the zygote answered {answer[:40]!r}")

    def ask(
        self,
        request: Request,
        descriptors: Sequence[int],
        memory: int,
        dialogue: Dialogue | None = None,
    ) -> list[Outcome]:
        """Have `request` done; return how its children ended, up to one that failed. Raises ZygoteDied.

        memory: bytes resident at which a child that runs for long is killed. dialogue: with the child, meanwhile.
        """
        with self._turn.taken() as holding:
            try:
                with _trouble_is_death():
                    if self._cgroup:
                        # What children write to files in memory is theirs too, and stays until it has been read.
                        written = (request.tests + 2) * request.file_size
                        self._cgroup.limit(memory + written, request.threads + 1)
                    socket.send_fds(self._connection, [REQUEST.pack(*request)], list(descriptors))
                return self._receive_outcomes(request, memory, holding, dialogue)
            except BaseException:
                # An answer may be on its way: whoever asks next must not take it for the answer to something else.
                self._connection.close()
                raise

    def _receive_outcomes(
        self, request: Request, memory: int, holding: Holding, dialogue: Dialogue | None
    ) -> list[Outcome]:
        """Wait for the children of the request to end, watching those that run for long."""
        over = False
        while True:
            deadline = time.monotonic() + request.wall_s + _GRACE_S
            answer, attached = self._receive(deadline, dialogue)
            if answer != STILL_RUNNING:
                break
            try:
                over |= self._watch(attached[0], memory, deadline, holding, dialogue)
            finally:
                os.close(attached[0])
        try:
            outcomes = [Outcome(*fields) for fields in OUTCOME.iter_unpack(answer)]
        except struct.error:
            raise ZygoteDied(f"answered {len(answer)} bytes") from None
        last = outcomes[-1]  # a killed child is the last one
        if over or (last.status == signal.SIGKILL and self._was_out_of_memory()):
            outcomes[-1] = last._replace(reason=Reason.MEMORY)
        return outcomes

    def _was_out_of_memory(self) -> bool:
        """Whether the kernel has killed a child at the limit of its cgroup since the last call."""
        if self._cgroup is None:
            return False
        with _trouble_is_death():
            before, self._oom_kills = self._oom_kills, self._cgroup.oom_kills()
        return self._oom_kills > before

    def _converse(self, dialogue: Dialogue | None, wait_s: float) -> bool:
        """Wait for the zygote's answer and keep up the dialogue meanwhile; False if there is no answer yet."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        if dialogue and dialogue.is_expected():
            poll.register(dialogue.socket, select.POLLIN)
        deadline = time.monotonic() + wait_s
        while events := poll.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
            if any(descriptor == self._connection.fileno() for descriptor, _ in events):
                return True
            if dialogue and not (dialogue.take() and dialogue.is_expected()):
                poll.unregister(dialogue.socket)
        return False

    def _watch(
        self, child: int, limit: int, deadline: float, holding: Holding, dialogue: Dialogue | None
    ) -> bool:
        """Kill the child behind the pidfd if it holds more than `limit` bytes; False once it ended by itself.

        The zygote cannot: it has no /proc. Looks the more often the nearer the child is to its limit, and
        gives the turn back while the child sleeps.
        """
        busy_at, used_s = time.monotonic(), 0.0
        while time.monotonic() < deadline:
            resident, used_now_s = usage(child)
            if resident > limit:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child, signal.SIGKILL)
                return True
            if used_now_s > used_s:
                busy_at, used_s = time.monotonic(), used_now_s
            elif time.monotonic() - busy_at > _ASLEEP_S:
                holding.give_back()
            soonest_s = (limit - resident) / _FASTEST_GROWTH
            if self._converse(dialogue, min(max(soonest_s, _WATCH_S[0]), _WATCH_S[1])):
                break
        return False

    def _receive(
        self, deadline: float, dialogue: Dialogue | None = None
    ) -> tuple[bytes, list[int]]:
        if not self._converse(dialogue, deadline - time.monotonic()):
            raise ZygoteDied("no answer in time")
        with _trouble_is_death():
            answer, attached, _, _ = socket.recv_fds(self._connection, 4096, 1)
        if not answer:
            raise ZygoteDied("the connection ended")
        return answer, attached

    def processes(self) -> list[int]:
        """Ids of the processes of the zygote's process group; nobody inside can leave it."""
        assert self._process is not None
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(ProcessLookupError):
                    if os.getpgid(int(name)) == self._process.pid:
                        found.append(int(name))
        return sorted(found)

    def close(self) -> None:
        """End the zygote and everything in it; waits until it is gone."""
        self._connection.close()
        if self._process:
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._cgroup:
            # Something may stay for now: the next to make one removes it.
            with contextlib.suppress(OSError):
                self._cgroup.close()

    @property
    def has_cgroup(self) -> bool:
        """Whether a cgroup bounds memory and tasks of all its processes together."""
        return self._cgroup is not None
