"""What the operators of a program say about it; & and | of sets are no bit operations."""

import ast
from collections.abc import Iterable, Mapping

from raymode.sets.names import Binding, Scope
from raymode.sets.shapes import is_list
from raymode.sets.syntax import object_path

_BIT_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)
_WORDS = {ast.FloorDiv: "op:floor_divide", ast.Pow: "op:power"}


class Operators:
    """Knows which names of one program hold sets."""

    def __init__(self, live: Iterable[ast.stmt], scopes: Mapping[ast.stmt, Scope]) -> None:
        self._sets: set[Binding] = set()
        for node in live:
            if isinstance(node, ast.Assign) and _makes_set(node.value, scopes[node]):
                for target in node.targets:
                    binding = (
                        scopes[node].resolve(target.id) if isinstance(target, ast.Name) else None
                    )
                    self._sets |= set() if binding is None else {binding}

    def is_set_name(self, binding: Binding) -> bool:
        """Return whether a name is given a set somewhere."""
        return binding in self._sets

    def words(self, node: ast.BinOp | ast.AugAssign, scope: Scope) -> set[str]:
        """Return the words for one operation."""
        if isinstance(node, ast.BinOp):
            left, right = node.left, node.right
        else:
            left, right = node.target, node.value
        if isinstance(node.op, _BIT_OPERATORS):
            return {
                "op:set" if self._is_set(left, scope) or self._is_set(right, scope) else "op:bit"
            }
        if isinstance(node.op, ast.Mod):
            formats = isinstance(left, ast.Constant | ast.JoinedStr)  # "%d" % x
            return set() if formats else {"op:mod"}
        if isinstance(node.op, ast.Mult) and isinstance(left, ast.List):
            return {"structure:table"} if any(is_list(part) for part in left.elts) else set()
        word = _WORDS.get(type(node.op))
        return set() if word is None else {word}

    def _is_set(self, node: ast.expr, scope: Scope) -> bool:
        if isinstance(node, ast.Name):
            return scope.resolve(node.id) in self._sets
        return _makes_set(node, scope)


def _makes_set(node: ast.expr, scope: Scope) -> bool:
    if isinstance(node, ast.Call):
        return object_path(node.func, scope) in {"set", "frozenset"}
    return isinstance(node, ast.Set | ast.SetComp)
