# Breaks everything the ending of a program could rest on.
import atexit
import builtins
import gc
import io
import sys
import threading


class Bad(io.StringIO):
    closed = property(lambda self: 1 / 0)

    def flush(self):
        raise SystemExit(0)


sys.stdout = sys.stderr = sys.__stdout__ = Bad()
sys.excepthook = None
threading._shutdown = lambda: 1 / 0
atexit._run_exitfuncs = lambda: 1 / 0
gc.collect = lambda: 1 / 0
for name in ("isinstance", "getattr", "print", "BaseException", "Exception", "any", "type"):
    setattr(builtins, name, None)
del sys.modules["__main__"]
