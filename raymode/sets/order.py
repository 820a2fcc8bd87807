"""Puts the statements of a block into one order, whichever of its equal orders the author chose.

Two neighbours may change places if neither uses what the other changes, at most one of them has
effects outside the program's names, and neither leaves the block. Of all orders that such changes
lead to, the one that is first in the alphabet of the given texts is taken (the lexicographic normal
form of a trace: Anisimov and Knuth 1979).
"""

import ast
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from raymode.sets.library import MUTATIONS, PURE_BUILTINS, PURE_METHODS, PURE_MODULES
from raymode.sets.names import Binding, Names, Scope
from raymode.sets.syntax import FUNCTIONS, header, object_path

LARGEST_BLOCK = 200
"""Longer blocks keep their order: the work grows with the square of the number of statements."""
_ROUNDS = 3
_LEAVING = (
    *(ast.Return, ast.Raise, ast.Break, ast.Continue, ast.Assert, ast.Yield, ast.YieldFrom),
    *(ast.Await, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.ClassDef),
)
_INPUT_OUTPUT = frozenset({"print", "input"})


@dataclass(slots=True)
class Uses:
    """What a statement reads and changes; a `fixed` one keeps its place among all others."""

    reads: set[Binding] = field(default_factory=set)
    writes: set[Binding] = field(default_factory=set)
    speaks: bool = False
    fixed: bool = False

    def commutes(self, other: "Uses") -> bool:
        """Return whether the two statements may change places."""
        if self.fixed or other.fixed or (self.speaks and other.speaks):
            return False
        apart = self.writes.isdisjoint(other.reads) and self.writes.isdisjoint(other.writes)
        return apart and self.reads.isdisjoint(other.writes)


def uses(statement: ast.stmt, scope: Scope, names: Names, live: Container[ast.stmt]) -> Uses:
    """Return what `statement`, which stands in `scope`, reads and changes with its `live` parts."""
    found = Uses()
    stack: list[tuple[ast.AST, Scope]] = [(statement, scope)]
    while stack and not found.fixed:
        node, here = stack.pop()
        if isinstance(node, ast.stmt) and node not in live:
            continue
        if isinstance(node, FUNCTIONS):  # its body runs when it is called
            binding = here.resolve(node.name)
            found.writes |= set() if binding is None else {binding}
            stack.extend((part, here) for part in header(node))
            continue
        here = names.scopes.get(node, here)
        _note(node, here, found)
        stack.extend((child, here) for child in ast.iter_child_nodes(node))
    return found


def _note(node: ast.AST, scope: Scope, found: Uses) -> None:
    if isinstance(node, _LEAVING):
        found.fixed = True
    elif isinstance(node, ast.Name):
        binding = scope.resolve(node.id)
        if binding is not None:
            (found.reads if isinstance(node.ctx, ast.Load) else found.writes).add(binding)
            # who passes a local function on may have it called, and it may use anything
            found.fixed = found.fixed or binding.function is not None
    elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        _write_base(node.value, scope, found)
    elif isinstance(node, ast.Call):
        _note_call(node, scope, found)


def _note_call(node: ast.Call, scope: Scope, found: Uses) -> None:
    path = object_path(node.func, scope)
    if path is not None:
        found.speaks = found.speaks or path in _INPUT_OUTPUT or path.startswith("sys.")
        pure = path in PURE_BUILTINS or path.partition(".")[0] in PURE_MODULES
        found.fixed = found.fixed or not (pure or found.speaks)
    elif isinstance(node.func, ast.Attribute) and node.func.attr in MUTATIONS:
        _write_base(node.func.value, scope, found)
    elif not (isinstance(node.func, ast.Attribute) and node.func.attr in PURE_METHODS):
        found.fixed = True


def _write_base(node: ast.expr, scope: Scope, found: Uses) -> None:
    """Note that the object behind `node`, such as the table in table[i][j], is changed."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    binding = scope.resolve(node.id) if isinstance(node, ast.Name) else None
    if binding is None:
        found.fixed = True
    else:
        found.writes.add(binding)


def one_order(facts: Sequence[Uses], texts: Sequence[str]) -> list[int]:
    """Return the numbers of the statements in the order that stands for all equal orders."""
    count = len(facts)
    if count > LARGEST_BLOCK:
        return list(range(count))
    waits: list[set[int]] = [
        {i for i in range(j) if not facts[i].commutes(facts[j])} for j in range(count)
    ]
    ranks = _ranks(waits, texts)
    order: list[int] = []
    left = set(range(count))
    while left:
        chosen = min((j for j in left if waits[j].isdisjoint(left)), key=lambda j: (ranks[j], j))
        order.append(chosen)
        left.remove(chosen)
    return order


def _ranks(waits: Sequence[set[int]], texts: Sequence[str]) -> list[int]:
    """Return the places of the statements in the alphabet.

    Statements of one text are told apart by those before and after them, and by theirs in turn.
    """
    count = len(texts)
    followers: list[list[int]] = [[] for _ in range(count)]
    for j in range(count):
        for i in waits[j]:
            followers[i].append(j)
    ranks = _places(texts)
    for _ in range(_ROUNDS):
        around = [
            (ranks[j], sorted(ranks[i] for i in waits[j]), sorted(ranks[i] for i in followers[j]))
            for j in range(count)
        ]
        ranks = _places(around)
    return ranks


def _places(keys: Sequence[Any]) -> list[int]:
    """Return the place of each key among the different keys, in order."""
    place: list[int] = [0] * len(keys)
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    for before, after in pairwise(order):
        place[after] = place[before] + (keys[before] != keys[after])
    return place
