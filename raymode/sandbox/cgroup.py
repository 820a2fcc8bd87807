"""cgroup v2: one leaf per zygote bounds the memory and the tasks of everything in it together.

Resource limits are per process and per user, and the judge's own watch on memory comes by now and then;
here the kernel counts. Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst, cgroups(7), and
systemd's CGROUP_DELEGATION for who may make cgroups where.

A cgroup that holds processes cannot hand memory to children, so a leaf lies in one of two places:
beside the owner's cgroup, where somebody prepared their common parent; or inside it, where the owner, if
alone there, first moves to a child of it, its home, and returns with the last leaf.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

_CONTROLLERS = {"memory", "pids"}
_OWN_MEMORY = 64 << 20  # of zygote and monitor, with room for what the kernel keeps for all of them
_OWN_TASKS = 2  # zygote and monitor
_NAME = re.compile(r"raymode-(\d+)-(?:[0-9a-f]{8}|home)")
_UNITS = (".service", ".scope")
_FREE = {"memory.max": "max", "memory.high": "max", "pids.max": "max", "cpu.max": "max 100000"}
_WAIT_S = 5.0  # for processes to end, for systemd to answer
_changing = threading.Lock()  # two sandboxes of one process must not move it at the same time


class Place(NamedTuple):
    """Where the hierarchy is mounted, and this process's cgroup, the same folder or one below it."""

    top: Path
    own: Path


