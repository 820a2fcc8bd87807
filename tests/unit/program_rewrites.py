"""Rewrites of programs that keep what they do: other names, layout, order, dead code.

A rewrite takes a program's text and a random generator and returns another text, or the same text
if it finds nothing to do. None looks at raymode's own analysis: what they know of Python is here.
"""

import ast
import random
from collections.abc import Callable, Iterator

Rewrite = Callable[[str, random.Random], str]

DEAD = [
    "if False:\n    for z1 in range(9):\n        z2 = sorted([z1])\n        print(z2)",
    "while 0:\n    print({1: 2})",
    "if 1 > 2:\n    import heapq as z11\n    z11.heappush([], 1)",
    "def z_unused(z3):\n    return [z_unused(z3 - 1) for z4 in range(z3)] if z3 else {}",
    "class ZUnused:\n    def z_go(self):\n        while self.z_go():\n            yield {1}",
    "z5 = {k: k for k in range(3)}",
    "z6 = [[0] * 3 for _ in range(3)]\nz6[1][2] = z6[0][1] + 1",
    "z7 = []\nfor z8 in range(3):\n    z7.append(z8 & 1)",
    "z9 = 5\nwhile z9 > 0:\n    z9 -= 2",
    "z12 = 7",
    "z13, z14 = 'a', None",
    "import itertools as z15, collections as z16",
    "from heapq import heappush as z17",
    "z10 = lambda a: a ** 2",
    "'''some text'''",
    "pass",
    "assert True",
]
_AFTER = ["print(sorted({1, 2}))", "z18 = [i for i in range(3)]", "while True:\n    print(1)"]
_REFLECTION = {"eval", "exec", "globals", "locals", "vars"}
_QUIET_CALLS = {"len", "range", "list", "set", "dict", "int", "str", "sum", "min", "max", "sorted"}
_NAMING = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Global, ast.Nonlocal),
    *(ast.Import, ast.ImportFrom, ast.ExceptHandler, ast.Match),
)
_WRAPPED = (ast.BinOp, ast.Call, ast.Name, ast.Constant, ast.Compare, ast.Subscript, ast.IfExp)


def rename_locals(code: str, rng: random.Random) -> str:
    """Give new names to the variables of functions that define nothing but variables inside."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            inside = [part for statement in node.body for part in ast.walk(statement)]
            names = [part for part in inside if isinstance(part, ast.Name)]
            odd = any(isinstance(part, _NAMING) for part in inside)
            if odd or any(name.id in _REFLECTION for name in names):
                continue
            given = {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
            stored = dict.fromkeys(n.id for n in names if isinstance(n.ctx, ast.Store))
            own = [name for name in stored if name not in given]
            new = {
                name: f"{rng.choice('abcxyz')}_{rng.randrange(10**6)}_{i}"
                for i, name in enumerate(own)
            }
            for name in names:
                name.id = new.get(name.id, name.id)
    return ast.unparse(tree)


def reformat(code: str, rng: random.Random) -> str:
    """Parse and print again, with comments and empty lines between statements."""
    parts = [ast.unparse(statement) for statement in ast.parse(code).body]
    gaps = ["\n", "\n\n\n", "\n# note\n", f"  # {rng.random()}\n", "\n    # indented\n"]
    safe = ["" if "'''" in part or '"""' in part else rng.choice(gaps) for part in parts]
    return "# first\n" + "".join(
        f"{part}{gap or chr(10)}" for part, gap in zip(parts, safe, strict=True)
    )


def parenthesise(code: str, rng: random.Random) -> str:
    """Put parentheses around expressions that need none."""
    text = ast.unparse(ast.parse(code))
    if not text.isascii():  # positions count bytes
        return text
    lines = text.split("\n")
    taken: set[int] = set()
    for node in _expressions(ast.parse(text)):
        if node.lineno == node.end_lineno and node.lineno not in taken and rng.random() < 0.3:
            line, start, end = lines[node.lineno - 1], node.col_offset, node.end_col_offset
            lines[node.lineno - 1] = f"{line[:start]}({line[start:end]}){line[end:]}"
            taken.add(node.lineno)
    return "\n".join(lines)


def _expressions(tree: ast.AST) -> Iterator[ast.expr]:
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        # texts keep their lines, patterns their form
        if isinstance(node, ast.JoinedStr | ast.Match | ast.Delete | ast.AnnAssign):
            continue
        if isinstance(node, _WRAPPED) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            yield node
        stack.extend(ast.iter_child_nodes(node))


