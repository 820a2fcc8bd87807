# Prints, ends, and burns CPU in an exit handler.
import atexit


def burn():
    while True:
        pass


atexit.register(burn)
print(12)