class Cgroup:
    """A leaf for one zygote. Made by `make`; not safe to use from several threads at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._limits: tuple[int, int] | None = None
        self._seen = (0, 0)
        self._kills = 0

    @classmethod
    def make(cls) -> "Cgroup | None":
        """Make an empty leaf; None where this process may make none with the memory and pids controllers.

        To be called before this process starts others: a home is only moved to by a process that is alone.
        """
        try:
            with _changing:
                folder = _new_leaf()
        except OSError:
            return None
        return None if folder is None else cls(folder)

    def add(self, pid: int) -> None:
        """Move a process in; what it forks from now on follows, what it has charged so far does not.

        Raises OSError, ProcessLookupError if it has ended.
        """
        _write(self.folder / "cgroup.procs", str(pid))

    def limit(self, memory_bytes: int, tasks: int) -> None:
        """Bound what is inside beside zygote and monitor. Raises OSError.

        memory_bytes: resident memory, files in memory that are first written inside, and page tables.
        tasks: processes and threads.
        """
        if self._limits == (memory_bytes, tasks):
            return
        if self._limits is None:
            with contextlib.suppress(FileNotFoundError):  # the kernel counts no swap
                _write(self.folder / "memory.swap.max", "0")
        _write(self.folder / "memory.max", str(memory_bytes + _OWN_MEMORY))
        _write(self.folder / "pids.max", str(tasks + _OWN_TASKS))
        self._limits = (memory_bytes, tasks)

    def oom_kills(self) -> int:
        """How many processes inside the kernel has killed because of the limit set here. Raises OSError.

        The kernel's count of kills includes those for want of memory in the machine or a cgroup above;
        a kill counts here if the cgroup's own limit was met since the last call.
        """
        counts = dict(line.split() for line in _read(self.folder / "memory.events").splitlines())
        met, killed = int(counts["oom"]), int(counts["oom_kill"])
        if met > self._seen[0]:
            self._kills += killed - self._seen[1]
        self._seen = (met, killed)
        return self._kills

    def close(self) -> None:
        """Kill what is inside, wait for its end and remove the leaf. Raises OSError if something stays."""
        if not self.folder.exists():
            return
        _empty(self.folder)
        self.folder.rmdir()
        with _changing:
            _return_home()


def find_place(mountinfo: str, own: str) -> Place | None:
    """Where the process is, from the text of its mountinfo and cgroup files; None if it cannot be told."""
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::/")), None)
    if path is None or path.endswith(" (deleted)"):
        return None
    for line in reversed(mountinfo.splitlines()):  # later mounts cover earlier ones
        fields, _, source = line.partition(" - ")
        escaped = fields.split(" ")[3:5]
        root, top = (re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), each) for each in escaped)
        # ".." is how the kernel shows what lies above the namespace.
        if source.startswith("cgroup2 ") and ".." not in f"{root}{path}".split("/"):
            with contextlib.suppress(ValueError):
                return Place(Path(top), Path(top) / Path(path).relative_to(root))
    return None


def _own_place() -> Place | None:
    return find_place(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"))


def _new_leaf() -> Path | None:
    place = _own_place()
    if place is None or (parent := _prepared_parent(place)) is None:
        return None
    _remove_abandoned(parent)
    folder = parent / _name(os.urandom(4).hex())
    try:
        folder.mkdir()
    except OSError:  # as many cgroups as are allowed here
        _return_home()
        raise
    return folder


def _prepared_parent(place: Place) -> Path | None:
    """The cgroup to make leaves in, its controllers enabled; None if there is none."""
    if place.own != place.top and _may_lie_beside(place):
        return place.own.parent
    if _writable(place.own) and _is_ours(place.own, place.top) and _enable(place.own):
        return place.own
    return None


def _may_lie_beside(place: Place) -> bool:
    """Whether the parent is ours and hands out memory and pids, and no limit is escaped there."""
    parent = place.own.parent
    return (
        set(_read(parent / "cgroup.subtree_control").split()) >= _CONTROLLERS
        and not place.own.name.endswith(_UNITS)
        and not _is_limited(place.own)
        and _writable(parent)
        and _is_ours(parent, place.top)
    )


def _is_ours(folder: Path, top: Path) -> bool:
    """Whether systemd, if there is one, leaves the children of a cgroup to the processes in it.

    In units it does not delegate, systemd takes controllers back when it reloads, and takes the death of
    a program for want of memory for the unit's own and stops all of it.
    """
    is_booted = Path("/run/systemd/system").is_dir()
    for upper in (folder, *folder.parents):
        if upper.name.endswith(_UNITS):
            return _is_delegated(upper)
        if upper.name.endswith(".slice") or (upper == top and is_booted):
            return upper != folder
        if upper == top:
            break
    return True


def _is_delegated(unit: Path) -> bool:
    """Whether systemd delegates a unit: it says so by an attribute, managers of users only on request."""
    if _is_marked(unit):
        return True
    if os.geteuid() == 0 or not any(map(_is_marked, unit.parents)):
        return False
    try:
        answer = subprocess.run(
            ["systemctl", "--user", "show", "--property=Delegate", "--value", "--", unit.name],
            capture_output=True, timeout=_WAIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == b"yes"


def _is_marked(folder: Path) -> bool:
    try:  # the second for older versions of systemd; only root sees it
        return not {"user.delegate", "trusted.delegate"}.isdisjoint(os.listxattr(folder))
    except OSError:
        return False


def _is_limited(folder: Path) -> bool:
    caps = ((folder / name, free) for name, free in _FREE.items())
    return any(file.exists() and _read(file).strip() != free for file, free in caps)


def _writable(folder: Path) -> bool:
    """Whether this process may make children here and move processes among them."""
    files = (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control")
    return all(os.access(file, os.W_OK) for file in files)


def _enable(own: Path) -> bool:
    """Hand memory and pids to children of `own`, if need be by moving this process into one."""
    if not set(_read(own / "cgroup.controllers").split()) >= _CONTROLLERS:
        return False
    try:
        _write(own / "cgroup.subtree_control", "+memory +pids")
        return True
    except OSError:  # EBUSY: there are processes in it
        if _processes(own) != [os.getpid()]:
            return False
    home = own / _name("home")
    home.mkdir()
    try:
        _write(home / "cgroup.procs", "0")
        _write(own / "cgroup.subtree_control", "+memory +pids")
    except OSError:
        _leave(home)
        raise
    return True


def _leave(home: Path) -> None:
    _write(home.parent / "cgroup.procs", "0")
    home.rmdir()


def _return_home() -> None:
    """Undo `_enable` if this process moved, all leaves are gone and nobody else lives in its home."""
    place = _own_place()
    if place is None or place.own.name != _name("home") or _processes(place.own) != [os.getpid()]:
        return
    if [child for child in place.own.parent.iterdir() if child.is_dir()] == [place.own]:
        _write(place.own.parent / "cgroup.subtree_control", "-memory -pids")
        _leave(place.own)


def _remove_abandoned(parent: Path) -> None:
    """Remove leaves and homes whose owner no longer exists, unless something lives in them."""
    for child in parent.iterdir():
        match = _NAME.fullmatch(child.name)
        if match and not Path("/proc", match[1]).exists():
            with contextlib.suppress(OSError):  # lived in, or another was quicker
                child.rmdir()


def _empty(folder: Path) -> None:
    """Kill every process in a cgroup and wait until none is left. Raises TimeoutError."""
    deadline = time.monotonic() + _WAIT_S
    with open(folder / "cgroup.events") as events:
        changed = select.poll()
        changed.register(events, select.POLLPRI)
        while "populated 0" not in events.read().splitlines():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{folder}: its processes outlive SIGKILL")
            _kill(folder)
            changed.poll(50)
            events.seek(0)


def _kill(folder: Path) -> None:
    try:
        _write(folder / "cgroup.kill", "1")
    except FileNotFoundError:  # before Linux 5.14
        for pid in _processes(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _name(suffix: str) -> str:
    return f"raymode-{os.getpid()}-{suffix}"


def _processes(folder: Path) -> list[int]:
    return [int(line) for line in _read(folder / "cgroup.procs").split()]


def _read(file: str | Path) -> str:
    with open(file) as opened:
        return opened.read()


def _write(file: Path, text: str) -> None:
    """Write to a control file in one call, never creating it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
