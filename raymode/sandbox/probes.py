"""A sandbox proves what it claims: before a zygote serves, a child tries to get out.

Admission is by behaviour, not by what the kernel says it supports: one attempt that gets through, or one
that cannot be told, and the zygote is not used.
"""

import functools
import marshal
from dataclasses import dataclass

from raymode.sandbox.limits import Limits
from raymode.sandbox.verdict import Status

PROBE_LIMITS = Limits(cpu_s=5.0, memory_mb=512, output_mb=1, threads=4)

ATTEMPTS = {
    "read a file outside the library": "open(CANARY).read(1)",
    "read the list of users": "open('/etc/passwd').read(1)",
    "read /proc": "open('/proc/self/status').read(1)",
    "read the environment of process 1": "open('/proc/1/environ', 'rb').read(1)",
    "look at its parent's files": "os.listdir(f'/proc/{os.getppid()}/fd')",
    "create a file": "os.open('/tmp/raymode-probe', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)",
    "change the library": "os.open(os.__file__, os.O_WRONLY)",
    "open a network socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "open a local socket": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "start a process": "os.fork() or os._exit(0)",
    "start a program": "os.execv('/bin/true', ['true'])",
    "signal its parent": "os.kill(os.getppid() or 1, 0)",
    "signal everybody": "os.kill(-1, 0)",
    "become root": "os.setuid(0)",
    "map memory that no limit counts": "mmap.mmap(-1, 4096)",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "run on chosen cores": "os.sched_setaffinity(0, {0})",
    "allocate more than it may": "bytearray(4 << 30)",
}
_PROGRAM = """
import mmap, os, resource, socket
CANARY = {canary!r}
def attempt(name, action):
    try:
        action()
    except (OSError, MemoryError, ValueError, AttributeError):
        print(name + ": refused", flush=True)
    else:
        print(name + ": DONE", flush=True)
"""


@functools.cache
def probe_code() -> bytes:
    """The marshalled program, as a child takes it, that makes every attempt and prints what came of it."""
    lines = [f"attempt({name!r}, lambda: {action})" for name, action in ATTEMPTS.items()]
    source = _PROGRAM.format(canary=__file__) + "\n".join(lines) + "\n"
    return marshal.dumps((compile(source, "probe.py", "exec"), False))


def breaches(output: bytes) -> list[str]:
    """Names of the attempts that were not refused, from what the probe program printed."""
    refused = {
        line.removesuffix(": refused") for line in output.decode(errors="replace").splitlines()
    }
    return [name for name in ATTEMPTS if name not in refused]


@dataclass(frozen=True)
class LimitProbe:
    """A program that runs into a limit, and the status it must end with."""

    name: str
    program: str
    limits: Limits
    expected: Status


LIMIT_PROBES = (
    LimitProbe("CPU time", "while True: pass", Limits(cpu_s=0.1), Status.TLE),
    LimitProbe("clock", "import time; time.sleep(60)", Limits(cpu_s=1, wall_s=0.2), Status.TLE),
    LimitProbe(
        "memory", "a = [bytearray(1 << 20) for _ in range(96)]", Limits(memory_mb=64), Status.MLE
    ),
    LimitProbe("output", "print('x' * (2 << 20))", Limits(output_mb=1), Status.OLE),
    LimitProbe(
        "threads",
        "import threading, time\n"
        "for _ in range(2000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        Limits(threads=4),
        Status.RE,
    ),
    LimitProbe(
        "forbidden call", "import ctypes; ctypes.CDLL(None).ptrace(0, 0, 0, 0)", Limits(), Status.SV
    ),
)

LAYERS: dict[str, tuple[str, ...]] = {
    "L4": (
        "files: a private read-only root with the standard library alone; Landlock; read-only opens (seccomp)",
        "network: an empty network namespace; no sockets (seccomp)",
        "processes: a private process namespace; no fork, exec or signals to others (seccomp)",
        "shared memory and host name: private ipc and uts namespaces",
        "privileges: a user namespace, no capabilities, no_new_privs",
        "kernel: a list of allowed system calls (seccomp)",
        "amounts: CPU clock, wall clock, peak memory, file size, threads, open files",
    ),
    "L3": (
        "files: Landlock lets the standard library alone be read; read-only opens (seccomp)",
        "network: no sockets (seccomp)",
        "processes: no fork, exec or signals to others (seccomp)",
        "privileges: no capabilities, no_new_privs; root becomes an unprivileged user",
        "kernel: a list of allowed system calls (seccomp)",
        "amounts: CPU clock, wall clock, peak memory, file size, open files; threads loosely unless started as root",
    ),
    "L2": (
        "files: no file can be opened; modules beyond those loaded beforehand cannot be imported (seccomp)",
        "network: no sockets (seccomp)",
        "processes: no fork, exec or signals to others (seccomp)",
        "privileges: no capabilities, no_new_privs; root becomes an unprivileged user",
        "kernel: a list of allowed system calls (seccomp)",
        "amounts: CPU clock, wall clock, peak memory, file size, open files; threads loosely unless started as root",
    ),
    "unsafe": (
        "nothing: programs can do whatever this user can, within CPU, memory and file size limits",
    ),
}
"""What isolates what, by level."""
