"""Messages between the judge and its zygote, over a SOCK_SEQPACKET pair with descriptors attached.

The judge sends the setup, a marshalled dict, then any number of requests, one at a time; the zygote
answers the setup with READY, or FAILED or NOT_LOADED + text, and a request with one `Outcome` per child. The
layouts are those of `_forkloop.c`. The zygote imports this: it must bring nothing large along.
"""

import struct
from typing import NamedTuple

READY = b"ready"
FAILED = b"failed:"
NOT_LOADED = b"not loaded:"
"""Answers the setup where a package that programs may import cannot be loaded; the reason follows."""
STILL_RUNNING = b"still running"
"""Sent before an outcome, with a pidfd of the child, when a child takes long enough to be watched for memory."""
MAX_CODE_BYTES = 64 << 20
MAX_TESTS = 24
"""Tests per request: two descriptors each, and a zygote may hold 64."""

START = ord("s")
"""Compile a source and run it on the first test, or in shared mode on all, in one child."""
RUN = ord("r")
"""Run compiled code, one child per test, until one of them fails."""
FLAG_SHARED = 1
COMPLETE = b"\0complete"
"""Ends the marshalled code that START writes."""


class Reason:
    """Why the zygote ended a child; NONE if the child ended by itself. MEMORY is the judge's own."""

    NONE, CPU, WALL, MEMORY = range(4)


class Request(NamedTuple):
    """What to do, within which limits.

    START takes the descriptors (source, stderr, code, report), RUN (code, stderr); both then (stdin, stdout)
    of each test. START without tests compiles only.
    """

    operation: int
    flags: int
    tests: int
    threads: int
    cpu_s: float
    wall_s: float
    address_space: int
    file_size: int


class Outcome(NamedTuple):
    """How a child ended: wait status, why it was killed, CPU s, peak KiB resident, wall s, bytes in stderr."""

    status: int
    reason: int
    cpu_s: float
    max_rss_kib: int
    wall_s: float
    error_bytes: int


class Report(NamedTuple):
    """What shared mode notes of each test: exit code and CPU seconds."""

    exit_code: int
    cpu_s: float


REQUEST = struct.Struct("=BBHIddQQ")
OUTCOME = struct.Struct("=iidqdq")
REPORT = struct.Struct("=id")
PURE, IMPURE, LEAKED = b"p", b"i", b"l"
"""What shared mode sends over its report socket, each a message: IMPURE if the program did not go through the purity
gate; else a PURE + `Report` per test, and LEAKED at the end if the modules it imported were not in the state it found
them in. After the first test it goes on only when told to by GO."""
GO, STOP = b"g", b"s"
