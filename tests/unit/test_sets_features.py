"""Features: what they see, and that rewrites which keep the algorithm keep them."""

import ast
import itertools
import random
from collections.abc import Callable

import pytest

from raymode.errors import DataError
from raymode.sets.features import features
from raymode.sources.embedded import generate
from raymode.sources.embedded.rename import renamed

SEEN = {
    "for i in range(3):\n    print(i * 2)": {"loop:for"},
    "n = 9\nwhile n > 1:\n    n = n - 2\nprint(n)": {"loop:while"},
    "s = 0\nfor i in range(3):\n  for j in range(3):\n    s += i * j\nprint(s)": {"loop:for", "loop:depth=2"},
    "print(sum(i*j*k for i in range(3) for j in range(3) for k in range(2)))": {"loop:depth=3"},
    "def f(n): return n * f(n - 1) if n else 1\nprint(f(3))": {"recursion:self"},
    "def f(n): return g(n - 1) if n else 1\ndef g(n): return f(n)\nprint(f(3))": {"recursion:mutual"},
    "class S:\n  def f(self, n): return self.f(n - 1) if n else 1\nprint(S().f(3))": {"recursion:self"},
    "def f(t): return 1 + sum(map(f, t))\nprint(f([[], []]))": {"recursion:self"},
    "from functools import cache\n@cache\ndef f(n): return f(n-1) if n else 1\nprint(f(3))": {"memo"},
    "d = {}\ndef f(n):\n  if n not in d:\n    d[n] = f(n-1) if n else 1\n  return d[n]\nprint(f(3))": {"memo"},
    "def f():\n  yield 1\nprint(*f())": {"function:generator"},
    "print([i for i in 'ab' if i > 'a'])": {"comprehension:list"},
    "print({i for i in 'ab' if i > 'a'})": {"comprehension:set", "structure:set"},
    "a = [3, 1]\na.sort()\nprint(a)": {"method:sort"},
    "from heapq import heappush as p\nh = []\np(h, 1)\nprint(h[0])": {"structure:heap"},
    "import collections as c\nprint(c.Counter('aab')['a'])": {"structure:counter"},
    "from collections import deque\nq = deque([1])\nprint(q.popleft())": {"structure:deque"},
    "t = [[0] * 3 for _ in range(3)]\nt[0][1] = 2\nprint(t)": {"structure:table"},
    "s = [1]\nwhile s:\n  x = s.pop()\n  if x < 9: s += [x * 2]\nprint(x)": {"structure:stack"},
    "q = [1]\nfor x in q:\n  if x < 9: q.append(x * 2)\nprint(x)": {"structure:queue"},
    "d = [0, 1]\nfor i in range(2, 9): d.append(d[i-1] + d[i-2])\nprint(d[8])": {"shape:table_recurrence"},
    "d = [0] * 9\nfor i in range(1, 9): d[i] = max(d[i-1], i)\nprint(d[8])": {"shape:table_recurrence"},
    "a, b = 0, 1\nfor _ in range(9): a, b = b, a + b\nprint(a)": {"shape:rolling"},
    "a, b = 12, 8\nwhile b: a, b = b, a % b\nprint(a)": {"shape:euclid"},
    "n = int(input())\nl, h = 0, n\nwhile l < h:\n  m = (l + h) // 2\n  if m * m < n: l = m + 1\n  else: h = m\nprint(l)":
        {"shape:binary_search"},
    "s = input()\ni, j = 0, len(s) - 1\nwhile i < j and s[i] == s[j]:\n  i += 1\n  j -= 1\nprint(i >= j)":
        {"shape:two_pointers"},
    "n = int(input())\ns = 0\nwhile n:\n  s += n % 10\n  n //= 10\nprint(s)": {"shape:digits"},
    "n = int(input())\nprint(n * (n + 1) // 2)": {"shape:closed_form"},
    "print(int(input()) & 1)": {"op:bit"},
    "a = set(input())\nprint(a & {'x'})": {"op:set"},
    "import math\nprint(math.gcd(4, 6))": {"call:math.gcd"},
    "from itertools import permutations as p\nprint(len(list(p('abc'))))": {"call:itertools.permutations"},
    "print(input()[::-1])": {"slice:reverse"},
}  # fmt: skip

