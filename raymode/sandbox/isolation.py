"""Namespaces, Landlock, and giving up privileges: all one-way doors, passed once by the zygote.

Sources: namespaces(7), pivot_root(2), landlock(7), capabilities(7), prctl(2).
"""

import os
import struct
from collections.abc import Iterable, Mapping

from raymode.sandbox import syscalls
from raymode.sandbox.syscalls import call, prctl

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
_NEWPID, _NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MNT_DETACH, _AT_RECURSIVE, _AT_FDCWD = 2, 0x8000, -100

NOBODY = 65534
_FIRST_PRIVATE_ID = 1_900_000_000  # far above accounts and the ranges handed to rootless containers
BOX = "/box"


def has_root() -> bool:
    """Whether this process may mount and change its user (real root, or root of a container with it)."""
    return os.geteuid() == 0 and _has_capability(21)  # CAP_SYS_ADMIN


def _has_capability(number: int) -> bool:
    with open("/proc/self/status") as status:
        effective = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)


# --- users and capabilities ---------------------------------------------------------------------------


def unprivileged_id() -> int:
    """Choose a user and group id that (almost surely) nobody else on this machine has."""
    wanted = _FIRST_PRIVATE_ID + int.from_bytes(os.urandom(3), "little")
    with open("/proc/self/uid_map") as uid_map:
        ranges = [tuple(map(int, line.split())) for line in uid_map]
    mapped = (any(first <= i < first + size for first, _, size in ranges) for i in (wanted, NOBODY))
    if next(mapped):
        return wanted
    if next(mapped):
        return NOBODY
    raise OSError("no unprivileged user id is mapped in this user namespace")


def become(user: int) -> None:
    """Leave root for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    prctl(syscalls.PR_SET_DUMPABLE, 1)  # or /proc/self would still belong to root


def drop_capabilities() -> None:
    """Forbid gaining privileges by exec, empty the bounding set, drop every capability."""
    prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(64):
        try:
            prctl(syscalls.PR_CAPBSET_DROP, capability)
        except OSError:
            break  # beyond the last one the kernel knows, or not allowed, and then there is none to drop
    version_3 = 0x20080522
    call("capset", struct.pack("Ii", version_3, 0), struct.pack("6I", *[0] * 6))


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    prctl(syscalls.PR_SET_PDEATHSIG, 9)


# --- namespaces ---------------------------------------------------------------------------------------


def unshare_all(*, with_user: bool) -> None:
    """Move the caller into new mount, net, ipc and uts namespaces, its future children into a pid one.

    with_user: for a caller without root: a user namespace comes first, in which its own id is called
    `NOBODY`. A caller with root makes its mounts first, because the interpreter may live where the
    unprivileged user cannot go, and enters the user namespace by `leave_root`.
    """
    flags = _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS
    if not with_user:
        call("unshare", flags)
        return
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", flags | _NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as control:
            control.write(text)


def build_root(places: Mapping[str, str], hidden: Iterable[str]) -> None:
    """Make a read-only root that holds `places` (path inside -> real file or tree) alone; move into it.

    `hidden` directories inside the trees are covered by empty ones. Everything else of the host,
    /proc and /dev included, is gone; the current directory is the empty `BOX`.
    """
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    # Opened before the new root covers what lies under it.
    sources = {place: os.open(real, os.O_PATH | os.O_CLOEXEC) for place, real in places.items()}
    root = "/tmp"  # any directory will do: it is covered in this mount namespace only
    _mount("none", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for place, source in sources.items():
        _bind(source, root + place)
    for path in hidden:
        _mount("none", root + path, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=4k,mode=755")
    os.mkdir(root + BOX)
    _make_read_only(root)
    os.chdir(root)
    call("pivot_root", b".", b".")
    call("umount2", b".", _MNT_DETACH)
    os.chdir(BOX)
    call("sethostname", b"box", 3)


def _bind(source: int, target: str) -> None:
    """Bind the opened file or tree `source` at `target` and close it."""
    real = f"/proc/self/fd/{source}"
    if os.path.isdir(real):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(real, target, None, _MS_BIND)
    os.close(source)


def _make_read_only(root: str) -> None:
    read_only, nosuid, nodev = 1, 2, 4
    attributes = struct.pack("QQQQ", read_only | nosuid | nodev, 0, 0, 0)
    call("mount_setattr", _AT_FDCWD, root.encode(), _AT_RECURSIVE, attributes, len(attributes))


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    try:
        call("mount", *encoded[:3], flags, encoded[3])
    except OSError as error:
        raise OSError(error.errno, f"mount {source} on {target}: {error.strerror}") from None


def leave_root(user: int) -> None:
    """Become `user`, in a user namespace of its own: no id of it means anything outside."""
    become(user)
    call("unshare", _NEWUSER)


# --- Landlock -----------------------------------------------------------------------------------------

_FIRST_ABI_WITH = {"refer": 2, "truncate": 3, "network": 4, "ioctl": 5, "scope": 6}


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 if there is none."""
    try:
        return call("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def _ruleset(abi: int) -> bytes:
    rights = (1 << 13) - 1
    for bit, name in ((13, "refer"), (14, "truncate"), (15, "ioctl")):
        if abi >= _FIRST_ABI_WITH[name]:
            rights |= 1 << bit
    bind_and_connect = abstract_sockets_and_signals = 3
    fields = [rights]
    if abi >= _FIRST_ABI_WITH["network"]:
        fields.append(bind_and_connect)
    if abi >= _FIRST_ABI_WITH["scope"]:
        fields.append(abstract_sockets_and_signals)
    return struct.pack(f"{len(fields)}Q", *fields)


READ_FILE, READ_FOLDER = 1 << 2, 1 << 3


def restrict_files(readable: Mapping[int, int]) -> None:
    """Refuse all file and (where the kernel can) TCP access for ever, but for reading `readable`.

    readable: open descriptor of a file or directory tree -> READ_FILE | READ_FOLDER. Needs no_new_privs.
    Raises OSError if there is no Landlock.
    """
    attributes = _ruleset(landlock_abi())
    ruleset = call("landlock_create_ruleset", attributes, len(attributes), 0)
    path_beneath = 1
    for descriptor, rights in readable.items():
        call("landlock_add_rule", ruleset, path_beneath, struct.pack("=Qi", rights, descriptor), 0)
    call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)
