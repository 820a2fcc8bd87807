"""Makes allowed packages importable and loads them: in a zygote before it shuts in, and once outside to see what it takes.

`distributions.py` runs this file by itself in the base interpreter: it imports nothing of raymode.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType

_THREADS = ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMEXPR")
"""Libraries whose number of threads is read from the environment when they are loaded."""
_LATE = ("char", "ctypeslib", "fft", "linalg", "ma", "polynomial", "random", "rec", "strings")
"""What numpy itself loads at its first use, and every program would load again."""


class AllowedPackages:
    """Finds top-level modules at known places and looks nowhere else, so that nothing else needs to be listed."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        """modules: name -> its file, `__init__` for a package; a folder for a package without one."""
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        place = self._modules.get(name)
        if place is None:
            return None
        folder, _, file = place.rpartition("/")
        if file.startswith("__init__."):
            return spec_from_file_location(name, place, submodule_search_locations=[folder])
        if file.endswith((".py", ".so")):
            return spec_from_file_location(name, place)
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [place]
        return spec


def load(modules: Mapping[str, str], names: Iterable[str], everything: bool) -> None:
    """Make `modules` (see `AllowedPackages`) importable and import `names`, without any thread beside this one.

    everything: also what `from name import *` would load, for where no file can be opened later. Leaves the
    environment as it was. Raises ImportError naming the module that cannot be imported.
    """
    settings = {f"{library}_NUM_THREADS": "1" for library in _THREADS}
    os.environ.update(settings)
    sys.meta_path.append(AllowedPackages(modules))
    for name in names:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # whatever a package's own code raises
            raise ImportError(f"{name}: {type(error).__name__}: {error}") from error
        for part in getattr(module, "__all__", ()) if everything else ():
            with contextlib.suppress(AttributeError, ImportError):  # not there for programs either
                getattr(module, part)
    if "numpy" in sys.modules:
        _prepare_numpy(sys.modules["numpy"])
    for name in settings:
        del os.environ[name]


def _prepare_numpy(numpy: ModuleType) -> None:
    for name in _LATE:
        with contextlib.suppress(ModuleNotFoundError):  # older releases have not all of them
            importlib.import_module(f"numpy.{name}")
    numpy.random.seed(0)  # unseeded programs get the same verdict every time
