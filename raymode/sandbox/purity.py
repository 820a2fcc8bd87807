"""Whether a program may run on all its tests in one process: a static gate, strict and cheap.

What survives from one test to the next is state outside the program's own namespace, which is made anew for
each: attributes of modules and of their classes, handlers, threads, open files, the environment. A program
passes if its syntax shows that it does not reach such state: it imports only modules from a list, uses them only
as `module.name`, writes no attribute of anything imported, and calls nothing that reaches names by strings. When in
doubt it does not pass, which costs time and nothing else.

This is a filter for honest programs, not a wall: the wall is the process. What a program could gain by slipping
through is to know of the tests before; `shared.py` looks again after the last test, failures run again one by one,
and a sample of what was accepted does too.
"""

import importlib
import types
from _ast import AST
from collections.abc import Iterator

from raymode.sandbox.words import words

_ANY = ""
_MODULES = {
    **dict.fromkeys(
        words(
            """
            math cmath heapq bisect itertools collections collections.abc string fractions
            statistics copy array queue operator decimal
            """
        ),
        _ANY,
    ),
    "__future__": "annotations division print_function generator_stop",
    "functools": "reduce lru_cache cache cmp_to_key partial total_ordering",
    "io": "BytesIO StringIO",
    "os": "read fstat write",
    # Not the flags, whose attributes can be set.
    "re": "compile match fullmatch search findall finditer split sub subn escape",
    # Only what stands for types that cannot be changed; others evaluate texts, or keep what they are given.
    "typing": "List Dict Tuple Set FrozenSet Deque DefaultDict Optional Union Any TypeVar Generic",
    "sys": "stdin stdout stderr maxsize setrecursionlimit getrecursionlimit exit version_info byteorder",
}
"""Module -> the names of it that may be used; `_ANY`: all it makes public, other modules not among them."""
_FORBIDDEN_MEMBERS = frozenset(
    words(
        """
        attrgetter methodcaller update_wrapper singledispatch partialmethod Formatter
        setcontext DefaultContext BasicContext ExtendedContext
        """
    )
)
_FORBIDDEN_NAMES = _FORBIDDEN_MEMBERS | frozenset(
    words(
        """
        eval exec compile globals locals vars getattr setattr delattr dir breakpoint help memoryview
        copyright credits license
        """
    )
)
_FORBIDDEN_ATTRIBUTES = frozenset(
    words(
        """
        register mro with_traceback gi_frame gi_code gi_yieldfrom cr_frame cr_code ag_frame ag_code
        f_back f_globals f_locals f_builtins f_code tb_frame tb_next tb_lasti detach reconfigure
        """
    )
)
_OWN_METHODS = frozenset(
    f"__{name}__"
    for name in words(
        """
        init new repr str len iter next getitem setitem delitem contains call bool hash eq ne lt le gt ge
        add radd iadd sub rsub isub mul rmul imul truediv rtruediv floordiv rfloordiv mod rmod pow neg pos
        abs invert and or xor rand ror rxor lshift rshift matmul int float index enter exit missing
        reversed post_init
        """
    )
)
_PLAIN_DUNDERS = frozenset(("__name__", "__slots__", "__annotations__"))
_FORBIDDEN_NODES = frozenset(
    (
        "AsyncFunctionDef",
        "AsyncFor",
        "AsyncWith",
        "Await",
        "MatchClass",
        "Interactive",
        "Expression",
    )
)


def examine(tree: AST) -> tuple[str, list[str]]:
    """Return (why not; empty if it may, names of the modules it imports)."""
    gate = _Gate(tree)
    return next(gate.objections(), ""), gate.modules


