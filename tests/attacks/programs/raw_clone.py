# Starts processes behind the C library's back: clone with many flags, vfork, fork.
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
me = os.getpid()
for flags in (17, 0, 0x4000 | 17, 0x100, 0x11200011, 0x7E020011, 0x01200011, 0x80000000 | 17):
    result = libc.syscall(56, flags, 0, 0, 0, 0)
    if result == 0 and os.getpid() != me or result > 0:
        print("PWNED clone", hex(flags), flush=True)
        os._exit(0)
    print("refused", hex(flags), ctypes.get_errno())
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
result = libc.syscall(435, arguments, 88)
print("PWNED clone3" if result >= 0 else "refused", ctypes.get_errno())
