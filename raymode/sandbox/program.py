"""What a child does: compile a source, or run a program as `python solution.py` would.

Everything a program could have replaced (builtins, sys, os ...) is taken hold of at import, before any
program runs, and a child never returns from here: it ends in `os._exit`.
"""

import atexit
import builtins
import contextlib
import gc
import io
import marshal
import os
import sys
import threading
import types
from typing import TextIO

FILENAME = "/box/solution.py"
_exit = os._exit
_BaseException, _SystemExit, _isinstance, _int = BaseException, SystemExit, isinstance, int
_print, _exec = print, exec
_REACT_TO_THEIR_END = {
    io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom,
    types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType,
}  # fmt: skip


def open_stdio() -> None:
    """Make sys.stdin, stdout and stderr over descriptors 0, 1 and 2, as the interpreter makes them.

    Done once in the zygote: the children inherit the objects and only exchange the descriptors below.
    """
    for number, name, mode, errors in (
        (0, "stdin", "r", "surrogateescape"),
        (1, "stdout", "w", "surrogateescape"),
        (2, "stderr", "w", "backslashreplace"),
    ):
        raw = io.FileIO(number, mode, closefd=False)
        raw.name = f"<{name}>"
        buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        text = io.TextIOWrapper(buffer, "utf-8", errors, "\n", line_buffering=name == "stderr")
        text.mode = mode  # type: ignore[misc]
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def compile_to(source: bytes, output: int) -> None:
    """Compile `source` (any encoding it declares), write the marshalled code, end the process.

    Exit code 0 with the code in `output`, or 1 with the reason on standard error.
    """
    status = 1
    try:
        code = marshal.dumps(compile(source, FILENAME, "exec", dont_inherit=True))
        while code:
            code = code[os.write(output, code) :]
        status = 0
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
    finally:
        _exit(status)


def run_program(code: bytes) -> None:
    """Run marshalled `code` as the main module and end the process with its exit code."""
    status = 70
    stdout = sys.__stdout__
    try:
        gc.enable()
        status = _finish(_execute(code), stdout, b"__del__" in code)
    finally:
        _exit(status & 0xFF)


def _execute(code: bytes) -> int:
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __file__=FILENAME, __cached__=None)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    try:
        _exec(marshal.loads(code), main.__dict__)
    except _SystemExit as stop:
        return _exit_code(stop.code)
    except _BaseException:
        kind, error, trace = sys.exc_info()
        assert kind is not None
        assert error is not None
        sys.excepthook(kind, error, trace and trace.tb_next)
        return 1
    return 0


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if _isinstance(code, _int):
        return code  # type: ignore[return-value]
    _print(code, file=sys.stderr)
    return 1


def _finish(status: int, stdout: TextIO | None, has_finalizers: bool) -> int:
    """End as the interpreter does: threads, atexit, flush; 120 if standard output cannot be written.

    The interpreter then empties the main module. That matters (and costs) only where something in there
    reacts to its end. Every page touched here is copied, so what need not be called is not called.
    """
    if len(threading._active) > 1 or threading._threading_atexits:  # type: ignore[attr-defined]
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    status = _flush(status, stdout)
    namespace = sys.modules["__main__"].__dict__
    if has_finalizers or not _REACT_TO_THEIR_END.isdisjoint(map(type, namespace.values())):
        for name in [name for name in namespace if name != "__builtins__"]:
            namespace[name] = None
        if has_finalizers:
            gc.collect()
        status = _flush(status, stdout)
    return status


def _flush(status: int, stdout: TextIO | None) -> int:
    """Flush sys.stdout, whose failure counts, and the standard output the program began with."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except (OSError, ValueError):
        status = status or 120
    if stdout is not None and sys.stdout is not stdout:
        with contextlib.suppress(OSError, ValueError):  # closed or detached: nothing left in it
            stdout.flush()
    return status