def add_docstrings(code: str, rng: random.Random) -> str:
    """Give every function and class a docstring, and the program too."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body.insert(0, ast.Expr(ast.Constant(f"Says {rng.random()}.")))
    return '"""What it does."""\n' + ast.unparse(ast.fix_missing_locations(tree))


def add_unused_imports(code: str, rng: random.Random) -> str:
    """Import standard modules under names that nothing uses."""
    lines = ["import os.path as z_path, heapq as z_heap", "from itertools import count as z_count"]
    return "\n".join([*lines[: rng.randint(1, 2)], code])


def wrap(code: str, rng: random.Random) -> str:
    """Put everything into a function that is called at once."""
    tree = ast.parse(code)
    binds = (ast.Global, ast.Nonlocal)
    odd = any(isinstance(node, binds) or _is_star(node) for node in ast.walk(tree))
    if odd or any(isinstance(node, ast.ClassDef) for node in ast.walk(tree)):
        return code
    body = "\n".join("    " + line for line in ast.unparse(tree).split("\n"))
    return f"def solve_it_all():\n{body}\nsolve_it_all()"


def _is_star(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def add_dead_code(code: str, rng: random.Random) -> str:
    """Put dead statements before random top-level statements."""
    body = [ast.unparse(node) for node in ast.parse(code).body]
    for _ in range(3):
        body.insert(rng.randint(0, len(body)), rng.choice(DEAD))
    return "\n".join(body)


def add_dead_code_inside(code: str, rng: random.Random) -> str:
    """Put dead statements into functions, loops and branches, also where nothing ever gets to."""
    tree = ast.parse(code)
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.For | ast.While | ast.If):
            if isinstance(node.body[-1], ast.Return | ast.Break | ast.Continue | ast.Raise):
                node.body.extend(ast.parse(rng.choice(_AFTER)).body)
            node.body[:0] = ast.parse(rng.choice(DEAD)).body
        elif isinstance(node, ast.ClassDef):
            dead = "def z_method(self, z19):\n    return sorted(self.z_method(z19))"
            node.body.extend(ast.parse(dead).body)
    return ast.unparse(ast.fix_missing_locations(tree))


def reorder(code: str, rng: random.Random) -> str:
    """Swap neighbouring statements that do not depend on one another, in every block."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        for block in ("body", "orelse"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                for _ in range(4):
                    _swap(statements, rng.randrange(max(1, len(statements) - 1)))
    return ast.unparse(tree)


def _swap(statements: list[ast.stmt], place: int) -> None:
    pair = statements[place : place + 2]
    if len(pair) == 2 and all(_is_simple(node) for node in pair) and _independent(*pair):
        statements[place : place + 2] = reversed(pair)


def _is_simple(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return not node.decorator_list and not node.args.defaults
    if isinstance(node, ast.Import | ast.ImportFrom):
        return not _is_star(node)
    calls = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    quiet = all(isinstance(call, ast.Name) and call.id in _QUIET_CALLS for call in calls)
    plain = isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) for t in node.targets)
    return plain and quiet


def _independent(one: ast.stmt, other: ast.stmt) -> bool:
    return not _names(one) & _names(other) - _QUIET_CALLS


def _names(node: ast.stmt) -> set[str]:
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    found |= {
        (part.asname or part.name).partition(".")[0]
        for part in ast.walk(node)
        if isinstance(part, ast.alias)
    }
    return found | {part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef)}


def shuffle_functions(code: str, rng: random.Random) -> str:
    """Put neighbouring functions, and neighbouring methods, into another order."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        body = node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) else []
        start = 0
        while start < len(body):
            end = start
            while (
                end < len(body) and isinstance(body[end], ast.FunctionDef) and _is_simple(body[end])
            ):
                end += 1
            run = body[start:end]
            if len({item.name for item in run if isinstance(item, ast.FunctionDef)}) == len(run):
                body[start:end] = rng.sample(run, len(run))
            start = end + 1
    return ast.unparse(tree)


SURFACE: dict[str, Rewrite] = {
    "rename locals": rename_locals,
    "reformat": reformat,
    "parenthesise": parenthesise,
    "docstrings": add_docstrings,
    "unused imports": add_unused_imports,
}
"""These change the text alone: the key of the program stays too."""

REWRITES: dict[str, Rewrite] = {
    **SURFACE,
    "dead code": add_dead_code,
    "dead code inside": add_dead_code_inside,
    "reorder": reorder,
    "shuffle functions": shuffle_functions,
}
