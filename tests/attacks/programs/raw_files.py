# Makes, changes and removes files by calls that Python seldom uses.
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
target = b"@CANARYDIR@/keep"
made = b"@CANARYDIR@/made"
at = -100
calls = {
    "creat": (85, made, 0o666),
    "truncate": (76, target, 0),
    "rename": (82, target, made),
    "mkdir": (83, made, 0o777),
    "link": (86, target, made),
    "unlink": (87, target),
    "symlink": (88, target, made),
    "chmod": (90, target, 0),
    "chown": (92, target, 0, 0),
    "mknod": (133, made, 0o10666, 0),
    "utimensat": (280, at, target, None, 0),
    "setxattr": (188, target, b"user.x", b"1", 1, 0),
    "openat2": (437, at, target, (ctypes.c_uint64 * 3)(os.O_RDWR, 0, 0), 24),
    "open for writing": (2, target, os.O_WRONLY),
    "open to append": (2, target, os.O_APPEND | os.O_RDWR),
    "O_TMPFILE": (257, at, b"@CANARYDIR@", os.O_TMPFILE | os.O_RDWR, 0o600),
    "truncating read": (257, at, target, os.O_RDONLY | os.O_TRUNC, 0),
    "creating read": (257, at, made, os.O_RDONLY | os.O_CREAT, 0o666),
    "inotify": (294, 0),
    "fanotify": (300, 0, 0),
    "memfd": (319, b"x", 0),
    "swapoff-like sync": (306, 1),
}
for name, (number, *arguments) in calls.items():
    result = libc.syscall(number, *arguments)
    print("PWNED" if result >= 0 else "refused", name, ctypes.get_errno())
