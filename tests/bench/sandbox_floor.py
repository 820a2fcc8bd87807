"""What no judge can beat, measured in an interpreter as small as the sandbox's zygote.

    python -S -P -B sandbox_floor.py MODE < cases.marshal

Uses nothing of raymode and nothing beyond the standard library. Modes:

- fork: for every test a process that ends at once, made and waited for by the C library alone. The child
  runs no Python: `clone` starts it in `_exit`. It shares its memory as after `fork`.
- pyfork: the same through `os.fork` and `os._exit`.
- programs: every program compiled once and executed for every test in this one process, which isolates
  nothing and resets nothing: the cost of the programs themselves.

- memory: nothing but print how much anonymous memory this process has, in KiB.

Standard input holds a marshalled list of (source, inputs, outputs). "programs" writes one character per
program to standard output: "1" if all its tests passed.
"""

import _sitebuiltins
import builtins
import gc
import importlib
import io
import marshal
import os
import signal
import sys

MODULES = """
re string math collections heapq bisect itertools functools operator random copy time io typing
traceback linecache tokenize locale resource threading queue decimal fractions statistics
"""
"""What a zygote holds before it forks."""
_STACK = 1 << 16

Case = tuple[str, list[str], list[str]]


def fork_in_c(cases: list[Case]) -> None:
    """One process per test that ends before it runs any Python."""
    import ctypes
    import mmap

    library = ctypes.CDLL(None)
    library.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    stack = mmap.mmap(-1, _STACK)
    top = ctypes.addressof(ctypes.c_char.from_buffer(stack)) + _STACK
    end = ctypes.cast(library._exit, ctypes.c_void_p)
    for _, inputs, _ in cases:
        for _ in inputs:
            pid = library.clone(end, top, signal.SIGCHLD, 0)
            if library.waitpid(pid, None, 0) != pid:
                raise OSError("clone failed")


def fork_in_python(cases: list[Case]) -> None:
    """One process per test that ends with its first statement."""
    gc.collect()
    gc.freeze()
    for _, inputs, _ in cases:
        for _ in inputs:
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)


def run_programs(cases: list[Case]) -> None:
    """Execute every program for every test, up to its first failure, in this process."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    answer = os.dup(1)
    files = os.memfd_create("stdin"), os.memfd_create("stdout")
    passed = "".join("01"[_passes(*case, files)] for case in cases)
    os.write(answer, passed.encode())


def _passes(source: str, inputs: list[str], outputs: list[str], files: tuple[int, int]) -> bool:
    code = compile(source, "program.py", "exec")
    return all(
        _run(code, given, files) == out.split() for given, out in zip(inputs, outputs, strict=True)
    )


def _run(code: object, given: str, files: tuple[int, int]) -> list[str] | None:
    """What the program printed, as tokens; None if it ended with an exception.

    Programs read, write and close descriptors too, not only sys.stdin.
    """
    for descriptor, file in enumerate(files):
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.dup2(file, descriptor)
    os.pwrite(0, given.encode(), 0)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    try:
        exec(code, {"__name__": "__main__"})  # type: ignore[call-overload]
    except SystemExit as stop:
        if stop.code:
            return None
    except BaseException:
        return None
    sys.stdout.flush()
    return os.pread(files[1], os.fstat(files[1]).st_size, 0).decode().split()


def print_memory(_: list[Case]) -> None:
    """Print RssAnon of this process: what a fork has to copy the page tables of."""
    with open("/proc/self/status") as lines:
        os.write(1, next(line.split()[1] for line in lines if line.startswith("RssAnon")).encode())


MODES = {
    "fork": fork_in_c, "pyfork": fork_in_python, "programs": run_programs, "memory": print_memory,
}  # fmt: skip


def main() -> None:
    """Do what the mode says with the cases on standard input."""
    # As in the zygote: modules that register a handler for forks make every fork dearer.
    os.register_at_fork = lambda **handlers: None  # type: ignore[assignment]
    for name in MODULES.split():
        importlib.import_module(name)
    cases = marshal.loads(sys.stdin.buffer.read())
    MODES[sys.argv[1]](cases)
    os._exit(0)


if __name__ == "__main__":
    main()
