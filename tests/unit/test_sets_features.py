"""Features: what they see and what they leave out; test_sets_rewrites.py says what keeps them."""

import ast

import pytest

from raymode.errors import DataError
from raymode.sets.features import features

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
    "from collections import *\nprint(Counter(input()))": {"structure:counter"},
    "from collections import *\nfrom typing import *\nprint(Counter(input()))": {"structure:counter"},
    "from math import *\nprint(gcd(4, 6))": {"call:math.gcd"},
    "from math import *\nfrom builtins import *\nprint(pow(4, 6))": {"call:pow"},
    "class S(object):\n  def f(self): return self.g()\n  def g(self): return 1\nprint(S().f())":
        {"shape:closed_form"},
    "f = lambda a: sorted(a)": {"call:sorted"},
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
    "class S(object):\n  def f(self): return 1\nprint(S().f())": {"call:object"},
    "class S(object):\n  def f(self): return 1\n  def g(self): return sorted('ab')\nprint(S().f())": {"call:sorted"},
    "for i in reversed(range(3)): print(i * 2)": {"call:reversed"},
    "from math import *\nfrom other import *\nprint(gcd(4, 6))": {"call:math.gcd"},
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