UNSEEN = {
    "a = list(map(int, input().split()))\nprint(sum(a))": {"call:map", "method:split", "comprehension:list"},
    "a = [int(x) for x in input().split()]\nprint(sum(a))": {"comprehension:list", "method:split"},
    "import sys\nd = sys.stdin.read().split()\na = list(map(int, d[1:]))\nprint(sum(a))": {"slice", "call:map"},
    "import sys\ninput = sys.stdin.readline\nprint(int(input()) + 1)": {"call:sys.stdin.readline"},
    "r = lambda: list(map(int, input().split()))\na = r()\nprint(sum(a))": {"call:map", "lambda"},
    "a = sorted(input())\nfor x in a:\n    print(x)": {"loop:for"},
    "a = sorted(input())\nprint(' '.join(map(str, a)))": {"method:join", "call:map"},
    "a = sorted(input())\nprint(' '.join(str(x) for x in a))": {"comprehension:generator"},
    "a = []\nfor _ in range(int(input())):\n    a.append(int(input()))\nprint(max(a))": {"loop:for"},
    "for _ in range(int(input())):\n    n = int(input())\n    print(n * n)": {"loop:for"},
    "a = [3, 1]\na[0], a[1] = a[1], a[0]\nfor i in range(1): a[i] = a[i + 1]\nprint(a)": {"shape:table_recurrence"},
    "s = set('ab')\nwhile s:\n    print(s.pop() * 2)": {"structure:stack"},
    "print('%d' % 3)": {"op:mod"},
}  # fmt: skip


def algorithm(code: str) -> frozenset[str]:
    return frozenset(word for word in features(code) if not word.startswith("io:"))


@pytest.mark.parametrize("code", SEEN)
def test_features_are_seen(code: str) -> None:
    assert SEEN[code] <= features(code), sorted(features(code))


@pytest.mark.parametrize("code", UNSEEN)
def test_reading_and_printing_are_no_algorithm(code: str) -> None:
    assert not UNSEEN[code] & features(code), sorted(features(code))


def test_a_program_that_does_not_parse_has_no_features() -> None:
    with pytest.raises(DataError, match="syntax"):
        features("def f(:")


def test_a_tree_is_not_changed() -> None:
    tree = ast.parse("a = 1\nif False:\n    print(2)\nprint(a)")
    before = ast.dump(tree)
    assert features(tree) == features("a = 1\nprint(a)")
    assert ast.dump(tree) == before


def test_a_library_without_a_main_part_counts_whole() -> None:
    code = "class S:\n    def f(self, a):\n        for x in sorted(a):\n            print(x * 2)\n"
    assert {"loop:for", "call:sorted"} <= features(code)
    assert not {"loop:for", "call:sorted"} & features(code + "print(1)\n")


Rewrite = Callable[[str, random.Random], str]


def _reformat(code: str, rng: random.Random) -> str:
    lines = ast.unparse(ast.parse(code)).split("\n")
    return "\n".join(
        f"{line}  # {rng.random()}" if line.strip() and "'" not in line else line for line in lines
    )


def _wrap(code: str, rng: random.Random) -> str:
    """Put everything into a function that is called at once."""
    tree = ast.parse(code)
    uses_global = any(isinstance(node, ast.Global | ast.Nonlocal) for node in ast.walk(tree))
    stars = any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in tree.body
    )
    if uses_global or stars:
        return code
    body = "\n".join("    " + line for line in ast.unparse(tree).split("\n"))
    return f"def solve_it_all():\n{body}\nsolve_it_all()"


