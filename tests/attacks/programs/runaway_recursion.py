# Runs off the end of the C stack.
import functools
import sys

sys.setrecursionlimit(2**31 - 1)


@functools.lru_cache(None)
def down(n):
    return down(n + 1)


down(0)
