"""Small questions about Python syntax trees that several readers of programs ask."""

import ast
from collections.abc import Iterator

from raymode.sets.names import Scope

LOOPS = (ast.For, ast.AsyncFor, ast.While)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_MAXIMUM_TEST_DEPTH = 8


def object_path(node: ast.expr, scope: Scope) -> str | None:
    """Return the path of a builtin or imported object, such as `sum` or `math.gcd`; else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    binding = scope.resolve(node.id)
    if binding is None:
        parts.append(node.id)
    elif binding.imported and binding.path is not None:
        parts.append(binding.path)
    else:
        return None
    return ".".join(reversed(parts))


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the reachable lists of statements inside a compound statement."""
    match statement:
        case ast.If():
            outcome = truth(statement.test)
            if outcome is not False:
                yield statement.body
            if outcome is not True:
                yield statement.orelse
        case ast.While():
            if truth(statement.test) is not False:
                yield statement.body
            yield statement.orelse
        case ast.For() | ast.AsyncFor():
            yield from (statement.body, statement.orelse)
        case (
            ast.With()
            | ast.AsyncWith()
            | ast.FunctionDef()
            | ast.AsyncFunctionDef()
            | ast.ClassDef()
        ):
            yield statement.body
        case ast.Try() | ast.TryStar():
            yield from (statement.body, statement.orelse, statement.finalbody)
            yield from (handler.body for handler in statement.handlers)
        case ast.Match():
            yield from (case.body for case in statement.cases)


def header(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the parts of a statement that belong to it and not to the statements inside it."""
    if isinstance(statement, FUNCTIONS):
        yield from statement.decorator_list
        yield from (value for value in statement.args.defaults)
        yield from (value for value in statement.args.kw_defaults if value is not None)
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.ExceptHandler):
            yield from [] if child.type is None else [child.type]
        elif isinstance(child, ast.match_case):
            yield child.pattern
            yield from [] if child.guard is None else [child.guard]
        elif not isinstance(child, ast.stmt):
            yield child


def stored_names(statement: ast.stmt) -> list[str]:
    """Return the names that `statement` itself gives a value to."""
    if isinstance(statement, DEFINITIONS):
        return [statement.name]
    found = [
        part.id
        for target in _targets(statement)
        for part in ast.walk(target)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    ]
    for child in header(statement):
        walruses = (part.target for part in ast.walk(child) if isinstance(part, ast.NamedExpr))
        found.extend(target.id for target in walruses)
    if isinstance(statement, ast.Try | ast.TryStar):
        found.extend(handler.name for handler in statement.handlers if handler.name)
    if isinstance(statement, ast.Match):
        for case in statement.cases:
            for part in ast.walk(case.pattern):
                name = (
                    part.rest if isinstance(part, ast.MatchMapping) else getattr(part, "name", None)
                )
                found.extend([name] if name else [])
    return found


def _targets(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign() | ast.Delete():
            return statement.targets
        case ast.AugAssign() | ast.AnnAssign() | ast.For() | ast.AsyncFor():
            return [statement.target]
        case ast.With() | ast.AsyncWith():
            return [item.optional_vars for item in statement.items if item.optional_vars]
    return []


def truth(test: ast.expr, depth: int = 0) -> bool | None:
    """Return the truth of a test made of constants; None if it is not one."""
    if depth > _MAXIMUM_TEST_DEPTH:
        return None
    match test:
        case ast.Constant():
            return bool(test.value)
        case ast.UnaryOp(op=ast.Not()):
            inner = truth(test.operand, depth + 1)
            return None if inner is None else not inner
        case ast.BoolOp():
            values = [truth(value, depth + 1) for value in test.values]
            decisive = isinstance(test.op, ast.Or)
            if values[0] is decisive:
                return decisive
            return None if None in values else (any(values) if decisive else all(values))
        case ast.Compare(
            left=ast.Constant(value=int(left)),
            ops=[op],
            comparators=[ast.Constant(value=int(right))],
        ):
            outcomes = {
                ast.Eq: left == right,
                ast.NotEq: left != right,
                ast.Lt: left < right,
                ast.LtE: left <= right,
                ast.Gt: left > right,
                ast.GtE: left >= right,
            }
            return outcomes.get(type(op))
    return None
