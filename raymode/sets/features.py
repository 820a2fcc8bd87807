"""What a program does, as a set of words: its loops, recursion, data structures and known shapes.

The words do not depend on names, layout, the order of independent statements or dead code. Words
that begin with "io:" tell how the program reads and prints: no algorithm, so they are kept apart.
"""

import ast
from collections import defaultdict
from dataclasses import dataclass

from raymode.errors import DataError
from raymode.sets.callgraph import Function, recursion_words
from raymode.sets.library import CONTAINERS, ITERATING, KNOWN_METHODS, MEMO_DECORATORS
from raymode.sets.live import live_statements
from raymode.sets.names import BUILTIN_NAMES, Binding, Names, Scope
from raymode.sets.normalize import Rejection, parse
from raymode.sets.operators import Operators
from raymode.sets.shapes import (
    calls_range,
    grows,
    is_list,
    is_minus_one,
    is_plain_print,
    is_print,
    loop_shapes,
)
from raymode.sets.style import READS, Style
from raymode.sets.syntax import FUNCTIONS, LOOPS, object_path

DEEPEST = 3  # nesting of loops beyond this is not told apart
_WORKING_MODULES = ("bisect", "collections", "functools", "heapq", "itertools", "re")
_WORK = (
    *("loop:", "comprehension:", "recursion:", "function:", "structure:"),
    *(f"call:{module}." for module in _WORKING_MODULES),
)
_DEQUE_METHODS = {"popleft()", "appendleft", "rotate"}
_PRINTS = frozenset({"print", "sys.stdout.write"})
_COMPREHENSIONS = {
    ast.ListComp: "list",
    ast.SetComp: "set",
    ast.DictComp: "dict",
    ast.GeneratorExp: "generator",
}


def features(program: str | ast.Module) -> frozenset[str]:
    """Return the words that describe `program`; DataError if it does not parse."""
    tree = parse(program) if isinstance(program, str) else program
    if isinstance(tree, Rejection):
        raise DataError(
            f"program: {tree.detail} ({tree.reason}); only a program that parses has features"
        )
    reader = _Reader(tree)
    reader.read()
    return frozenset(reader.found)


@dataclass(frozen=True, slots=True)
class _Context:
    """Where a node stands: its scope, how many loops are around it, and the function it is in."""

    scope: Scope
    depth: int = 0
    function: "Function | None" = None


