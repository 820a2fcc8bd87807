"""What an import binds, `from module import *` of the standard modules that programs use included.

Only modules that do nothing when imported are asked; the names of any other module stay unknown.
"""

import ast
import importlib
from collections.abc import Iterable
from functools import cache

_MODULES = frozenset(
    [
        "array",
        "bisect",
        "builtins",
        "cmath",
        "collections",
        "copy",
        "datetime",
        "decimal",
        "fractions",
        "functools",
        "heapq",
        "io",
        "itertools",
        "json",
        "math",
        "operator",
        "queue",
        "random",
        "re",
        "statistics",
        "string",
        "sys",
        "typing",
    ]
)
_TYPING_ALIASES = frozenset({"Counter", "OrderedDict"})  # typing's own are the same containers


def bound_name(alias: ast.alias) -> str:
    """Return the name that an import binds: `import os.path` binds `os`."""
    return alias.asname or alias.name.partition(".")[0]


def import_path(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """Return the full path of the object an import's name stands for, such as `heapq.heappush`."""
    if isinstance(node, ast.ImportFrom):
        return f"{'.' * node.level}{node.module or ''}.{alias.name}"
    return alias.name if alias.asname else alias.name.partition(".")[0]


@cache
def exported(module: str) -> frozenset[str] | None:
    """Return the names that a star import of `module` binds; None if that is not known."""
    if module not in _MODULES:
        return None
    found = importlib.import_module(module)
    public = [name for name in vars(found) if not name.startswith("_")]
    return frozenset(getattr(found, "__all__", public))


def star_path(name: str, modules: Iterable[str]) -> str | None:
    """Return the path of the object that `name` stands for after star imports of `modules`.

    The last module that has the name wins. None for a builtin, for a name that none of the modules
    has, and if a later module, whose names are not known, may have it.
    """
    path: str | None = None
    for module in modules:
        names = exported(module)
        if names is None:
            path = None
        elif name in names:
            aliased = module == "typing" and name in _TYPING_ALIASES
            path = f"{'collections' if aliased else module}.{name}"
    return None if path is None or path.startswith("builtins.") else path
