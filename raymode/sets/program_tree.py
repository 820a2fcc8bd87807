"""A program as an ordered tree of labels without its surface: what tree edit distance compares.

Left out are dead code, local names, layout, annotations and imports; the statements of a block
stand in one of their equal orders. An operator or a called object is part of the label of its node,
so a tree has about a third of the nodes of the syntax tree.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from raymode.errors import DataError
from raymode.sets.canonical import does_nothing
from raymode.sets.live import live_statements
from raymode.sets.names import Names, Scope
from raymode.sets.normalize import Rejection, parse
from raymode.sets.order import Uses, one_order, uses
from raymode.sets.syntax import blocks, object_path, truth

_LARGEST_BITS = 1024


@dataclass(frozen=True, slots=True)
class Tree:
    """An ordered tree in postorder: `leftmost[i]` is the number of the first leaf below node i."""

    labels: tuple[str, ...]
    leftmost: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Draft:
    """A node while its tree is built; `facts` if it is a statement of block number `block`."""

    label: str
    children: list["_Draft"] = field(default_factory=list)
    facts: Uses | None = None
    block: int = 0
    text: str = ""


_Item = tuple[ast.AST, Scope, int]  # a node, its scope and the number of its block


def program_tree(program: str | ast.Module) -> Tree:
    """Return the tree of `program`; DataError if it does not parse."""
    tree = parse(program) if isinstance(program, str) else program
    if isinstance(tree, Rejection):
        raise DataError(
            f"program: {tree.detail} ({tree.reason}); only a program that parses has a tree"
        )
    return _Builder(tree).build()


class _Builder:
    """Drafts parents before their children and finishes children before their parents."""

    def __init__(self, tree: ast.Module) -> None:
        self._names = Names(tree)
        self._live = live_statements(tree, self._names)
        self._blocks = 0
        self._drafts = [_Draft("program")]
        start = self._block(tree.body, self._names.scopes[tree])
        self._stack = [(item, self._drafts[0]) for item in reversed(start)]

    def build(self) -> Tree:
        """Return the tree."""
        while self._stack:
            (node, scope, block), parent = self._stack.pop()
            core = node.value if isinstance(node, ast.Expr) else node
            label = self._label(core, scope)
            draft = parent
            if label is not None:
                draft = _Draft(label)
                self._drafts.append(draft)
                parent.children.append(draft)
                if block and isinstance(node, ast.stmt):
                    draft.facts = uses(node, scope, self._names, self._live)
                    draft.block = block
            parts = self._parts(core, scope)
            self._stack.extend((part, draft) for part in reversed(parts))
        for draft in reversed(self._drafts):
            draft.children = _in_order(draft.children)
            draft.text = f"{draft.label}({','.join(child.text for child in draft.children)})"
        return _postorder(self._drafts[0])

    def _block(self, statements: Iterable[ast.stmt], scope: Scope) -> list[_Item]:
        self._blocks += 1
        found: list[ast.stmt] = []
        for statement in statements:
            guard = isinstance(statement, ast.If) and _is_main_guard(statement.test)
            found.extend(next(blocks(statement)) if guard else [statement])
        silent = (ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)
        return [
            (node, scope, self._blocks)
            for node in found
            if node in self._live and not isinstance(node, silent) and not does_nothing(node)
        ]

    def _label(self, node: ast.AST, scope: Scope) -> str | None:
        """Return the label of `node`; None for one that only holds others."""
        match node:
            case ast.Name() | ast.Attribute():
                path = object_path(node, scope)
                if path is not None:
                    return path
                return f".{node.attr}" if isinstance(node, ast.Attribute) else None
            case ast.Call(func=function):
                path = object_path(function, scope)
                if path is None and isinstance(function, ast.Attribute):
                    path = f".{function.attr}"
                return f"call {path or ''}"
            case ast.Constant(value=value):
                large = isinstance(value, int) and value.bit_length() > _LARGEST_BITS
                return "number" if large else repr(value)
            case ast.BinOp() | ast.UnaryOp() | ast.BoolOp():
                return type(node.op).__name__
            case ast.Compare():
                return " ".join(type(op).__name__ for op in node.ops)
        return None if isinstance(node, _HOLDERS) else _SAME.get(type(node), type(node).__name__)

    def _parts(self, node: ast.AST, scope: Scope) -> list[_Item]:
        """Return what stands below `node`, in order."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                plain = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
                body = self._block(node.body, self._names.scopes[node])
                return [*_items(plain, scope), *body]
            case ast.ClassDef():
                return self._block(node.body, self._names.scopes[node])
            case ast.If():
                outcome = truth(node.test)
                body = [] if outcome is False else self._block(node.body, scope)
                other = [] if outcome is True or not node.orelse else [_Else(node.orelse)]
                return [*_items([node.test], scope), *body, *_items(other, scope)]
            case _Else():
                return self._block(node.body, scope)
            case ast.For() | ast.AsyncFor() | ast.While():
                head = node.test if isinstance(node, ast.While) else node.iter
                body = self._block([*node.body, *node.orelse], scope)
                return [*_items([head], scope), *body]
            case ast.Call():
                return _items([*self._receiver(node, scope), *node.args, *node.keywords], scope)
            case ast.Attribute() if object_path(node, scope) is not None:
                return []
            case ast.AugAssign():  # x += y is x = x + y
                return _items([node.target, ast.BinOp(node.target, node.op, node.value)], scope)
            case ast.AnnAssign():
                return _items([node.target, node.value], scope)
        return self._others(node, scope)

    def _receiver(self, node: ast.Call, scope: Scope) -> list[ast.expr]:
        if object_path(node.func, scope) is not None:
            return []
        return [node.func.value if isinstance(node.func, ast.Attribute) else node.func]

    def _others(self, node: ast.AST, scope: Scope) -> list[_Item]:
        inner = self._names.scopes.get(node, scope)
        found: list[_Item] = []
        for _, value in ast.iter_fields(node):
            parts = value if isinstance(value, list) else [value]
            if parts and isinstance(parts[0], ast.stmt):
                found.extend(self._block(parts, inner))
            else:
                found.extend(_items(parts, inner))
        return found