class _Reader:
    """Walks the live part of a program once and collects its words."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: set[str] = set()
        self._names = Names(tree)
        self._live = live_statements(tree, self._names)
        self._functions: list[Function] = []
        self._used: dict[Binding, set[str]] = defaultdict(set)
        start = _Context(self._names.scopes[tree])
        scopes = self._names.statement_scopes(tree)
        self._style = Style(self._names, self._live, scopes)
        self._operators = Operators(self._live, scopes)
        self._stack: list[tuple[ast.AST, _Context]] = [(node, start) for node in tree.body]

    def read(self) -> None:
        """Fill `found`."""
        while self._stack:
            node, context = self._stack.pop()
            if isinstance(node, ast.stmt) and node not in self._live:
                continue
            self._visit(node, context)
        self.found |= recursion_words(self._functions)
        self._read_containers()
        if not any(word in ITERATING or word.startswith(_WORK) for word in self.found):
            self.found.add("shape:closed_form")

    def _push(self, context: _Context, *nodes: ast.AST | None) -> None:
        self._stack.extend((node, context) for node in nodes if node is not None)

    def _children(self, node: ast.AST, context: _Context) -> None:
        self._push(context, *ast.iter_child_nodes(node))

    def _visit(self, node: ast.AST, context: _Context) -> None:
        if isinstance(node, ast.expr) and self._style.is_reading(node, context.scope):
            self._read_input(node, context.scope)
        elif isinstance(node, FUNCTIONS):
            self._visit_function(node, context)
        elif isinstance(node, LOOPS):
            self._visit_loop(node, context)
        elif type(node) in _COMPREHENSIONS:
            self._visit_comprehension(node, context)
        elif isinstance(node, ast.Lambda):
            self._visit_lambda(node, context)
        elif isinstance(node, ast.ClassDef):
            inner = _Context(self._names.scopes[node], 0, context.function)
            bases = [base for base in node.bases if object_path(base, context.scope) != "object"]
            self._push(context, *bases, *node.decorator_list)
            self._push(inner, *node.body)
        elif isinstance(node, ast.Call):
            self._visit_call(node, context)
        elif not isinstance(node, ast.Import | ast.ImportFrom | ast.arguments):
            self._visit_plain(node, context)

    def _visit_lambda(self, node: ast.Lambda, context: _Context) -> None:
        scope = self._names.scopes[node]
        if not self._style.is_reading(node.body, scope):
            self.found.add("lambda")
        self._push(_Context(scope, 0, context.function), node.body)

    def _read_input(self, node: ast.expr, scope: Scope) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Call):
                path = object_path(part.func, self._names.scopes.get(part, scope))
                if path is not None:
                    self.found.add(f"io:{path}")
            elif type(part) in _COMPREHENSIONS:
                self.found.add("io:comprehension")

    def _visit_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, context: _Context
    ) -> None:
        scope = self._names.scopes[node]
        in_class = context.scope.kind == "class"
        function = Function(node.name, scope, in_class, self._live_parts(node.body))
        self._functions.append(function)
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if object_path(called, context.scope) in MEMO_DECORATORS:
                self.found.add("memo")
        self._push(context, *node.args.defaults, *node.args.kw_defaults)
        self._push(_Context(scope, 0, function), *node.body)

    def _visit_loop(self, node: ast.For | ast.AsyncFor | ast.While, context: _Context) -> None:
        parts = self._live_parts([*node.body, *node.orelse])
        role = None if isinstance(node, ast.While) else self._input_output_role(node, context.scope)
        depth = context.depth
        if role is not None:
            self.found.add(role)
        else:
            depth += 1
            self.found.add("loop:while" if isinstance(node, ast.While) else "loop:for")
            self.found.update(loop_shapes(node, parts))
            self._note_depth(depth)
            if not isinstance(node, ast.While) and grows(node.iter, parts):
                self.found.add("structure:queue")
        inner = _Context(context.scope, depth, context.function)
        if isinstance(node, ast.While):
            self._push(inner, node.test)
        else:
            self._push(context, node.iter)
        self._push(inner, *node.body, *node.orelse)

    def _input_output_role(self, node: ast.For | ast.AsyncFor, scope: Scope) -> str | None:
        """Return what a loop is if it only prints, only reads, or goes through test cases."""
        body = [statement for statement in node.body if statement in self._live]
        if body and all(is_plain_print(statement) for statement in body):
            return "io:print_loop"
        reads = [self._style.is_reading_statement(statement, scope) for statement in body]
        if body and all(reads):
            return "io:read_loop"
        prints = any(is_print(part) for part in self._live_parts(body))
        return "io:case_loop" if any(reads) and prints else None

    def _note_depth(self, depth: int) -> None:
        if depth > 1:
            self.found.add(f"loop:depth={min(depth, DEEPEST)}")

    def _visit_comprehension(self, node: ast.AST, context: _Context) -> None:
        assert isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        self.found.add(f"comprehension:{_COMPREHENSIONS[type(node)]}")
        depth = context.depth + len(node.generators)
        self._note_depth(depth)
        inner = _Context(self._names.scopes[node], depth, context.function)
        if isinstance(node, ast.SetComp | ast.DictComp):
            self.found.add(f"structure:{_COMPREHENSIONS[type(node)]}")
        if isinstance(node, ast.DictComp):
            self._push(inner, node.key, node.value)
        else:
            self._push(inner, node.elt)
            if isinstance(node, ast.ListComp) and is_list(node.elt):
                self.found.add("structure:table")
        for number, generator in enumerate(node.generators):
            self._push(inner if number else context, generator.iter)
            self._push(inner, *generator.ifs)

    def _visit_call(self, node: ast.Call, context: _Context) -> None:
        path = object_path(node.func, context.scope)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if path in _PRINTS:
            self.found.add(f"io:{path}")
            for argument in arguments:
                bare, scope = self._style.unwrapped(argument, context.scope)
                self.found.update({"io:format"} if bare is not argument else ())
                self._push(_Context(scope, context.depth, context.function), bare)
            return
        if isinstance(node.func, ast.Attribute):
            self._note_use(node.func, bool(node.args), context)
        backwards = path == "reversed" and calls_range(arguments, context.scope)
        self._push(context, None if backwards else node.func, *arguments)

    def _note_use(self, node: ast.Attribute, has_arguments: bool, context: _Context) -> None:
        """Note which methods are called on a local name, and recursion through a method."""
        if not isinstance(node.value, ast.Name):
            return
        binding = context.scope.resolve(node.value.id)
        if binding is not None:
            self._used[binding].add(f"{node.attr}()" if not has_arguments else node.attr)
        if context.function is not None:
            context.function.methods.add(node.attr)

    def _visit_plain(self, node: ast.AST, context: _Context) -> None:
        match node:
            case ast.Name() | ast.Attribute():
                self._visit_object(node, context)
                return
            case ast.BinOp() | ast.AugAssign():
                self.found |= self._operators.words(node, context.scope)
            case ast.UnaryOp(op=ast.Invert()):
                self.found.add("op:bit")
            case ast.Compare() if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
                self.found.add("op:membership")
            case ast.Slice():
                self.found.add("slice:reverse" if is_minus_one(node.step) else "slice")
            case ast.Dict():
                self.found.add("structure:dict")
            case ast.Set():
                self.found.add("structure:set")
            case ast.List() if any(is_list(element) for element in node.elts):
                self.found.add("structure:table")
            case ast.Yield() | ast.YieldFrom():
                self.found.add("function:generator")
            case ast.Match():
                self.found.add("branch:match")
            case ast.IfExp():
                self.found.add("branch:ternary")
            case ast.Try() | ast.TryStar():
                self.found.add("branch:try")
        self._children(node, context)

    def _visit_object(self, node: ast.Name | ast.Attribute, context: _Context) -> None:
        path = object_path(node, context.scope)
        if path is not None:
            self._note_path(path)
        elif isinstance(node, ast.Attribute):
            if node.attr in KNOWN_METHODS:
                self.found.add(f"method:{node.attr}")
            self._push(context, node.value)
        else:
            binding = context.scope.resolve(node.id)
            if (
                binding is not None
                and binding.function is not None
                and context.function is not None
            ):
                context.function.calls.add(binding.function)

    def _note_path(self, path: str) -> None:
        module, _, name = path.partition(".")
        if path in READS or path.startswith("sys."):
            self.found.add(f"io:{path}")
        elif module in BUILTIN_NAMES and name in KNOWN_METHODS:  # str.upper as a value
            self.found.add(f"method:{name}")
        elif module in BUILTIN_NAMES or name:
            self.found.add(f"call:{path}")
        structure = CONTAINERS.get(path) or CONTAINERS.get(module)
        if structure is not None:
            self.found.add(structure)

    def _live_parts(self, nodes: list[ast.stmt]) -> list[ast.AST]:
        found: list[ast.AST] = []
        stack: list[ast.AST] = list(nodes)
        while stack:
            node = stack.pop()
            if not isinstance(node, ast.stmt) or node in self._live:
                found.append(node)
                stack.extend(ast.iter_child_nodes(node))
        return found

    def _read_containers(self) -> None:
        for binding, used in self._used.items():
            other = used & _DEQUE_METHODS or self._operators.is_set_name(binding)
            if "pop()" in used and not other:
                self.found.add("structure:stack")
