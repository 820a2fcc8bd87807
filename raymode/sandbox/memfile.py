"""Files that exist in memory only: what a program reads, and what it writes."""

import contextlib
import fcntl
import os
from collections import Counter, OrderedDict
from collections.abc import Sequence

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def opened_file(stack: contextlib.ExitStack) -> int:
    """An empty file, which is closed with `stack`; returns its descriptor."""
    descriptor = os.memfd_create("file")
    stack.callback(os.close, descriptor)
    return descriptor


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


def encode(text: str) -> bytes:
    """UTF-8 bytes; a surrogate stands for the byte it was read from, or for itself."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


class InputFiles:
    """Sealed files with the inputs used last: the programs of one problem all read the same.

    Nobody can change them, and the zygote rewinds them for each child. What is left is the time of the last reading,
    which is set back for each request; within one, a text that comes twice has two files.
    """

    def __init__(self, most_files: int = 64, most_bytes: int = 64 << 20) -> None:
        self._most_files = most_files
        self._most_bytes = most_bytes
        self._files: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._bytes = 0

    def get(self, texts: Sequence[str]) -> list[int]:
        """Descriptors of files with `texts`, each as if never read; they stay open until `trim` or `close`."""
        seen: Counter[str] = Counter()
        descriptors = []
        for text in texts:
            key = text, seen[text]
            seen[text] += 1
            descriptor = self._files.get(key)
            if descriptor is None:
                content = encode(text)
                descriptor = self._files[key] = sealed_file(content)
                self._bytes += len(content)
            self._files.move_to_end(key)
            os.utime(descriptor, ns=(0, 0))
            descriptors.append(descriptor)
        return descriptors

    def trim(self) -> None:
        """Close the files unused for longest, until no more are open than there may be."""
        while len(self._files) > self._most_files or (
            self._files and self._bytes > self._most_bytes
        ):
            self._close_oldest()

    def close(self) -> None:
        """Close every file."""
        while self._files:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, descriptor = self._files.popitem(last=False)
        self._bytes -= os.fstat(descriptor).st_size
        os.close(descriptor)