class _Gate:
    def __init__(self, tree: AST) -> None:
        self._nodes = list(_walk(tree))
        self.modules: list[str] = []
        self._aliases: dict[str, str] = {}
        """Name in the program -> the module it stands for."""
        self._imported: set[str] = set()
        """Names that stand for something out of a module."""
        self._explained: set[int] = set()
        """Identities of the name nodes that are fine where they stand."""
        self._import_objections = list(self._read_imports())

    def objections(self) -> Iterator[str]:
        yield from self._import_objections
        for node in self._nodes:
            kind = type(node).__name__
            if kind in _FORBIDDEN_NODES:
                yield f"{kind} at line {getattr(node, 'lineno', 0)}"
            check = getattr(self, f"_check_{kind}", None)
            if check is not None:
                for objection in check(node):
                    yield f"{objection} at line {getattr(node, 'lineno', 0)}"

    def _read_imports(self) -> Iterator[str]:
        for node in self._nodes:
            kind = type(node).__name__
            if kind == "Import":
                for alias in node.names:  # type: ignore[attr-defined]
                    yield from self._objections_to_module(alias.name)
                    name = alias.asname or alias.name.partition(".")[0]
                    self._aliases[name] = alias.name if alias.asname else name
            elif kind == "ImportFrom":
                module = node.module or ""  # type: ignore[attr-defined]
                yield from self._objections_to_module(module if not node.level else ".")  # type: ignore[attr-defined]
                for alias in node.names:  # type: ignore[attr-defined]
                    yield from self._objections_to_member(module, alias.name)
                    if module == "os":
                        yield "a function of os by itself"
                    self._imported.add(alias.asname or alias.name)

    def _objections_to_module(self, name: str) -> Iterator[str]:
        self.modules.append(name)
        if name not in _MODULES:
            yield f"import of {name}"

    def _objections_to_member(self, module: str, name: str) -> Iterator[str]:
        if name == "*" and _MODULES.get(module) == _ANY:
            return
        if name not in _PUBLIC.get(module, ()) or name in _FORBIDDEN_MEMBERS:
            yield f"{module}.{name}"

    def _check_Name(self, node: AST) -> Iterator[str]:
        name: str = node.id  # type: ignore[attr-defined]
        if id(node) in self._explained:
            return
        if name.startswith("__") and name not in _PLAIN_DUNDERS:
            yield f"the name {name}"
        if name in self._aliases or name == "open" or name in _FORBIDDEN_NAMES:
            yield f"{name} as a value"

    def _check_Attribute(self, node: AST) -> Iterator[str]:
        attribute: str = node.attr  # type: ignore[attr-defined]
        value = node.value  # type: ignore[attr-defined]
        base = type(value).__name__
        module = self._aliases.get(value.id) if base == "Name" else None
        loads = type(node.ctx).__name__ == "Load"  # type: ignore[attr-defined]
        hides = attribute.startswith("_") and base != "Name"
        special = attribute.startswith("__") and attribute not in _OWN_METHODS
        if module == "os" and id(node) not in self._explained:
            yield f"os.{attribute} of anything but a standard stream"
        if module is not None:
            if loads:
                self._explained.add(id(value))
            yield from self._objections_to_attribute_of_module(module, attribute)
        elif hides or special or attribute in _FORBIDDEN_ATTRIBUTES:
            yield f"the attribute {attribute}"
        if not loads and (
            not (base in ("Name", "Attribute", "Subscript") or _is_decimal_context(value))
            or self._is_foreign(value)
        ):
            yield f"a write to the attribute {attribute}"

    def _objections_to_attribute_of_module(self, module: str, name: str) -> Iterator[str]:
        if f"{module}.{name}" in _MODULES:
            return  # collections.abc
        yield from self._objections_to_member(module, name)

    def _is_foreign(self, value: AST | None) -> bool:
        while type(value).__name__ == "Attribute":
            value = getattr(value, "value", None)
        name = getattr(value, "id", "")
        return name in self._imported or name in self._aliases

    def _check_Call(self, node: AST) -> Iterator[str]:
        """Let `open(0)`, `os.read(0, ...)`, `os.fstat(0)` and `os.write(1, ...)` be: they are standard streams."""
        function, arguments = node.func, node.args  # type: ignore[attr-defined]
        stream = getattr(arguments[0], "value", None) if arguments else None
        is_open = type(function).__name__ == "Name" and function.id == "open"
        if stream == (1 if getattr(function, "attr", "") == "write" else 0) and (
            is_open or self._is_of_os(function)
        ):
            self._explained.add(id(function))
        return iter(())

    def _is_of_os(self, node: AST) -> bool:
        value = getattr(node, "value", None)
        return type(value).__name__ == "Name" and self._aliases.get(value.id) == "os"  # type: ignore[union-attr]

    def _check_FunctionDef(self, node: AST) -> Iterator[str]:
        name: str = node.name  # type: ignore[attr-defined]
        if name.startswith("__") and name not in _OWN_METHODS:
            yield f"the method {name}"

    def _check_ClassDef(self, node: AST) -> Iterator[str]:
        if node.keywords:  # type: ignore[attr-defined]
            yield "a metaclass"


def _public_names(module: str) -> frozenset[str]:
    """What `from module import *` would bring, modules left out."""
    names = vars(importlib.import_module(module))
    public = names.get("__all__") or [name for name in names if not name.startswith("_")]
    return frozenset(n for n in public if not isinstance(names.get(n), types.ModuleType))


_PUBLIC = {
    module: frozenset(words(names)) if names else _public_names(module)
    for module, names in _MODULES.items()
}
"""Found beforehand, for all programs: a gate is judged by its milliseconds too."""


def _is_decimal_context(value: AST) -> bool:
    """Whether it is a call of `getcontext`; `shared.py` sets the context anew for each test."""
    function = getattr(value, "func", None)
    return "getcontext" in (getattr(function, "id", ""), getattr(function, "attr", ""))


def _walk(tree: AST) -> Iterator[AST]:
    """All nodes, parents before children."""
    waiting: list[object] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, AST):
            yield node
            waiting.extend(getattr(node, field, None) for field in node._fields)
