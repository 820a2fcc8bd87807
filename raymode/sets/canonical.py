"""A Python program as one line of text without its surface: what the key of a program hashes."""

import ast
import sys
from collections.abc import Callable, Iterable

from raymode.sets.imports import bound_name, import_path
from raymode.sets.names import (
    BUILTIN_NAMES,
    Binding,
    ComprehensionNode,
    FunctionNode,
    Names,
    Scope,
)

Item = str | tuple[ast.AST, Scope]

_FIELDS_WITHOUT_MEANING = frozenset({"ctx", "type_comment", "kind", "type_ignores", "type_params"})


def canonical_text(tree: ast.Module) -> tuple[str, set[str]]:
    """Return the canonical text of a program and the names that nothing in it binds."""
    writer = _Writer(tree)
    return writer.write(), writer.free


class _Writer:
    """Writes a tree as one line of text in which local names are numbers in order of appearance.

    `$3` is the fourth local name, `!x` a local name that must stay, `@heapq.heappush` an imported
    object, a bare word a builtin or undefined name.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.names = Names(tree)
        self.free: set[str] = set()
        self._numbered = 0
        self._out: list[str] = []
        module = self.names.scopes[tree]
        self._stack: list[Item] = self._body(tree.body, module)
        self._stack.reverse()

    def write(self) -> str:
        """Return the canonical text."""
        stack, out = self._stack, self._out
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                out.append(item)
                continue
            node, scope = item
            special = _SPECIAL.get(type(node))
            items = self._generic(node, scope) if special is None else special(self, node, scope)
            items.reverse()
            stack.extend(items)
        return " ".join(out)

    def _generic(self, node: ast.AST, scope: Scope) -> list[Item]:
        fields = [name for name in node._fields if name not in _FIELDS_WITHOUT_MEANING]
        if not fields:
            return [type(node).__name__]
        items: list[Item] = [f"({type(node).__name__}"]
        for name in fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                items.append("[")
                items.extend(self._body(value, scope))
                items.append("]")
            else:
                items.append(_item(value, scope))
        items.append(")")
        return items

    def _body(self, nodes: Iterable[ast.AST | None], scope: Scope) -> list[Item]:
        """Return the items of a list, without the statements that do nothing."""
        return [_item(node, scope) for node in nodes if not does_nothing(node)]

    def _word(self, binding: Binding | None, name: str) -> str:
        if binding is None:
            self.free.add(name)
            return name
        if binding.imported:
            return f"@{binding.path}"
        if binding.kept:
            return f"!{name}"
        if binding.number < 0:
            binding.number = self._numbered
            self._numbered += 1
        return f"${binding.number}"

    def _resolved(self, name: str | None, scope: Scope) -> str:
        return "~" if name is None else self._word(scope.resolve(name), name)

    def _name(self, node: ast.Name, scope: Scope) -> list[Item]:
        return [self._resolved(node.id, scope)]

    def _attribute(self, node: ast.Attribute, scope: Scope) -> list[Item]:
        parts = [node.attr]
        value: ast.expr = node.value
        while isinstance(value, ast.Attribute):
            parts.append(value.attr)
            value = value.value
        path = "." + ".".join(reversed(parts))
        if isinstance(value, ast.Name):
            binding = scope.resolve(value.id)
            if binding is not None and binding.imported:
                return [f"@{binding.path}{path}"]
        return ["(", (value, scope), f"{path})"]

    def _constant(self, node: ast.Constant, scope: Scope) -> list[Item]:
        value = node.value
        if isinstance(value, int) and value.bit_length() > 1024:
            return [hex(value)]  # repr refuses more than 4300 digits
        return [repr(value)]

    def _call(self, node: ast.Call, scope: Scope) -> list[Item]:
        function = self.names.called(node, scope)
        items: list[Item] = [
            "(Call",
            (node.func, scope),
            *((argument, scope) for argument in node.args),
        ]
        for keyword in node.keywords:
            local = (
                function.bound.get(keyword.arg) if function is not None and keyword.arg else None
            )
            is_parameter = (
                local is not None and function is not None and local.name in function.parameters
            )
            word = (
                self._word(local, local.name) if is_parameter and local is not None else keyword.arg
            )
            items.extend([f"{word or '**'}=", (keyword.value, scope)])
        return [*items, ")"]

    def _function(self, node: FunctionNode, scope: Scope) -> list[Item]:
        inner = self.names.scopes[node]
        if isinstance(node, ast.Lambda):
            return ["(Lambda", *self._arguments(node.args, scope, inner), (node.body, inner), ")"]
        items: list[Item] = [f"({type(node).__name__}", self._resolved(node.name, scope)]
        items.extend((decorator, scope) for decorator in node.decorator_list)
        items.extend(self._arguments(node.args, scope, inner))
        items.extend(self._annotation(node.returns, scope))
        return [*items, "[", *self._body(node.body, inner), "])"]

    def _arguments(self, node: ast.arguments, scope: Scope, inner: Scope) -> list[Item]:
        items: list[Item] = []
        groups = [
            ("/", node.posonlyargs),
            ("", node.args),
            ("*", [node.vararg] if node.vararg else []),
            ("k", node.kwonlyargs),
            ("**", [node.kwarg] if node.kwarg else []),
        ]
        for mark, group in groups:
            for argument in group:
                items.append(mark + self._resolved(argument.arg, inner))
                items.extend(self._annotation(argument.annotation, scope))
        items.append("=")
        items.extend((default, scope) for default in node.defaults)
        items.append("=")
        items.extend(_item(default, scope) for default in node.kw_defaults)
        return items

    def _annotation(self, node: ast.expr | None, scope: Scope) -> list[Item]:
        """Return only an annotation with an undefined name: that one stops the program."""
        if node is None:
            return []
        used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        undefined = any(scope.resolve(name) is None and name not in BUILTIN_NAMES for name in used)
        return [":", (node, scope)] if undefined else []

    def _class(self, node: ast.ClassDef, scope: Scope) -> list[Item]:
        inner = self.names.scopes[node]
        items: list[Item] = ["(ClassDef", self._resolved(node.name, scope)]
        items.extend(
            (child, scope)
            for child in [*node.decorator_list, *node.bases, *node.keywords]
            if not is_object(child, scope)
        )
        return [*items, "[", *self._body(node.body, inner), "])"]

    def _comprehension(self, node: ComprehensionNode, scope: Scope) -> list[Item]:
        inner = self.names.scopes[node]
        items: list[Item] = [f"({type(node).__name__}"]
        for number, generator in enumerate(node.generators):
            items.append("async" if generator.is_async else "for")
            items.extend([(generator.iter, inner if number else scope), (generator.target, inner)])
            items.extend((condition, inner) for condition in generator.ifs)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return [*items, *((result, inner) for result in results), ")"]

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> list[Item]:
        if scope.kind == "class":  # dataclasses and named tuples read these
            return [
                "(AnnAssign",
                (node.target, scope),
                (node.annotation, scope),
                _item(node.value, scope),
                ")",
            ]
        note = self._annotation(node.annotation, scope) if scope.kind == "module" else []
        if node.value is None:
            return note
        return [*note, "(Assign [", (node.target, scope), "]", (node.value, scope), ")"]

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> list[Item]:
        """Return only the imports that do something beside giving a name to a standard module."""
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return []
        items: list[Item] = []
        for alias in node.names:
            path = import_path(node, alias)
            if alias.name == "*":
                if not self.names.can_leave_out(path.removesuffix(".*"), scope.module()):
                    items.append(f"(Star {path})")
                continue
            binding = scope.resolve(bound_name(alias))
            named = binding is not None and binding.imported
            if not named or path.partition(".")[0] not in sys.stdlib_module_names:
                items.append(f"(Import {path} {self._word(binding, bound_name(alias))})")
        return items

    def _outer(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> list[Item]:
        return []  # resolved names already say whose they are

    def _handler(self, node: ast.ExceptHandler, scope: Scope) -> list[Item]:
        head: list[Item] = ["(except", _item(node.type, scope), self._resolved(node.name, scope)]
        return [*head, "[", *self._body(node.body, scope), "])"]

    def _match_name(self, node: ast.MatchStar | ast.MatchAs, scope: Scope) -> list[Item]:
        pattern = node.pattern if isinstance(node, ast.MatchAs) else None
        return [
            f"({type(node).__name__}",
            _item(pattern, scope),
            self._resolved(node.name, scope),
            ")",
        ]

    def _match_mapping(self, node: ast.MatchMapping, scope: Scope) -> list[Item]:
        pairs = [
            _item(part, scope)
            for pair in zip(node.keys, node.patterns, strict=True)
            for part in pair
        ]
        return ["(MatchMapping", *pairs, self._resolved(node.rest, scope), ")"]


_SPECIAL: dict[type[ast.AST], Callable[..., list[Item]]] = {
    ast.Name: _Writer._name,
    ast.Attribute: _Writer._attribute,
    ast.Constant: _Writer._constant,
    ast.Call: _Writer._call,
    ast.FunctionDef: _Writer._function,
    ast.AsyncFunctionDef: _Writer._function,
    ast.Lambda: _Writer._function,
    ast.ClassDef: _Writer._class,
    ast.ListComp: _Writer._comprehension,
    ast.SetComp: _Writer._comprehension,
    ast.DictComp: _Writer._comprehension,
    ast.GeneratorExp: _Writer._comprehension,
    ast.AnnAssign: _Writer._annotated,
    ast.Import: _Writer._import,
    ast.ImportFrom: _Writer._import,
    ast.Global: _Writer._outer,
    ast.Nonlocal: _Writer._outer,
    ast.ExceptHandler: _Writer._handler,
    ast.MatchStar: _Writer._match_name,
    ast.MatchAs: _Writer._match_name,
    ast.MatchMapping: _Writer._match_mapping,
}


def _item(value: object, scope: Scope) -> Item:
    if isinstance(value, ast.AST):
        return value, scope
    return "~" if value is None else repr(value)


def is_object(node: ast.AST, scope: Scope) -> bool:
    """Return whether `node` is the builtin `object`: as a base of a class it says nothing."""
    return isinstance(node, ast.Name) and node.id == "object" and scope.resolve("object") is None


def does_nothing(node: object) -> bool:
    """Return whether `node` is a pass or a bare constant, such as a docstring."""
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
