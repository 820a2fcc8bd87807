"""The program inside: a warm interpreter that shuts itself in and forks one child per test.

Started by `client.py` as a fresh interpreter with an empty environment; it holds the socket to the judge,
the program and the input of the moment, and never an expected output. The first process stays outside as a
monitor that ends the zygote when the owner ends; the second is the zygote (process 1 of its own process
namespace at L4); then come the children, one per compilation and one per test.

Nothing here trusts what a child does: it counts only through its exit status, its resource usage and the
bytes in its output files.
"""

import _sitebuiltins
import builtins
import contextlib
import gc
import importlib.util
import json
import os
import resource
import select
import signal
import socket
import sys
import time

from raymode.sandbox import program, seccomp
from raymode.sandbox.enclosure import FIRST_KEPT, MAX_FILES, Enclosure, enter, shut_in
from raymode.sandbox.isolation import die_with_parent
from raymode.sandbox.protocol import (
    COMPILE,
    FAILED,
    MAX_CODE_BYTES,
    OUTCOME,
    READY,
    REQUEST,
    STILL_RUNNING,
    Outcome,
    Reason,
    Request,
    Setup,
)


def _words(text: str) -> list[str]:
    return text.split()


CORE = _words(
    """
    re string math collections heapq bisect itertools functools operator random copy time io typing
    traceback linecache tokenize locale encodings.utf_8 encodings.ascii encodings.latin_1 resource
    threading queue decimal fractions statistics
    """
)
ALL = _words(
    """
    cmath datetime array enum dataclasses contextlib textwrap pprint numbers abc codecs unicodedata
    _strptime calendar hashlib zlib binascii base64 json ast inspect types weakref bz2 lzma keyword
    stat tempfile shutil glob fnmatch errno warnings concurrent.futures.thread secrets timeit struct
    selectors subprocess platform uuid csv asyncio fileinput sqlite3 ctypes mmap pickle
    xml.dom.minidom http.client zoneinfo graphlib encodings.utf_7 encodings.utf_16 encodings.cp1252
    encodings.idna urllib.request multiprocessing.pool multiprocessing.shared_memory
    """
)
"""Loaded beforehand at L2, where no file can be opened any more."""

_SOCKET_NUMBER = 50  # out of the way of the descriptors children keep
_READ_CHUNK = 1 << 20
_LONG_MS = 20


def main(descriptor: int) -> None:
    """Serve the judge at the other end of `descriptor` until it hangs up."""
    if descriptor == _SOCKET_NUMBER:
        os.set_inheritable(descriptor, False)
    else:
        os.dup2(descriptor, _SOCKET_NUMBER, inheritable=False)
        os.close(descriptor)
    connection = socket.socket(fileno=_SOCKET_NUMBER)
    setup = Setup(**json.loads(connection.recv(_READ_CHUNK)))
    try:
        zygote, enclosure = enter(setup)
        if zygote:
            connection.close()
            os._exit(_monitor(setup.owner_pid, zygote))
        children = _prepare(enclosure)
    except (OSError, ImportError) as error:
        connection.send(FAILED + f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    connection.send(READY)
    _serve(connection, children)


def _monitor(owner_pid: int, zygote: int) -> int:
    """Wait for the owner or the zygote to end; leave nothing behind. Returns an exit code."""
    poll = select.poll()
    with contextlib.suppress(ProcessLookupError):  # the owner has ended already
        poll.register(os.pidfd_open(owner_pid), select.POLLIN)
        poll.register(os.pidfd_open(zygote), select.POLLIN)
        poll.poll()
    with contextlib.suppress(ProcessLookupError):
        os.kill(zygote, signal.SIGKILL)
    os.waitpid(zygote, 0)
    return 0


def _prepare(enclosure: Enclosure) -> "_Children":
    """Look like `python solution.py` with the usual modules loaded, then shut in."""
    os.environ.clear()
    os.environ.update(HOME="/box", LC_ALL="C.UTF-8", PATH="/usr/bin")
    for name in CORE + (ALL if enclosure.level == "L2" else []):
        if importlib.util.find_spec(name) is not None:  # None: an interpreter built without it
            importlib.import_module(name)
    other_tasks = enclosure.other_tasks
    program_filter = shut_in(enclosure)
    sys.modules["random"].seed(0)  # unseeded programs get the same verdict every time
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    builtins.help = _sitebuiltins._Helper()
    sys.argv = ["solution.py"]
    children = _Children(program_filter, other_tasks, FIRST_KEPT + enclosure.kept)
    for name in [name for name in sys.modules if name.partition(".")[0] == "raymode"]:
        del sys.modules[name]
    return children


def _serve(connection: socket.socket, children: "_Children") -> None:
    program.open_stdio()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, REQUEST.size, 8)
        if not message:
            return
        try:
            outcome = children.run(Request(*REQUEST.unpack(message)), descriptors, connection)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        connection.send(OUTCOME.pack(*outcome))


