# The same with a system call of the x32 numbering.
import ctypes
import os

code = bytes([0xB8, 39, 0, 0, 0x40, 0x0F, 0x05, 0xC3])
os.write(1, code)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, 4096, 5, 2, 1, ctypes.c_long(0))
result = ctypes.CFUNCTYPE(ctypes.c_long)(address)() if address and address < 2**63 else -1
print("PWNED" if result > 0 else "refused", result)
