"""Which Python runs the programs, and the files it needs: found by asking that interpreter itself.

The programs run under the base interpreter of the current one (never a virtual environment), so that
they see the standard library and nothing that happens to be installed here.
"""

import functools
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raymode.errors import SandboxError
from raymode.sandbox import seccomp

LIST_LIBRARIES = """
import ctypes, json, os, sys
class Info(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]
def libraries():
    names = set()
    def visit(info, size, data):
        names.add(info.contents.name.decode())
        return 0
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(kind(visit), None)
    return sorted(names)
"""
"""Begins a program: `libraries()` lists the shared objects it has loaded."""
# Loads every extension module of the standard library and lists the shared objects that came with them.
_PROBE = (
    LIST_LIBRARIES
    + """
for folder in [p for p in sys.path if p.endswith("lib-dynload")]:
    for name in sorted(os.listdir(folder)):
        if name.endswith(".so") and not name.startswith(("_test", "xx", "_tkinter")):
            try: ctypes.CDLL(os.path.join(folder, name))
            except OSError: pass
print(json.dumps({"path": sys.path, "libraries": libraries()}))
"""
)
_THIRD_PARTY = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Interpreter:
    """An interpreter and the files a program may see. Paths are real ones, of the host."""

    executable: str
    import_path: tuple[str, ...]
    """sys.path: the standard library and its extension modules."""
    trees: tuple[str, ...]
    """Directories behind `import_path`, none inside another."""
    hidden: tuple[str, ...]
    """Directories inside `trees` where packages are installed."""
    libraries: tuple[tuple[str, str], ...]
    """(name the dynamic linker looks for, file) of the shared libraries outside `trees`."""
    library_folder: str
    """A folder the dynamic linker searches by itself: where the C library is."""
    environment: dict[str, str]
    """The whole environment the interpreter starts with: nothing of the caller's."""

    def inside(self, path: str) -> str:
        """Where `path`, in one of `trees`, lies in the private root of L4."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for number, tree in enumerate(self.trees):
            if path == tree or path.startswith(tree + "/"):
                return (
                    f"/usr/lib/python{version}{f'-{number}' if number else ''}{path[len(tree) :]}"
                )
        raise ValueError(f"{path} is not in the interpreter's library")

    def setup(
        self,
        level: str,
        owner_pid: int,
        shared: bool,
        modules: Sequence[str],
        packages: dict[str, Any],
    ) -> dict[str, Any]:
        """What a zygote of this interpreter needs to know before it shuts itself in; paths are absolute.

        trees, libraries: what a program may read or load -> where it lies in the private root of L4.
        hidden: directories inside the trees that it may not read. owner_pid: the process whose end is the
        zygote's end. shared: whether programs may run on all their tests in one process. modules: standard ones to
        load beside those that are always loaded. packages: see
        `Packages.setup`, {} for none. base_filter, child_filter, own_pid: see `seccomp`; empty at level
        "unsafe".
        """
        instructions, own_pid = seccomp.program_filter()
        safe = level != "unsafe"
        return {
            "level": level,
            "owner_pid": owner_pid,
            "trees": {tree: self.inside(tree) for tree in self.trees},
            "hidden": list(self.hidden),
            "libraries": {file: f"{self.library_folder}/{name}" for name, file in self.libraries}
            | packages.get("libraries", {}),
            "base_filter": b"".join(seccomp.base_filter(may_open=level != "L2")) if safe else b"",
            "child_filter": b"".join(instructions) if safe else b"",
            "own_pid": own_pid,
            "shared": shared,
            "modules": list(modules),
            "packages": packages,
        }


_STARTS = 3


@functools.cache
def find_interpreter() -> Interpreter:
    """Describe the base interpreter of this process. Raises SandboxError if it does not start."""
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    environment = {
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
        "MALLOC_ARENA_MAX": "1",
        "LD_BIND_NOW": "1",  # else every child looks up the same symbols again
    }
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        environment["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR") or ""
    command = [executable, "-S", "-P", "-B", "-c", _PROBE]
    for _ in range(_STARTS):
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode >= 0:
            break  # else somebody killed it, which says nothing about it
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise SandboxError(
            f"sandbox: the interpreter {executable} does not start by itself: {reason}"
        )
    return _describe(executable, environment, json.loads(result.stdout))


def _describe(
    executable: str, environment: dict[str, str], found: dict[str, list[str]]
) -> Interpreter:
    import_path = [p for p in found["path"] if os.path.exists(p)]
    trees: list[str] = []
    for path in sorted(import_path, key=len):
        if not any(path.startswith(tree + "/") for tree in trees):
            trees.append(path)
    files = [p for p in found["libraries"] if p.startswith("/") and not p.startswith(tuple(trees))]
    c_library = next(
        (p for p in files if os.path.basename(p).startswith(("libc.so", "ld-musl"))), files[0]
    )
    return Interpreter(
        executable,
        import_path=tuple(import_path),
        trees=tuple(trees),
        hidden=tuple(f"{t}/{n}" for t in trees for n in _THIRD_PARTY if os.path.isdir(f"{t}/{n}")),
        libraries=tuple((os.path.basename(p), os.path.realpath(p)) for p in files),
        library_folder=os.path.realpath(os.path.dirname(c_library)),
        environment=environment,
    )
