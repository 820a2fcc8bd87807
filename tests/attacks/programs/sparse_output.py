# Makes its output file enormous without writing much.
import os

for action in (
    lambda: os.ftruncate(1, 1 << 40),
    lambda: os.pwrite(1, b"x", 1 << 40),
    lambda: os.posix_fallocate(1, 0, 1 << 40),
    lambda: os.truncate(1, 1 << 40),
    lambda: os.ftruncate(2, 1 << 40),
):
    try:
        action()
        print("PWNED")
    except OSError as error:
        print("refused", error.errno)
os.lseek(1, 1 << 40, os.SEEK_SET)
