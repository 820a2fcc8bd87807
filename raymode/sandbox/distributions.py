"""Finds installed packages that programs may import: the files they need, and whether they load.

They are looked up in the environment this process runs in. A zygote reads their files alone, not the
folder they are installed in.
"""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any

from raymode.config import PACKAGE_NAME
from raymode.sandbox.interpreter import LIST_LIBRARIES, Interpreter, find_interpreter
from raymode.sandbox.packages import PackageError, Packages

_WORK_AREAS = 256 << 20
"""Bytes of address space that a BLAS reserves when it computes, 32 MiB per thread that does."""
_SUFFIXES = (*EXTENSION_SUFFIXES, ".py")
_PROBE = (
    LIST_LIBRARIES
    + """
def address_space():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
asked = json.load(sys.stdin)
with open(asked["preload_file"]) as file:
    exec(file.read())
empty, error = address_space(), ""
try: load(asked["modules"], asked["preload"], True)
except ImportError as failure: error = str(failure)
answer = {
    "error": error, "threads": len(os.listdir("/proc/self/task")), "address_space": address_space() - empty,
    "python": [*sys.version_info[:2], sys.abiflags],
}
for tree in asked["trees"]:
    for folder, _, names in os.walk(tree):
        for name in names:
            if name.endswith(".so") and not folder.endswith("/tests"):
                try: ctypes.CDLL(os.path.join(folder, name))
                except OSError: pass
answer["libraries"] = libraries()
print("\\n" + json.dumps(answer))
"""
)
"""Loads the packages as a zygote does, then every extension module of theirs for the libraries it needs."""


@functools.cache
def find_packages(names: tuple[str, ...]) -> Packages:
    """Describe the distributions `names` and those they require without extras.

    Raises PackageError naming the one that is not installed, or that the base interpreter cannot import.
    """
    found = _with_requirements(names)
    files: dict[str, str] = {}
    modules: dict[str, str] = {}
    preload: list[str] = []
    for number, distribution in enumerate(found.values()):
        own_files, own_modules = _contents(distribution)
        files |= own_files
        modules |= own_modules
        if number < len(names):
            preload += _first_modules(distribution, own_modules)
    interpreter = find_interpreter()
    trees = tuple(files.values())
    answer = _try_out(interpreter, trees, modules, preload)
    known = {file for _, file in interpreter.libraries}
    inside = tuple(f"{tree}/" for tree in (*trees, *interpreter.trees))
    return Packages(
        files=tuple(files.items()),
        modules=tuple(modules.items()),
        preload=tuple(preload),
        libraries=tuple(
            (os.path.basename(path), real)
            for path in answer["libraries"]
            if path.startswith("/")  # not what the kernel itself provides
            and (real := os.path.realpath(path)) not in known and not real.startswith(inside) and real not in trees
        ),
        address_space=answer["address_space"] + _WORK_AREAS,
    )  # fmt: skip


def _with_requirements(names: Sequence[str]) -> dict[str, metadata.Distribution]:
    """The distributions by normalized name, those of `names` first."""
    found: dict[str, metadata.Distribution] = {}
    for name in names:
        found[_normalized(name)] = _installed(name)
    waiting = list(found.values())
    while waiting:
        distribution = waiting.pop()
        for name, is_conditional in _requirements(distribution):
            if _normalized(name) in found:
                continue
            try:
                found[_normalized(name)] = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                if is_conditional:  # on another system or version: what applies here got installed
                    continue
                raise PackageError(
                    f"sandbox.packages: {distribution.name} requires {name!r}, which is not installed; "
                    f"run `pip install {name}`"
                ) from None
            waiting.append(found[_normalized(name)])
    return found


