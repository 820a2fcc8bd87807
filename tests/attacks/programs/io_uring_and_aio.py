# Asynchronous input and output, which would run behind the filter.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(256)
print("PWNED aio" if libc.syscall(206, 1, buffer) >= 0 else "refused aio", flush=True)
for number in (425, 426, 427):
    print("PWNED" if libc.syscall(number, 8, buffer, 0, 0, 0, 0) >= 0 else "refused", number)
