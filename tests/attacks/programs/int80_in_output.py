# Writes machine code into its own output file, maps that for execution and makes a 32-bit system call.
import ctypes
import os

code = bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3])
os.write(1, code)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, 4096, 5, 2, 1, ctypes.c_long(0))
result = ctypes.CFUNCTYPE(ctypes.c_long)(address)() if address and address < 2**63 else -1
print("PWNED" if result > 0 else "refused", result)
