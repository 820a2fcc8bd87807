# Sends signals to others by every call that can.
import ctypes
import fcntl
import os
import signal

libc = ctypes.CDLL(None, use_errno=True)
info = ctypes.create_string_buffer(128)
for pid in (1, os.getppid(), @PID@, -1, 0):
    for name, number, arguments in (
        ("kill", 62, (pid, 9)),
        ("tkill", 200, (pid, 9)),
        ("tgkill", 234, (pid, pid, 9)),
        ("rt_sigqueueinfo", 129, (pid, 9, info)),
        ("rt_tgsigqueueinfo", 297, (pid, pid, 9, info)),
        ("pidfd_open", 434, (pid, 0)),
        ("pidfd_send_signal", 424, (0, 9, None, 0)),
    ):
        result = libc.syscall(number, *arguments)
        print("PWNED" if result >= 0 else "refused", name, pid, ctypes.get_errno())
for command in (fcntl.F_SETOWN, 10, 15, 1024, 1026, 1031, 1033):
    for number in (0, 1):
        try:
            fcntl.fcntl(number, command, 1)
            print("PWNED fcntl", command)
        except OSError as error:
            print("refused fcntl", command, error.errno)
try:
    signal.raise_signal(signal.SIGKILL)
    print("PWNED survived SIGKILL")
except OSError as error:
    print("refused to kill itself", error.errno)