class _Else(ast.AST):
    """The other branch of an if."""

    def __init__(self, body: list[ast.stmt]) -> None:
        super().__init__()
        self.body = body


_HOLDERS = (
    *(ast.Name, ast.Expr, ast.Starred, ast.keyword, ast.FormattedValue, ast.Slice),
    *(ast.operator, ast.expr_context, ast.arguments, ast.comprehension),
)
_SAME = {
    ast.AugAssign: "Assign",
    ast.AnnAssign: "Assign",
    ast.AsyncFunctionDef: "FunctionDef",
    _Else: "else",
}


def _items(nodes: Iterable[object], scope: Scope) -> list[_Item]:
    silent = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.arguments)
    return [
        (node, scope, 0)
        for node in nodes
        if isinstance(node, ast.AST) and not isinstance(node, silent)
    ]


def _is_main_guard(test: ast.expr) -> bool:
    """Return whether a test is `__name__ == "__main__"`, which holds for a program that is run."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and isinstance(test.ops[0], ast.Eq)
    )


def _in_order(children: list[_Draft]) -> list[_Draft]:
    """Return `children` with the statements of each block in the order that stands for all."""
    found: list[_Draft] = []
    for block, group in groupby(children, key=lambda child: child.block):
        drafts = list(group)
        facts = [draft.facts for draft in drafts if draft.facts is not None]
        if block and len(drafts) > 1:
            drafts = [drafts[i] for i in one_order(facts, [draft.text for draft in drafts])]
        found.extend(drafts)
    return found


def _postorder(root: _Draft) -> Tree:
    labels: list[str] = []
    leftmost: list[int] = []
    stack: list[tuple[_Draft, int]] = [(root, -1)]
    while stack:
        draft, first = stack.pop()
        if first < 0:
            stack.append((draft, len(labels)))
            stack.extend((child, -1) for child in reversed(draft.children))
        else:
            labels.append(draft.label)
            leftmost.append(first)
    return Tree(tuple(labels), tuple(leftmost))
