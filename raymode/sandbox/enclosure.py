"""How a zygote shuts itself in: the isolation of each level, in the order the kernel wants it.

L4: namespaces with a private read-only root, Landlock, seccomp. L3: Landlock and seccomp.
L2: seccomp that refuses every open. "unsafe": resource limits only.
"""

import os
import resource
import sys
from collections.abc import Mapping
from typing import Any

from raymode.sandbox import isolation
from raymode.sandbox.isolation import READ_FILE, READ_FOLDER
from raymode.sandbox.loops import load_filter
from raymode.sandbox.syscalls import PR_SET_DUMPABLE, prctl

MAX_FILES = 64
_MIB = 1 << 20
_STACK_SOFT = 512 * _MIB  # the hard limit stays infinite: a common idiom sets (n, RLIM_INFINITY)
_SLACK_TASKS = 1000
FIRST_KEPT = 3


Setup = Mapping[str, Any]
"""What `Interpreter.setup` tells a zygote before it shuts itself in."""


class Enclosure:
    """What entering left open for shutting in, and what the children need to know."""

    def __init__(self, level: str, private_user: bool) -> None:
        self.level = level
        self.private_user = private_user
        """Whether the zygote's user id is its own, so that the kernel counts only its tasks."""
        self.readable: dict[int, int] = {}
        """Open descriptor -> Landlock rights."""
        self.kept = 0
        """Descriptors FIRST_KEPT, ... that children keep: trees only reachable through them."""
        self.moved: dict[str, str] = {}
        """Real path -> where a program finds it, of the trees that are not in their place."""

    def place(self, path: str) -> str:
        """Where a program finds what has the real path `path`."""
        return _moved(path, self.moved)

    @property
    def other_tasks(self) -> int:
        """Tasks of this user that are no threads of a program, for RLIMIT_NPROC."""
        monitor_zygote_and_child = 3
        if self.private_user:
            return monitor_zygote_and_child
        # A bound, not a quota: other processes of this user come and go.
        return _tasks_of_user() + _SLACK_TASKS


def enter(setup: Setup) -> tuple[int, Enclosure]:
    """Fork the zygote into its namespaces, files and user.

    Returns (process id, _) in the parent, which stays outside, and (0, enclosure) in the zygote.
    Raises OSError where this host does not allow the level.
    """
    is_root = os.geteuid() == 0
    user = isolation.unprivileged_id() if is_root else os.geteuid()
    mounts_as_root = isolation.has_root()
    enclosure = Enclosure(setup["level"], private_user=(is_root or setup["level"] == "L4"))
    if setup["level"] == "L4":
        if is_root and not mounts_as_root:
            isolation.become(user)
        isolation.unshare_all(with_user=not mounts_as_root)
    zygote = os.fork()
    if zygote:
        return zygote, enclosure
    if setup["level"] == "L4":
        _enter_private_root(setup, enclosure)
        if mounts_as_root:
            isolation.leave_root(user)
    elif setup["level"] != "unsafe":
        _enter_host_root(setup, enclosure, user if is_root else None)
    isolation.die_with_parent()
    return 0, enclosure


def _enter_private_root(setup: Setup, enclosure: Enclosure) -> None:
    packages = setup["packages"].get("files", {})
    moved = setup["trees"] | setup["libraries"]
    isolation.build_root(
        {inside: real for real, inside in (moved | packages).items()},
        [_moved(p, moved) for p in setup["hidden"]],
    )
    enclosure.moved = packages | setup["trees"]
    _relocate(setup["trees"])