class _Children:
    """Forks and confines one child at a time."""

    def __init__(
        self, program_filter: seccomp.Filter | None, other_tasks: int, first_free: int
    ) -> None:
        self._filter = program_filter
        self._other_tasks = other_tasks
        self._first_free = first_free

    def run(self, request: Request, descriptors: list[int], connection: socket.socket) -> Outcome:
        """Fork a child for `request` and wait for its end."""
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._child(request, descriptors)
        return _watch(pid, request, started, connection)

    def _child(self, request: Request, descriptors: list[int]) -> None:
        """Become what runs the program; never returns. A failure before that is a SIGKILL to oneself."""
        confined = False
        try:
            die_with_parent()
            compiling = request.operation == COMPILE
            # Not read before the fork: the zygote's memory must hold nothing of an earlier program.
            data = _read_all(descriptors[0])
            os.dup2(descriptors[0 if compiling else 1], 0)
            os.dup2(descriptors[-2], 1)
            os.dup2(descriptors[-1], 2)
            os.closerange(self._first_free, MAX_FILES)
            self._limit(request)
            if self._filter is not None:
                self._filter.load()
            confined = True
        finally:
            if not confined:
                os.kill(os.getpid(), signal.SIGKILL)
        if compiling:
            program.compile_to(data, 1)
        program.run_program(data)

    def _limit(self, request: Request) -> None:
        cpu = int(request.cpu_s) + 2  # a backstop: the zygote watches the clock itself
        for limit, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, request.address_space),
            (resource.RLIMIT_FSIZE, request.file_size),
            (resource.RLIMIT_NPROC, request.threads + self._other_tasks),
        ):
            resource.setrlimit(limit, (value, value))


def _read_all(descriptor: int) -> bytes:
    """The whole file, whatever its offset; at most MAX_CODE_BYTES."""
    return os.pread(descriptor, min(os.fstat(descriptor).st_size, MAX_CODE_BYTES), 0)


def _watch(pid: int, request: Request, started: float, connection: socket.socket) -> Outcome:
    """Wait for the end of child `pid`, which is killed at its limits or when the judge hangs up."""
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    reason = Reason.NONE
    if not poll.poll(_LONG_MS):
        socket.send_fds(connection, [STILL_RUNNING], [child])
        poll.register(connection, 0)  # only tells of a hang-up
        reason = _supervise(pid, child, poll, request, started + request.wall_s)
    os.close(child)
    _, status, usage = os.wait4(pid, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    if status == signal.SIGKILL and reason == Reason.NONE and cpu_s >= request.cpu_s:
        reason = Reason.CPU  # RLIMIT_CPU was quicker on a machine too busy to run this process
    return Outcome(status, reason, cpu_s, usage.ru_maxrss, time.monotonic() - started)


def _supervise(
    pid: int, child: int, poll: select.poll, request: Request, wall_end: float
) -> Reason:
    """Watch a child that takes long; returns why it was killed, NONE if it ended by itself."""
    cpu_clock = (~pid << 3) | 2  # see clock_getcpuclockid(3)
    while True:
        used_s = time.clock_gettime(cpu_clock)
        left_s = wall_end - time.monotonic()
        if used_s >= request.cpu_s or left_s <= 0:
            break
        events = poll.poll(1000 * min(request.cpu_s - used_s, left_s) + 1)
        if any(descriptor == child for descriptor, _ in events):
            return Reason.NONE
        if events:
            break  # the judge is gone
    os.kill(pid, signal.SIGKILL)
    return Reason.CPU if used_s >= request.cpu_s else Reason.WALL
