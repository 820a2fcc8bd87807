"""The zygote's loop in Python: take a request, fork a child per test, wait for it, answer.

`_forkloop.c` does the same in C, faster, and is used where it could be built. Keep the two alike: the tests
run with both.
"""

import ctypes
import fcntl
import itertools
import os
import resource
import select
import signal
import socket
import struct
import time
from typing import Any, NoReturn

from raymode.sandbox.protocol import (
    FLAG_SHARED,
    MAX_CODE_BYTES,
    OUTCOME,
    REQUEST,
    START,
    STILL_RUNNING,
    Outcome,
    Reason,
    Request,
)

Work = tuple[int, int, bytes, tuple[int, ...]]
"""What a child has to do: operation, number of tests, source or code, descriptors it keeps."""
_MAX_DESCRIPTORS = 64
_LONG_MS = 20
_PR_SET_PDEATHSIG = 1
_len, _any, _type = len, any, type  # before a program can replace them
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_SECCOMP = {"x86_64": 317, "aarch64": 277}


def system_call(number: int, *args: int | bytes | None) -> int:
    """Make a system call; bytes are passed as a pointer to them. Raises OSError."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in args]
    result = int(_LIBC.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def load_filter(instructions: bytes | bytearray) -> None:
    """Load a seccomp filter into this thread; needs no_new_privs. Raises OSError."""
    array = (ctypes.c_char * len(instructions)).from_buffer_copy(instructions)
    program = struct.pack("HP", len(instructions) // 8, ctypes.addressof(array))
    set_mode_filter = 1
    system_call(_SECCOMP[os.uname().machine], set_mode_filter, 0, program)


def serve(
    connection: int, first_free: int, other_tasks: int, child_filter: bytearray, own_pid: int
) -> Work | None:
    """Serve requests until the judge hangs up; then return None.

    Also returns in every child, confined, with what it has to do. first_free: descriptors from here on are
    closed in children. other_tasks: tasks of this user beside a program's threads. child_filter: seccomp
    instructions each child loads, of which number `own_pid` takes its process id; empty for none.
    """
    loop = _Loop(socket.socket(fileno=connection), first_free, other_tasks, child_filter, own_pid)
    work = loop.serve()
    loop.connection.detach()
    return work


def leaves_nothing(
    parts: tuple[dict[str, Any], tuple[type, ...], dict[int, Any], list[Any]],
) -> bool:
    """Whether a program's end needs no more than to flush its output.

    parts: its main namespace, the types of values whose end can be noticed, its threads (the main one
    included), and what `threading` calls at exit. The C twin looks without writing to any page.
    """
    namespace, kinds, threads, at_exit = parts
    return (
        _len(threads) <= 1
        and not at_exit
        and not _any(_type(v) in kinds for v in namespace.values())
    )


def stand_by(owner: int, zygote: int, pid: int, maps: int) -> NoReturn:
    """Wait for the end of the owner or the zygote (pidfds), end the zygote (process `pid`), exit.

    maps: /proc/self/maps, opened while there was a /proc; the C twin gives memory back that is in it.
    """
    poll = select.poll()
    poll.register(owner, select.POLLIN)
    poll.register(zygote, select.POLLIN)
    poll.poll()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os._exit(0)


class _Loop:
    def __init__(
        self,
        connection: socket.socket,
        first_free: int,
        other_tasks: int,
        child_filter: bytearray,
        own_pid: int,
    ) -> None:
        self.connection = connection
        self._first_free = first_free
        self._other_tasks = other_tasks
        self._filter = child_filter
        self._own_pid = own_pid

    def serve(self) -> Work | None:
        while True:
            message, files, _, _ = socket.recv_fds(self.connection, REQUEST.size, _MAX_DESCRIPTORS)
            if not message:
                return None
            work = self._run_tests(Request(*REQUEST.unpack(message)), files)
            if work is not None:
                return work
            for descriptor in files:
                os.close(descriptor)

    def _run_tests(self, request: Request, files: list[int]) -> Work | None:
        """Fork a child per test until one fails. Returns what the child has to do in the child, else None."""
        starting = request.operation == START
        heading = 4 if starting else 2
        errors, inputs = files[1], files[heading::2]
        parent = os.getpid()
        outcomes = []
        for test in range(1 if starting else request.tests):
            for descriptor in inputs if starting else [inputs[test]]:
                _rewind(descriptor)
            if test:
                os.ftruncate(errors, 0)
                _rewind(errors)
            started = time.monotonic()
            pid = os.fork()
            if pid == 0:
                return self._become_child(request, files, test, parent)
            outcome = self._wait_for(pid, request, started)
            outcome = outcome._replace(error_bytes=os.fstat(errors).st_size)
            outcomes.append(OUTCOME.pack(*outcome))
            if outcome.status or outcome.reason:
                break
        self.connection.send(b"".join(outcomes))
        return None

    def _become_child(self, request: Request, files: list[int], test: int, parent: int) -> Work:
        """Become what runs test `test`; a failure before confinement is a SIGKILL to oneself."""
        confined = False
        try:
            if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
                raise OSError("the zygote has ended")
            starting = request.operation == START
            heading = 4 if starting else 2
            # Not read before the fork: the zygote's memory must hold nothing of an earlier program.
            data = os.pread(files[0], min(os.fstat(files[0]).st_size, MAX_CODE_BYTES), 0)
            os.dup2(files[heading + 2 * test] if request.tests else files[0], 0)
            os.dup2(files[heading + 2 * test + 1] if request.tests else files[1], 1)
            os.dup2(files[1], 2)
            shared = request.flags & FLAG_SHARED
            kept = (files[2:] if shared else files[2:3]) if starting else []
            edges = [self._first_free - 1, *sorted(kept), _MAX_DESCRIPTORS]
            for below, above in itertools.pairwise(edges):
                os.closerange(below + 1, above)
            self._confine(request)
            confined = True
        finally:
            if not confined:
                os.kill(os.getpid(), signal.SIGKILL)
        return request.operation, request.tests, data, tuple(kept)

    def _confine(self, request: Request) -> None:
        cpu = int(request.cpu_s) + 2  # a backstop: the zygote watches the clock itself
        for limit, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, request.address_space),
            (resource.RLIMIT_FSIZE, request.file_size),
            (resource.RLIMIT_NPROC, request.threads + self._other_tasks),
        ):
            resource.setrlimit(limit, (value, value))
        if self._filter:
            struct.pack_into("I", self._filter, 8 * self._own_pid + 4, os.getpid())
            load_filter(self._filter)

    def _wait_for(self, pid: int, request: Request, started: float) -> Outcome:
        """Wait for the end of child `pid`, which is killed at its limits or when the judge hangs up."""
        child = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(child, select.POLLIN)
        reason = Reason.NONE
        if not poll.poll(_LONG_MS):
            socket.send_fds(self.connection, [STILL_RUNNING], [child])
            poll.register(self.connection, 0)  # only tells of a hang-up
            reason = _supervise(pid, child, poll, request, started + request.wall_s)
        os.close(child)
        _, status, usage = os.wait4(pid, 0)
        cpu_s = usage.ru_utime + usage.ru_stime
        if status == signal.SIGKILL and reason == Reason.NONE and cpu_s >= request.cpu_s:
            reason = Reason.CPU  # RLIMIT_CPU was quicker on a machine too busy to run this process
        return Outcome(status, reason, cpu_s, usage.ru_maxrss, time.monotonic() - started, 0)


def _supervise(pid: int, child: int, poll: select.poll, request: Request, wall_end: float) -> int:
    """Watch a child that takes long; returns why it was killed, NONE if it ended by itself."""
    cpu_clock = (~pid << 3) | 2  # see clock_getcpuclockid(3)
    while True:
        used_s = time.clock_gettime(cpu_clock)
        left_s = wall_end - time.monotonic()
        if used_s >= request.cpu_s or left_s <= 0:
            break
        events = poll.poll(min(1000 * min(request.cpu_s - used_s, left_s) + 1, 1e9))
        if any(descriptor == child for descriptor, _ in events):
            return Reason.NONE
        if events:
            break  # the judge is gone
    os.kill(pid, signal.SIGKILL)
    return Reason.CPU if used_s >= request.cpu_s else Reason.WALL


def _rewind(descriptor: int) -> None:
    """A file that an earlier child had in its hands: back to its beginning, with no flags left on it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)
