"""Messages between the judge and its zygote, over a SOCK_SEQPACKET pair with descriptors attached.

The judge sends one JSON message with a `Setup`, then any number of requests, one at a time; the zygote
answers the setup with READY or FAILED + text, and every request with one `Outcome`.
"""

import enum
import struct
from dataclasses import asdict, dataclass
from typing import NamedTuple

READY = b"ready"
FAILED = b"failed:"
STILL_RUNNING = b"still running"
"""Sent once, with a pidfd of the child, when a child takes long enough to be watched for memory."""
MAX_CODE_BYTES = 64 << 20
COMPILE = b"c"
RUN = b"r"


class Reason(enum.IntEnum):
    """Why the zygote ended a child; NONE if the child ended by itself."""

    NONE = 0
    CPU = 1
    WALL = 2
    MEMORY = 3


class Request(NamedTuple):
    """COMPILE takes descriptors (source, code, stderr); RUN takes (code, stdin, stdout, stderr)."""

    operation: bytes
    cpu_s: float
    wall_s: float
    memory: int
    """Bytes resident at which the judge kills a long-running child."""
    address_space: int
    file_size: int
    threads: int


class Outcome(NamedTuple):
    """How a child ended: wait status, why it was killed, CPU s, peak KiB resident, wall s."""

    status: int
    reason: int
    cpu_s: float
    max_rss_kib: int
    wall_s: float


REQUEST = struct.Struct("=cddQQQI")
OUTCOME = struct.Struct("=iidqd")


@dataclass(frozen=True)
class Setup:
    """What a zygote needs to know before it shuts itself in. All paths are absolute."""

    level: str
    """"L4", "L3", "L2" or "unsafe"."""
    owner_pid: int
    """The process whose end is the zygote's end."""
    import_path: list[str]
    """sys.path of the programs: the standard library and its extension modules."""
    trees: dict[str, str]
    """Directory tree a program may read -> where it lies in the private root of L4."""
    hidden: list[str]
    """Directories inside those trees that a program may not read."""
    libraries: dict[str, str]
    """Shared library a program may load -> where it lies in the private root of L4."""

    def to_dict(self) -> dict[str, object]:
        """A JSON-ready form that `Setup(**...)` takes back."""
        return asdict(self)
