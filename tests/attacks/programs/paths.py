# Leaves the library by dots, links and the folders where packages are installed.
import os
import sys

library = os.path.dirname(os.__file__)
for path in (
    library + "/../../../etc/passwd",
    library + "/../../../../../../../etc/passwd",
    "/proc/self/root/etc/passwd",
    "/proc/thread-self/root/etc/passwd",
    "/proc/1/cwd/etc/passwd",
    "/dev/stdin/../../etc/passwd",
    "/sys/kernel/notes",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/shm",
    "/run/secrets",
):
    try:
        print("PWNED", path, os.read(os.open(path, os.O_RDONLY), 16))
    except OSError as error:
        print("refused", path, error.errno)
left = 500
for entry in sys.path:
    packages = os.path.join(entry, "site-packages")
    for folder, _, names in os.walk(packages):
        for name in names[:left]:
            left -= 1
            try:
                open(os.path.join(folder, name), "rb").read(1)
                print("PWNED", folder, name)
                sys.exit()
            except OSError:
                pass
        if left <= 0:
            break  # an installation may hold thousands of folders
print("done")
