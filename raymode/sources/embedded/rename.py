"""Rewrites a program into the same algorithm under other names: a duplicate for dedupe to find."""

import ast
import builtins
import keyword
import random

_WORDS = (
    "num total value items data word text left right mid count best cur nxt prev acc res ans pos "
    "key val row col low high step size todo done found table first last go solve part rest"
)
NAMES = _WORDS.split()


class _Renamer(ast.NodeTransformer):
    """Replaces every use of the names in `new_names`."""

    def __init__(self, new_names: dict[str, str]) -> None:
        self.new_names = new_names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.new_names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.new_names.get(node.arg, node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self.new_names.get(node.name, node.name)
        return node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        return ast.Global([self.new_names.get(name, name) for name in node.names])

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.Nonlocal:
        return ast.Nonlocal([self.new_names.get(name, name) for name in node.names])


def _own_names(tree: ast.Module) -> list[str]:
    """Return the names the program binds itself, imports excepted, in order of appearance."""
    found: dict[str, None] = {}
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = None
        elif isinstance(node, ast.arg):
            found[node.arg] = None
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = None
        elif isinstance(node, ast.alias):
            imported.add(node.asname or node.name)
    return [name for name in found if name not in imported]


def renamed(code: str, rng: random.Random) -> str:
    """Return `code` with its own names replaced one to one and its layout made anew.

    Only for programs without classes, exception names, or calls by keyword of their own functions,
    as every embedded program is. A program without names of its own only gets a comment.
    Raises SyntaxError if `code` is no Python.
    """
    tree = ast.parse(code)
    own = _own_names(tree)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    reserved = used | set(own) | set(dir(builtins)) | set(keyword.kwlist)
    free = [name for name in NAMES if name not in reserved]
    if not own:
        return f"# {rng.choice(free)}\n{ast.unparse(tree)}"
    new_names = dict(zip(own, rng.sample(free, len(own)), strict=True))
    return ast.unparse(ast.fix_missing_locations(_Renamer(new_names).visit(tree)))