DEAD = [
    "if False:\n    for z1 in range(9):\n        z2 = sorted([z1])\n        print(z2)",
    "while 0:\n    print({1: 2})",
    "if 1 > 2:\n    import heapq\n    heapq.heappush([], 1)",
    "def z_unused(z3):\n    return [z_unused(z3 - 1) for z4 in range(z3)] if z3 else {}",
    "class ZUnused:\n    def go(self):\n        while self.go():\n            yield {1}",
    "z5 = {k: k for k in range(3)}",
    "z6 = [[0] * 3 for _ in range(3)]\nz6[1][2] = z6[0][1] + 1",
    "z7 = []\nfor z8 in range(3):\n    z7.append(z8 & 1)",
    "z9 = 5\nwhile z9 > 0:\n    z9 -= 2",
    "import itertools, collections",
    "z10 = lambda a: a ** 2",
    "'''some text'''",
    "pass",
    "assert True",
]


def _add_dead_code(code: str, rng: random.Random) -> str:
    """Put dead statements before a random top-level statement."""
    body = [ast.unparse(node) for node in ast.parse(code).body]
    for _ in range(3):
        body.insert(rng.randint(0, len(body)), rng.choice(DEAD))
    return "\n".join(body)


class _DeadInside(ast.NodeTransformer):
    """Puts dead statements into functions and loops: after returns and at the start of bodies."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.For | ast.While):
            dead = ast.parse(self.rng.choice(DEAD)).body
            if isinstance(node.body[-1], ast.Return | ast.Break):
                node.body.extend(ast.parse("print(sorted({1, 2}))").body)
            node.body[:0] = dead
        return node


def _add_dead_code_inside(code: str, rng: random.Random) -> str:
    return ast.unparse(ast.fix_missing_locations(_DeadInside(rng).visit(ast.parse(code))))


def _reorder(code: str, rng: random.Random) -> str:
    """Swap neighbouring top-level statements that do not depend on one another."""
    body = ast.parse(code).body
    for _ in range(4):
        place = rng.randrange(len(body))
        pair = body[place : place + 2]
        if len(pair) == 2 and all(_is_simple(node) for node in pair) and _independent(*pair):
            body[place : place + 2] = reversed(pair)
    return "\n".join(map(ast.unparse, body))


def _is_simple(node: ast.stmt) -> bool:
    calls = any(isinstance(part, ast.Call) for part in ast.walk(node))
    definition = isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)
    return definition or (isinstance(node, ast.Assign) and not calls)


def _independent(one: ast.stmt, other: ast.stmt) -> bool:
    def names(node: ast.stmt) -> set[str]:
        found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        found |= {
            part.asname or part.name for part in ast.walk(node) if isinstance(part, ast.alias)
        }
        return found | {part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef)}

    return not names(one) & names(other)


REWRITES: dict[str, Rewrite] = {
    "rename": renamed,
    "reformat": _reformat,
    "wrap": _wrap,
    "dead code": _add_dead_code,
    "dead code inside": _add_dead_code_inside,
    "reorder": _reorder,
}


@pytest.mark.parametrize("name", REWRITES)
def test_rewrites_that_keep_the_algorithm_keep_its_features(name: str) -> None:
    rng = random.Random(name)
    changed = 0
    for _, solutions in itertools.islice(generate(seed=1, problems_per_family=1), 40):
        for row in solutions:
            if row["claimed"]:
                other = REWRITES[name](row["code"], rng)
                changed += other != row["code"]
                assert algorithm(other) == algorithm(row["code"]), (
                    f"{row['code']}\n--- became\n{other}"
                )
    assert changed > 20


def test_rewrites_after_one_another_keep_the_features() -> None:
    rng = random.Random(7)
    for _, solutions in itertools.islice(generate(seed=2, problems_per_family=1), 40):
        for row in solutions[:6]:
            code = row["code"]
            for name in ("dead code inside", "rename", "dead code", "reformat", "reorder"):
                code = REWRITES[name](code, rng)
            assert algorithm(code) == algorithm(row["code"]), code