def _installed(name: str) -> metadata.Distribution:
    if not PACKAGE_NAME.fullmatch(name):
        raise PackageError(
            f"sandbox.packages: {name!r} is no name of a package; give names alone, such as numpy"
        )
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        pass
    if name in sys.stdlib_module_names:
        raise PackageError(
            f"sandbox.packages: {name!r} is part of the standard library, which programs have anyway; leave it out"
        )
    owners = metadata.packages_distributions().get(name)
    if owners:
        raise PackageError(
            f"sandbox.packages: {name!r} is a module; name what it is installed as, {owners[0]!r}"
        )
    raise PackageError(
        f"sandbox.packages: {name!r} is not installed in {sys.prefix}, where raymode runs; "
        f"run `{sys.executable} -m pip install {name}` or leave it out"
    )


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements(distribution: metadata.Distribution) -> Iterator[tuple[str, bool]]:
    """(name, whether it is required under a condition only); extras are left out."""
    for requirement in distribution.requires or []:
        wanted, _, marker = requirement.partition(";")
        if not re.search(r"\bextra\b", marker):
            yield re.match(r"[\w.-]+", wanted.strip())[0], bool(marker)  # type: ignore[index]


def _contents(distribution: metadata.Distribution) -> tuple[dict[str, str], dict[str, str]]:
    """Files and trees by name in the folder they are installed in, and top-level modules by name."""
    recorded = [path.parts for path in distribution.files or []]
    if not recorded or any(parts[0].startswith("__editable__") for parts in recorded):
        raise PackageError(
            f"sandbox.packages: {distribution.name} has no list of its files in site-packages "
            f"(an editable or a system package); install it with pip into {sys.prefix}"
        )
    files: dict[str, str] = {}
    modules: dict[str, str] = {}
    for parts in recorded:
        top, suffix = parts[0], _suffix(parts[-1])
        if top in ("..", "/", "__pycache__") or top.endswith((".dist-info", ".egg-info")):
            continue
        if not suffix and not top.endswith(".libs"):
            continue
        place = os.path.realpath(str(distribution.locate_file(top)))
        files[top] = place
        if len(parts) == 1:
            modules[top.removesuffix(suffix)] = place
        elif parts[1:] == (f"__init__{suffix}",):
            modules[top] = f"{place}/{parts[1]}"
        elif top.isidentifier():
            modules.setdefault(top, place)
    return files, modules


def _suffix(name: str) -> str:
    """The ending that makes a file a module of this interpreter; "" if it is none."""
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")


def _first_modules(distribution: metadata.Distribution, modules: dict[str, str]) -> list[str]:
    """What to load beforehand: the module with the distribution's own name, or else all public ones."""
    own = _normalized(distribution.name).replace("-", "_")
    named = [name for name in modules if name.lower() == own]
    chosen = named or [name for name in modules if not name.startswith("_")]
    if not chosen:
        raise PackageError(
            f"sandbox.packages: {distribution.name} holds no module to import; leave it out"
        )
    return chosen


def _try_out(
    interpreter: Interpreter, trees: Sequence[str], modules: dict[str, str], preload: list[str]
) -> dict[str, Any]:
    """Load the packages in the base interpreter, as a zygote will; returns what that took."""
    spec = importlib.util.find_spec("raymode.sandbox.preload")
    assert spec is not None
    asked = {"preload_file": spec.origin, "modules": modules, "preload": preload, "trees": trees}
    result = subprocess.run(
        [interpreter.executable, "-S", "-P", "-B", "-c", _PROBE], input=json.dumps(asked), cwd="/",
        env=interpreter.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise PackageError(
            f"sandbox.packages: loading {', '.join(preload)} ends the interpreter: {reason}"
        )
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    ours, theirs = [*sys.version_info[:2], sys.abiflags], answer["python"]
    if ours != theirs:
        raise PackageError(
            f"sandbox.packages: {interpreter.executable} is Python {_version(theirs)}, the packages are of "
            f"{_version(ours)}; make the virtual environment anew"
        )
    if answer["error"]:
        reason = answer["error"].splitlines()[0]
        raise PackageError(
            f"sandbox.packages: cannot be imported by {interpreter.executable} ({reason}); "
            "add the package it lacks to the list, repair it, or leave it out"
        )
    if answer["threads"] > 1:
        raise PackageError(
            f"sandbox.packages: importing {', '.join(preload)} starts {answer['threads'] - 1} threads, and a "
            "process with threads cannot be forked; leave it out"
        )
    return answer


def _version(parts: list[Any]) -> str:
    return f"{parts[0]}.{parts[1]}{parts[2]}"
