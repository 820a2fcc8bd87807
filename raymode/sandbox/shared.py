"""Shared mode, in the child: one process runs a program on all its tests, if the purity gate lets it.

Saves the fork per test. Each run gets a main namespace, standard streams and limits of recursion of its own; the
process is the program's alone and ends with it. The judge trusts nothing of this that could make a wrong program
right: what it cannot explain it runs again, one process per test.
"""

import decimal
import os
import sys
import time
import types

from raymode.sandbox import program
from raymode.sandbox.protocol import GO, IMPURE, LEAKED, PURE, REPORT
from raymode.sandbox.purity import examine

_ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST, without importing ast
_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8
_RECURSION_LIMIT = sys.getrecursionlimit()
_DECIMAL_CONTEXT = decimal.DefaultContext.copy()
_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__", "_")
_INT_DIGITS = sys.get_int_max_str_digits()


def start(tests: int, source: bytes, kept: tuple[int, ...]) -> int:
    """Compile `source` and run it on all tests, or on the first if it is not pure; returns the exit code.

    kept: descriptors of the code, the socket to report to, and (stdin, stdout) of each test.
    """
    code_file, report, *files = kept
    work = program.compile_to(source, code_file)
    if work is None:
        return 1
    code, _ = work
    tree = compile(source, program.FILENAME, "exec", _ONLY_TREE, dont_inherit=True)
    objection, imported = examine(tree)
    if objection:
        os.write(report, IMPURE)
        for descriptor in (report, *files):
            os.close(descriptor)
        return program.run(*work)
    modules = _modules(imported)
    before = _state(modules)
    for test in range(tests):
        os.dup2(files[2 * test], 0)
        os.dup2(files[2 * test + 1], 1)
        os.lseek(0, 0, os.SEEK_SET)  # tests with the same input share a file
        program.make_ready()
        started = time.thread_time()
        status = program.run(code, False)
        _forget()
        used_s = time.thread_time() - started
        os.write(report, PURE + REPORT.pack(status & 0xFF, used_s))
        if status or (test == 0 and os.read(report, len(GO)) != GO):
            return status
    if _state(modules)[0] != before[0]:
        os.write(report, LEAKED)
    return 0


def _forget() -> None:
    """Empty the main module, whose end may still print, and take back what a pure program may set."""
    namespace = sys.modules["__main__"].__dict__
    for name in [name for name in namespace if name != "__builtins__"]:
        namespace[name] = None
    namespace.clear()
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()
    sys.setrecursionlimit(_RECURSION_LIMIT)
    sys.set_int_max_str_digits(_INT_DIGITS)
    decimal.setcontext(_DECIMAL_CONTEXT.copy())


def _modules(imported: list[str]) -> list[dict[str, object]]:
    names = {"builtins", "sys", *imported}
    return [vars(sys.modules[name]) for name in sorted(names) if name in sys.modules]


def _state(modules: list[dict[str, object]]) -> tuple[list[int], list[object]]:
    """Identities of everything that hangs on the modules, and the things themselves, so that none is reused."""
    things: list[object] = []
    for names in modules:
        for name, value in names.items():
            if name not in _STREAMS:
                things.append(value)
                things.extend(_attributes(value))
    return [id(thing) for thing in things], things


def _attributes(value: object) -> list[object]:
    """What a program could have written to a thing that hangs on a module, or to the functions of a class."""
    if isinstance(value, types.ModuleType):
        return []  # looked at by itself where it was imported
    if isinstance(value, type):
        if value.__flags__ & (_HEAP_TYPE | _IMMUTABLE_TYPE) != _HEAP_TYPE:
            return []
        members = list(vars(value).values())
        return members + [each for member in members for each in _written(member)]
    return _written(value)


def _written(value: object) -> list[object]:
    found: list[object] = []
    if isinstance(value, types.FunctionType):
        found += [value.__code__, value.__defaults__, value.__kwdefaults__]
    if not isinstance(value, type | types.ModuleType) and hasattr(value, "__dict__"):
        found += vars(value).values()
    return found
