"""Installed packages that programs may import, as a zygote needs to know them; `distributions.py` finds them."""

from dataclasses import dataclass
from typing import Any

from raymode.errors import SandboxError

INSIDE = "/usr/lib/packages"
"""Where they lie in the private root of L4."""


@dataclass(frozen=True)
class Packages:
    """What programs may import beside the standard library. Paths are real ones, of the host."""

    files: tuple[tuple[str, str], ...] = ()
    """(name in the folder where it is installed, file or tree) of all that may be read."""
    modules: tuple[tuple[str, str], ...] = ()
    """(top-level module, its file or folder)."""
    preload: tuple[str, ...] = ()
    """Modules that every zygote loads."""
    libraries: tuple[tuple[str, str], ...] = ()
    """(name the dynamic linker looks for, file) of the shared libraries outside `files`."""
    address_space: int = 0
    """Bytes to be added to a program's address space, of which little is memory."""

    def setup(self, library_folder: str) -> dict[str, Any]:
        """What a zygote is told: places in the private root of L4 by real path, and what to load."""
        return {
            "files": {real: f"{INSIDE}/{name}" for name, real in self.files},
            "libraries": {file: f"{library_folder}/{name}" for name, file in self.libraries},
            "modules": dict(self.modules),
            "preload": list(self.preload),
        }


NO_PACKAGES = Packages()


class PackageError(SandboxError):
    """A package that was asked for cannot be had: no level of isolation changes that."""
