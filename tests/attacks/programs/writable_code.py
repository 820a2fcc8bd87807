# Memory that is writable and executable, at once or one after the other.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
failed = 2**64 - 1
for protection, flags in ((7, 0x22), (6, 0x22), (5, 0x22), (7, 0x21), (5, 0x21)):
    address = libc.mmap(None, 4096, protection, flags, -1, ctypes.c_long(0))
    print("refused" if address == failed else "PWNED", protection, hex(flags))
address = libc.mmap(None, 4096, 3, 0x22, -1, ctypes.c_long(0))
for protection in (5, 7):
    result = libc.mprotect(ctypes.c_void_p(address), 4096, protection)
    print("PWNED mprotect" if result == 0 else "refused", protection)
result = libc.syscall(329, ctypes.c_void_p(address), 4096, 5, -1)
print("PWNED pkey_mprotect" if result == 0 else "refused")
