"""The program inside: a warm interpreter that shuts itself in and forks one child per test.

Started by `client.py` as a fresh interpreter with an empty environment; it holds the socket to the judge,
the program and the input of the moment, and never an expected output. The first process stays outside as a
monitor that ends the zygote when the owner ends; the second is the zygote (process 1 of its own process
namespace at L4); then come the children, one per compilation and one per test.

Nothing here trusts what a child does: it counts only through its exit status, its resource usage and the
bytes in its output files.
"""

import _sitebuiltins
import builtins
import gc
import importlib
import marshal
import os
import random
import sys

from raymode.sandbox import program
from raymode.sandbox.enclosure import FIRST_KEPT, Enclosure, Setup, enter, shut_in
from raymode.sandbox.loops import serve, stand_by
from raymode.sandbox.protocol import FAILED, NOT_LOADED, READY
from raymode.sandbox.words import words

CORE = words(
    """
    re string math collections heapq bisect itertools functools operator random copy time io typing
    traceback linecache tokenize locale encodings.utf_8 encodings.ascii encodings.latin_1 resource
    threading queue decimal fractions statistics
    """
)
ALL = words(
    """
    cmath datetime array enum dataclasses contextlib textwrap pprint numbers abc codecs unicodedata
    _strptime calendar hashlib zlib binascii base64 json ast inspect types weakref bz2 lzma keyword
    stat tempfile shutil glob fnmatch errno warnings concurrent.futures.thread secrets timeit struct
    selectors subprocess platform uuid csv asyncio fileinput sqlite3 ctypes mmap pickle
    xml.dom.minidom http.client zoneinfo graphlib encodings.utf_7 encodings.utf_16 encodings.cp1252
    encodings.idna urllib.request multiprocessing.pool multiprocessing.shared_memory
    """
)
"""Loaded beforehand at L2, where no file can be opened any more."""

_SOCKET_NUMBER, _OWNER_NUMBER, _MAPS_NUMBER = 60, 61, 62  # out of the way of what children keep
_LARGEST_SETUP = 1 << 20


def main(descriptor: int) -> None:
    """Serve the judge at the other end of `descriptor` until it hangs up."""
    _move(descriptor, _SOCKET_NUMBER)
    setup: Setup = marshal.loads(os.read(_SOCKET_NUMBER, _LARGEST_SETUP))
    shared: program.Shared | None = None
    if setup["shared"]:  # here, because no file of this package can be read once shut in
        from raymode.sandbox.shared import start

        shared = start
    if setup["packages"]:
        importlib.import_module("raymode.sandbox.preload")
    try:
        # Opened while they can be seen from here.
        _move(os.pidfd_open(setup["owner_pid"]), _OWNER_NUMBER)
        _move(os.open("/proc/self/maps", os.O_RDONLY), _MAPS_NUMBER)
        zygote, enclosure = enter(setup)
        if zygote:
            os.close(_SOCKET_NUMBER)
            stand_by(_OWNER_NUMBER, os.pidfd_open(zygote), zygote, _MAPS_NUMBER)
        os.close(_OWNER_NUMBER)
        os.close(_MAPS_NUMBER)
        other_tasks = enclosure.other_tasks  # counted while there is a /proc
        _prepare(setup, enclosure)
    except _NotLoaded as error:
        os.write(_SOCKET_NUMBER, NOT_LOADED + str(error).encode())
        os._exit(1)
    except (OSError, ImportError) as error:  # this host does not allow the level
        os.write(_SOCKET_NUMBER, FAILED + f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    _serve(setup, enclosure, other_tasks, shared)


class _NotLoaded(Exception):
    """A package that programs may import cannot be loaded in here."""


def _move(descriptor: int, number: int) -> None:
    if descriptor == number:
        os.set_inheritable(descriptor, False)
        return
    os.dup2(descriptor, number, inheritable=False)
    os.close(descriptor)


def _prepare(setup: Setup, enclosure: Enclosure) -> None:
    """Look like `python solution.py` with the usual modules loaded, then shut in."""
    os.environ.clear()
    os.environ.update(HOME="/box", LC_ALL="C.UTF-8", PATH="/usr/bin")
    for name in [*CORE, *(ALL if enclosure.level == "L2" else setup["modules"])]:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:  # an interpreter built without it
            continue
    if setup["packages"]:
        _load_packages(setup["packages"], enclosure)
    shut_in(enclosure, setup["base_filter"])
    random.seed(0)  # unseeded programs get the same verdict every time
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    builtins.help = _sitebuiltins._Helper()
    sys.argv = ["solution.py"]


def _load_packages(packages: Setup, enclosure: Enclosure) -> None:
    from raymode.sandbox.preload import load

    places = {name: enclosure.place(path) for name, path in packages["modules"].items()}
    try:
        load(places, packages["preload"], everything=enclosure.level == "L2")
    except ImportError as error:
        raise _NotLoaded(str(error)) from error


def _serve(
    setup: Setup, enclosure: Enclosure, other_tasks: int, shared: program.Shared | None
) -> None:
    """Fork children until the judge hangs up; in a child, do its work and end."""
    given = (
        _SOCKET_NUMBER,
        FIRST_KEPT + enclosure.kept,
        other_tasks,
        bytearray(setup["child_filter"]),
        setup["own_pid"],
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "raymode"]:
        del sys.modules[name]
    program.make_ready()
    gc.collect()
    gc.freeze()
    os.write(_SOCKET_NUMBER, READY)
    work = serve(*given)
    if work is None:
        os._exit(0)
    program.do(*work, shared)
