# Opens all the descriptors and pipes it can and fills them.
import os

pipes = []
try:
    while True:
        pipes.append(os.pipe())
except OSError as error:
    print("PWNED" if len(pipes) > 512 else "bounded", len(pipes), error.errno)
for _, end in pipes:
    os.set_blocking(end, False)
    try:
        while True:
            os.write(end, b"x" * 65536)
    except OSError:
        pass
