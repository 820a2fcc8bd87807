"""The key of a program: what must not change it, what must, and what has none."""

import itertools
import random

import pytest

from raymode.sets.normalize import Normalized, Rejection, normalize
from raymode.sources.embedded import generate

SAME = {
    "layout and comments": ("a=1;print( a )", "# one\na = 1\n\n\nprint(a)  # two\n"),
    "docstring": (
        'def f():\n    """Doc."""\n    return 1\nprint(f())',
        "def f():\n return 1\nprint(f())",
    ),
    "pass": ("for i in range(3):\n    pass\n    print(i)", "for i in range(3): print(i)"),
    "assigned names": ("a = 1\nb = a\nprint(b)", "x = 1\ny = x\nprint(y)"),
    "one name for two things": (
        "def f():\n i=1\n return i\ni=2\nprint(f(), i)",
        "def g():\n a=1\n return a\nb=2\nprint(g(), b)",
    ),
    "loop variables": ("for i in range(3): print(i)", "for j in range(3): print(j)"),
    "comprehension variables": ("print([i for i in [1] if i])", "print([k for k in [1] if k])"),
    "a comprehension that hides a name": (
        "x=[1]\nprint([x for x in x], x)",
        "y=[1]\nprint([z for z in y], y)",
    ),
    "exception names": (
        "try:\n 1/0\nexcept ValueError as e:\n print(e)",
        "try:\n 1/0\nexcept ValueError as err:\n print(err)",
    ),
    "functions and parameters": (
        "def f(a, *b, c=1, **d): return a, b, c, d\nprint(f(1))",
        "def g(x, *y, z=1, **t): return x, y, z, t\nprint(g(1))",
    ),
    "keywords of local functions": (
        "def f(a, b): return a - b\nprint(f(b=1, a=2))",
        "def f(x, y): return x - y\nprint(f(y=1, x=2))",
    ),
    "import aliases": ("import heapq as h\nh.heappop([1])", "import heapq\nheapq.heappop([1])"),
    "from imports": ("from heapq import heappop as p\np([1])", "import heapq\nheapq.heappop([1])"),
    "unused imports": ("import sys, os.path\nfrom math import gcd\nprint(1)", "print(1)"),
    "star imports": (
        "from heapq import *\nfrom math import *\nheappop([1])",
        "import heapq\nheapq.heappop([1])",
    ),
    "a base that every class has": (
        "class C(object): pass\nprint(C())",
        "class C: pass\nprint(C())",
    ),
    "order of imports": (
        "import math\nimport sys\nprint(math.pi, sys.argv)",
        "import sys\nimport math\nprint(math.pi, sys.argv)",
    ),
    "future": ("from __future__ import annotations\nprint(1)", "print(1)"),
    "annotations": (
        "def f(a: int) -> 'int':\n x: int = a\n return x\nprint(f(1))",
        "def f(a):\n x = a\n return x\nprint(f(1))",
    ),
    "global": (
        "n = 0\ndef f():\n global n\n n += 1\nf()\nprint(n)",
        "m = 0\ndef g():\n global m\n m += 1\ng()\nprint(m)",
    ),
    "nonlocal": (
        "def f():\n n=0\n def g():\n  nonlocal n\n  n+=1\n g()\n return n\nprint(f())",
        "def a():\n b=0\n def c():\n  nonlocal b\n  b+=1\n c()\n return b\nprint(a())",
    ),
    "walrus": ("if (n := 3) > 2: print(n)", "if (k := 3) > 2: print(k)"),
    "match": ("match [1]:\n case [x, *y]: print(x, y)", "match [1]:\n case [a, *b]: print(a, b)"),
    "elif": (
        "a=1\nif a: print(1)\nelif a+1: print(2)",
        "b=1\nif b: print(1)\nelse:\n if b+1: print(2)",
    ),
}

DIFFERENT = {
    "constants": ("print(1)", "print(2)"),
    "types of constants": ("print(1)", "print(True)"),
    "operators": ("a=1\nprint(a+1)", "a=1\nprint(a-1)"),
    "which name": ("a=1;b=2;print(a)", "a=1;b=2;print(b)"),
    "order of statements": ("a=1;print(a);a=2", "a=1;a=2;print(a)"),
    "builtins": ("print(min([1,2]))", "print(max([1,2]))"),
    "a builtin and a local name": (
        "def max(a): return a\nprint(max([1]))",
        "def f(a): return a\nprint(max([1]))",
    ),
    "attributes": ("print('a'.upper())", "print('a'.lower())"),
    "modules": ("import math as m\nm.f(1)", "import cmath as m\nm.f(1)"),
    "missing imports": ("import math\nprint(math.pi)", "print(math.pi)"),
    "unused imports that may fail": ("import numpy\nprint(1)", "print(1)"),
    "star imports that hide a builtin": (
        "from math import *\nprint(pow(2, 3))",
        "print(pow(2, 3))",
    ),
    "star imports of unknown names": ("from numpy import *\nprint(x)", "print(x)"),
    "star imports that a local name may hide": (
        "from math import *\nif input(): e = 1\nprint(e)",
        "if input(): e = 1\nprint(e)",
    ),
    "star imports and names as text": (
        "from math import *\nprint(eval(input()), globals())",
        "print(eval(input()), globals())",
    ),
    "global or local": (
        "n=0\ndef f():\n global n\n n=1\nf();print(n)",
        "n=0\ndef f():\n n=1\nf();print(n)",
    ),
    "keyword order of local functions": (
        "def f(a, b): return a - b\nprint(f(a=1, b=2))",
        "def f(a, b): return a - b\nprint(f(b=1, a=2))",
    ),
    "keywords of methods": (
        "class C:\n def m(self,a,b): return a-b\nprint(C().m(a=1,b=2))",
        "class C:\n def m(self,b,a): return b-a\nprint(C().m(a=1,b=2))",
    ),
    "keywords from a dict": (
        "def f(a,b): return a-b\nprint(f(**{'a':1,'b':2}))",
        "def f(b,a): return b-a\nprint(f(**{'a':1,'b':2}))",
    ),
    "names as text": ("a=1;b=2;print(eval('a'))", "b=1;a=2;print(eval('a'))"),
    "annotations that fail": (
        "def f(a: List): return a\nprint(f(1))",
        "def f(a): return a\nprint(f(1))",
    ),
    "dataclass fields": ("class C:\n a: int = 1", "class C:\n a = 1"),
    "else of a loop": (
        "for i in [1]: print(i)\nelse: print(2)",
        "for i in [1]: print(i)\nprint(2)",
    ),
    "defaults": ("def f(a=1): return a\nprint(f())", "def f(a=2): return a\nprint(f())"),
    "text": ("print('$0')", "print('$1')"),
}