def _enter_host_root(setup: Setup, enclosure: Enclosure, user: int | None) -> None:
    """Open what may be read, then leave root if we have it."""
    os.chdir("/")
    trees = {tree: _open(tree) for tree in setup["trees"]}
    packages = setup["packages"].get("files", {})
    # Opened, not made readable: where the packages are installed, and others are too.
    folders = {folder: _open(folder) for folder in {os.path.dirname(path) for path in packages}}
    if setup["level"] == "L3":
        for path in packages:
            rights = READ_FILE | READ_FOLDER if os.path.isdir(path) else READ_FILE
            enclosure.readable[_open(path)] = rights
        for tree, descriptor in trees.items():
            # Names of the whole tree may be listed (importing needs it), contents of `hidden` not read.
            enclosure.readable[descriptor] = READ_FOLDER
            for entry in os.scandir(tree):
                if entry.path not in setup["hidden"]:
                    rights = READ_FILE | READ_FOLDER if entry.is_dir() else READ_FILE
                    enclosure.readable[_open(entry.path)] = rights
        enclosure.readable |= {_open(path): READ_FILE for path in setup["libraries"]}
    if user is not None:
        isolation.become(user)
        if not all(os.access(path, os.R_OK) for path in (*trees, *packages)):
            _keep(enclosure, trees | folders)
            return
    for descriptor in folders.values():
        os.close(descriptor)


def _keep(enclosure: Enclosure, trees: dict[str, int]) -> None:
    """Reach trees the new user cannot walk to (say, in a private home) through open descriptors."""
    moved = {}
    for number, (tree, descriptor) in enumerate(trees.items(), FIRST_KEPT):
        if descriptor != number:
            os.dup2(descriptor, number)
        moved[tree] = f"/proc/self/fd/{number}"
    enclosure.kept = len(moved)
    enclosure.moved = moved
    _relocate(moved)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _moved(path: str, moved: dict[str, str]) -> str:
    for old, place in moved.items():
        if path == old or path.startswith(old + "/"):
            return place + path.removeprefix(old)
    return path


def _relocate(moved: dict[str, str]) -> None:
    """Make everything already imported say it came from where the library now lies."""
    sys.path[:] = [_moved(path, moved) for path in sys.path if path.startswith(tuple(moved))]
    sys.prefix = sys.base_prefix = sys.exec_prefix = sys.base_exec_prefix = "/usr"
    sys.executable = ""
    sys._stdlib_dir = _moved(sys._stdlib_dir, moved)  # type: ignore[attr-defined]
    sys.path_importer_cache.clear()
    for module in list(sys.modules.values()):
        for name in ("__file__", "__cached__"):
            if isinstance(getattr(module, name, None), str):
                setattr(module, name, _moved(getattr(module, name), moved))
        if hasattr(module, "__path__"):
            module.__path__ = [_moved(path, moved) for path in module.__path__]


def shut_in(enclosure: Enclosure, base_filter: bytes) -> None:
    """Give up every right that serving does not need, for ever."""
    if enclosure.level == "unsafe":
        _limit_zygote()
        return
    isolation.drop_capabilities()
    if enclosure.level == "L4":
        enclosure.readable = {_open("/"): READ_FILE | READ_FOLDER}
    if enclosure.level in ("L4", "L3"):
        isolation.restrict_files(enclosure.readable)
    for descriptor in enclosure.readable:
        if descriptor >= FIRST_KEPT + enclosure.kept:
            os.close(descriptor)
    _limit_zygote()
    # Nobody of the same user may look at this process's descriptors through /proc, nor a child at its siblings'.
    prctl(PR_SET_DUMPABLE, 0)
    load_filter(base_filter)


def _limit_zygote() -> None:
    """Set the limits that are the same for every program."""
    for name, value in (
        ("CORE", 0), ("MEMLOCK", 0), ("MSGQUEUE", 0), ("NICE", 0), ("RTPRIO", 0), ("SIGPENDING", 256),
        ("NOFILE", MAX_FILES),
    ):  # fmt: skip
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK_SOFT, resource.RLIM_INFINITY))


def _tasks_of_user() -> int:
    """Threads of all processes of this user that /proc shows."""
    user, count = os.getuid(), 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
    return count
