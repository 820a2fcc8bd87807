"""What a child does: compile a source, or run a program as `python solution.py` would.

Everything a program could have replaced (builtins, sys, os ...) is taken hold of at import, before any
program runs, and a child never returns from here: it ends in `os._exit`.
"""

import atexit
import builtins
import gc
import io
import marshal
import os
import re
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, TextIO

from raymode.sandbox.loops import leaves_nothing
from raymode.sandbox.protocol import COMPLETE, START

FILENAME = "/box/solution.py"
_exit = os._exit
_BaseException, _SystemExit, _isinstance, _int = BaseException, SystemExit, isinstance, int
_issubclass, _type, _print, _exec = issubclass, type, print, exec
_run_exitfuncs, _ncallbacks = atexit._run_exitfuncs, atexit._ncallbacks
_leaves_nothing = leaves_nothing
_REACTS = re.compile(
    rb"__del__|finalize|fdopen|TextIOWrapper|BufferedWriter|BufferedRandom|\bopen\b(?!\s*\(\s*0\s*[,)])"
)
_CLEANS_UP = re.compile(rb"\b(?:finally|except|with)\b")
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_REACT_TO_THEIR_END = (
    *_FILES, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType,
)  # fmt: skip
_SYS = sys.__dict__
_MAIN = types.ModuleType("__main__")
_NAMESPACE = _MAIN.__dict__
_FRESH = {**_NAMESPACE, "__builtins__": builtins, "__file__": FILENAME, "__cached__": None}
_ENDING = (
    _NAMESPACE,
    _REACT_TO_THEIR_END,
    threading._active,  # type: ignore[attr-defined]
    threading._threading_atexits,  # type: ignore[attr-defined]
)
_STREAMS = ("stdin", "stdout", "stderr")
_STDOUT: list[TextIO] = []
_STDERR: list[TextIO] = []


def make_ready() -> None:
    """Make in the zygote what every child would make otherwise: standard streams and the main module."""
    open_stdio()
    _NAMESPACE.update(_FRESH)
    if sys.version_info < (3, 14):
        _MAIN.__annotations__ = {}
    sys.modules["__main__"] = _MAIN


def open_stdio() -> None:
    """Make sys.stdin, stdout and stderr over descriptors 0, 1 and 2, as the interpreter makes them.

    Children inherit the objects; only the files behind the descriptors are exchanged.
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
    _STDOUT[:], _STDERR[:] = [sys.stdout], [sys.stderr]


Shared = Callable[[int, bytes, tuple[int, ...]], int]


def do(
    operation: int, tests: int, data: bytes, kept: tuple[int, ...], shared: Shared | None
) -> None:
    """Do the work of a child, which ends with it; see `protocol` for what is asked.

    shared: what runs all tests in this child, if this zygote may be asked to.
    """
    status = 70
    try:
        if operation != START:
            status = run(*marshal.loads(data))
        elif shared is not None and len(kept) > 1:
            status = shared(tests, data, kept)
        else:
            work = compile_to(data, kept[0])
            if work is None:
                status = 1
            else:
                status = run(*work) if tests else 0
    finally:
        _exit(status & 0xFF)


def compile_to(source: bytes, output: int) -> tuple[types.CodeType, bool] | None:
    """Compile `source` (any encoding it declares), write the marshalled arguments of `run` to `output`, close that.

    Returns these arguments, or None, having written nothing, with the reason on standard error, if it does not compile.
    """
    try:
        code = compile(source, FILENAME, "exec", dont_inherit=True)
        work = code, reacts_to_its_end(source)
        marshalled = marshal.dumps(work)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
        return None
    marshalled += COMPLETE
    try:
        while marshalled:
            marshalled = marshalled[os.write(output, marshalled) :]
    except OSError:
        return (
            None  # larger than this program's files may be: the judge asks again, to compile only
        )
    finally:
        os.close(output)
    return work


def reacts_to_its_end(source: bytes) -> bool:
    """Whether a program may hold what acts when it is torn down: finalizers, files, generators with something to do."""
    return _REACTS.search(source) is not None or (
        b"yield" in source and _CLEANS_UP.search(source) is not None
    )


def run(code: types.CodeType, has_finalizers: bool) -> int:
    """Run `code` as the main module to its very end; returns the exit code.

    One function, and short ways where nothing is left to do: a child copies every page it writes to, and
    each function called or object named is such a page.
    """
    status = 0
    try:
        _exec(code, _NAMESPACE)
    except _SystemExit as stop:
        status = _exit_code(stop.code)
    except _BaseException:
        status = _report()
    if has_finalizers or _ncallbacks() or not _leaves_nothing(_ENDING):
        return _finish(status, has_finalizers)
    if _SYS.get("stdout") is not _STDOUT[0]:
        _flush_after_main()
    return _flush(status)


def _report() -> int:
    """Tell of the exception under way by the program's own hook, if it does not fail; returns the exit code."""
    kind, error, trace = sys.exc_info()
    assert kind is not None
    assert error is not None
    trace = trace and trace.tb_next  # without the frame of `run`
    _flush_after_main()
    try:
        sys.excepthook(kind, error, trace)
    except _SystemExit as stop:
        return _exit_code(stop.code)
    except _BaseException:
        _print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(*sys.exc_info())
        _print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(kind, error, trace)
    return 1


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if _isinstance(code, _int):
        number = _int.__add__(code, 0)  # type: ignore[operator]
        return number if -(1 << 63) <= number < 1 << 63 else 255
    _print(code, file=sys.stderr)
    return 1


def _finish(status: int, has_finalizers: bool) -> int:
    """End as the interpreter does: threads, atexit, flush, then empty the main module.

    The last matters only where something in there reacts to its end.
    """
    _flush_after_main()
    try:  # noqa: SIM105 - `suppress` needs builtins that the program may have replaced
        threading._shutdown()  # type: ignore[attr-defined]
    except _BaseException:
        pass
    _run_exitfuncs()
    status = _flush(status)
    for name in _STREAMS:
        _SYS[name] = _SYS.get(f"__{name}__")
    for name in [name for name in _NAMESPACE if name != "__builtins__"]:
        _NAMESPACE[name] = None
    if has_finalizers:
        _flush_files()
        gc.collect()
    _flush(status)  # as there, what fails this late changes nothing
    return status


def _flush_files() -> None:
    """Flush the files that outlive the main module: the collector may close what lies below them first."""
    for thing in gc.get_objects():
        if _issubclass(_type(thing), _FILES):
            _is_flushed(thing)


def _flush_after_main() -> None:
    """Flush the standard streams as the interpreter does when the main module has ended, whatever comes of it."""
    _is_flushed(_SYS.get("stderr"))
    _is_flushed(_SYS.get("stdout"))


def _flush(status: int) -> int:
    """Flush the standard streams as the interpreter does at its end; 120 if one cannot be, and nothing went wrong."""
    flushed = _is_flushed(_SYS.get("stdout"))
    if _SYS.get("stderr") is not _STDERR[0]:  # its own is never behind
        flushed = _is_flushed(_SYS.get("stderr")) and flushed
    if _SYS.get("stdout") is not _STDOUT[0]:
        _is_flushed(_STDOUT[0])  # if it cannot be, it was closed or detached: nothing is left in it
    return status if flushed else status or 120


def _is_flushed(stream: Any) -> bool:
    """Flush a stream, whatever a program has put in its place."""
    if stream is None:
        return True
    try:
        if stream.closed:
            return True
    except _BaseException:
        pass
    try:
        stream.flush()
    except _BaseException:
        return False
    return True
