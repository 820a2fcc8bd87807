"""Files that exist in memory only: what a program reads, and what it writes."""

import fcntl
import os

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def new_file() -> int:
    """An empty file; returns its descriptor."""
    return os.memfd_create("file")


def sealed_file(content: bytes) -> int:
    """A file with `content` that nobody can change any more; returns a read-only descriptor at 0."""
    writable = os.memfd_create("input", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(writable, left) :]
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, _SEALS)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)


def read_file(descriptor: int, at_most: int) -> bytes:
    """The last `at_most` bytes of a file, whatever its offset."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, min(size, at_most), max(0, size - at_most))