REJECTED = {
    "python2": [
        "print 'x'", "print x", "try:\n    pass\nexcept E, e:\n    pass", "exec 'x'", "a = `1`",
        "if 1 <> 2: pass", "n = 10L", "raise ValueError, 'x'", "x = 0777", "n = raw_input()\nprint(n)",
        "for i in xrange(3):\n    print(i)", "import sys\nprint >>sys.stderr, 'x'\nprint 'y'",
    ],
    "syntax": ["def f(:", "x = = 1", "return 1 +", "\0", "  x = 1\n y = 2", "'unclosed", "if x print(1)"],
}  # fmt: skip


def key(code: str) -> str:
    found = normalize(code)
    assert isinstance(found, Normalized), found
    return found.key


@pytest.mark.parametrize("name", SAME)
def test_surface_does_not_change_the_key(name: str) -> None:
    one, other = SAME[name]
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize("name", DIFFERENT)
def test_meaning_changes_the_key(name: str) -> None:
    one, other = DIFFERENT[name]
    assert key(one) != key(other)


def test_imports_in_three_spellings_have_one_key() -> None:
    assert key(SAME["import aliases"][0]) == key(SAME["from imports"][0])
    assert key(SAME["import aliases"][0]) != key(SAME["order of imports"][0])


@pytest.mark.parametrize(
    ("reason", "code"), [(reason, code) for reason, codes in REJECTED.items() for code in codes]
)
def test_rejection_names_its_reason(reason: str, code: str) -> None:
    found = normalize(code)
    assert isinstance(found, Rejection)
    assert found.reason == reason
    assert "\n" not in found.detail
    assert found.detail


def test_a_program_for_both_versions_is_kept() -> None:
    assert isinstance(
        normalize("try:\n    input = raw_input\nexcept NameError:\n    pass"), Normalized
    )


def test_deep_programs_neither_fail_nor_recurse() -> None:
    chain = "x = " + "+".join(["1"] * 900)
    ladder = "x = 3\nif x == 0: pass\n" + "".join(
        f"elif x == {i}: print({i})\n" for i in range(300)
    )
    nested = "x = " + "[" * 5000 + "]" * 5000
    assert isinstance(normalize(chain), Normalized)
    assert isinstance(normalize(ladder), Normalized)
    assert isinstance(normalize(nested), Rejection)
    assert isinstance(normalize("x = " + "-" * 200_000 + "1"), Rejection)


def test_a_huge_constant_has_a_key() -> None:
    assert key(f"print(0x{'f' * 20000})") != key(f"print(0x{'e' * 20000})")


def test_renamed_duplicates_of_the_generator_have_the_key_of_their_original() -> None:
    checked = 0
    for _, solutions in itertools.islice(generate(seed=3, problems_per_family=2), 60):
        keys = {row["label"]: key(row["code"]) for row in solutions if row["claimed"]}
        for label, found in keys.items():
            if label.startswith("renamed:"):
                assert found == keys[label.removeprefix("renamed:")], label
                checked += 1
        originals = [found for label, found in keys.items() if not label.startswith("renamed:")]
        assert len(set(originals)) == len(originals)
    assert checked >= 60


def test_random_consistent_renaming_keeps_the_key_and_a_mixed_up_one_does_not() -> None:
    template = "def {0}({1}):\n    {2} = {1} + 1\n    for {3} in range({2}):\n        {1} += {3}\n    return {1} * {2}\nprint({0}(2))"
    original = key(template.format("f", "a", "b", "c"))
    rng = random.Random(0)
    for _ in range(50):
        names = rng.sample(["f", "a", "b", "c", "total", "i", "n", "key", "self"], 4)
        assert key(template.format(*names)) == original
    for mixed in (("f", "a", "a", "c"), ("f", "a", "b", "a"), ("f", "a", "b", "b")):
        assert key(template.format(*mixed)) != original
