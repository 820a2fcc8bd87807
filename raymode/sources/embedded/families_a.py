"""Six families on whole numbers: one integer is read, one is printed."""

import random
from functools import partial

from .family import Family, Setting, edge_or_random, grid


def _read_n(edges: tuple[str, ...], high: int, rng: random.Random, at: Setting, index: int) -> str:
    """Return "n", from `edges` first: sums such as "k+k+1" of parameters and integers."""
    numbers = [sum(int(at.get(term, term)) for term in edge.split("+")) for edge in edges]
    return f"{edge_or_random(rng, index, numbers, high)}\n"


def _sum_multiples(text: str, at: Setting) -> str:
    return f"{sum(i for i in range(int(text)) if i % int(at['k']) == 0)}\n"


SUM_MULTIPLES = Family(
    name="sum_multiples",
    topic="number theory",
    statement="Read n. Print the sum of all i < n divisible by $k.",
    parameters=grid(k=range(2, 66)),
    make_input=partial(_read_n, ("1", "k", "k+1", "k+k", "k+k+1", "k+k+k"), 200),
    answer=_sum_multiples,
    right={
        "loop": "n = int(input())\ns = 0\nfor i in range(n):\n    if i % $k == 0:\n"
        "        s += i\nprint(s)",
        "while": "n = int(input())\ns = i = 0\nwhile i < n:\n    s += i\n    i += $k\nprint(s)",
        "recursion": "n = int(input())\ndef f(i):\n    return i + f(i + $k) if i < n else 0\n"
        "print(f(0))",
        "generator": "n = int(input())\nprint(sum(i for i in range(n) if i % $k == 0))",
        "formula": "n = int(input())\nm = (n - 1) // $k\nprint($k * m * (m + 1) // 2)",
        "library": "n = int(input())\nprint(sum(range(0, n, $k)))",
        "filter": "n = int(input())\nprint(sum(filter(lambda i: i % $k == 0, range(n))))",
        "reduce": "from functools import reduce\nn = int(input())\n"
        "print(reduce(lambda s, i: s + i, range(0, n, $k), 0))",
    },
    wrong={
        "off_by_one": "n = int(input())\nprint(sum(i for i in range(n + 1) if i % $k == 0))",
        "wrong_bound": "n = int(input())\nm = n // $k\nprint($k * m * (m + 1) // 2)",
        "count_not_sum": "n = int(input())\nprint(len(range(0, n, $k)))",
    },
    slow={
        "huge_loop": "n = int(input())\ns = 0\nfor i in range(10**9):\n"
        "    if i < n and i % $k == 0:\n        s += i\nprint(s)",
    },
    crash={"text_as_number": "n = input()\nprint(sum(range(0, n, $k)))"},
)


def _count_residue(text: str, at: Setting) -> str:
    return f"{sum(i % int(at['k']) == at['r'] for i in range(1, int(text) + 1))}\n"


COUNT_RESIDUE = Family(
    name="count_residue",
    topic="number theory",
    statement="Read n. Print how many i from 1 to n have i % $k == $r.",
    parameters=tuple({"k": k, "r": r} for k in range(5, 17) for r in range(1, k, 2)),
    make_input=partial(_read_n, ("1", "r", "r+1", "r+r", "k", "r+k", "k+k", "r+k+k+1"), 150),
    answer=_count_residue,
    right={
        "loop": "n = int(input())\nc = 0\nfor i in range(1, n + 1):\n    if i % $k == $r:\n"
        "        c += 1\nprint(c)",
        "while": "n = int(input())\nc = 0\nwhile n >= $r:\n    c += 1\n    n -= $k\nprint(c)",
        "recursion": "n = int(input())\ndef f(i):\n    return 1 + f(i + $k) if i <= n else 0\n"
        "print(f($r))",
        "generator": "n = int(input())\nprint(sum(i % $k == $r for i in range(1, n + 1)))",
        "formula": "n = int(input())\nprint((n + $k - $r) // $k)",
        "library": "n = int(input())\nprint(len(range($r, n + 1, $k)))",
        "counter": "from collections import Counter\nn = int(input())\n"
        "print(Counter(i % $k for i in range(1, n + 1))[$r])",
        "filter": "n = int(input())\n"
        "print(len(list(filter(lambda i: i % $k == $r, range(n + 1)))))",
        "dp": "n = int(input())\nd = [0] * (n + $k)\nfor i in range(1, n + 1):\n"
        "    d[i] = d[i - 1] + (i % $k == $r)\nprint(d[n])",
    },
    wrong={
        "off_by_one": "n = int(input())\nprint(sum(i % $k == $r for i in range(1, n)))",
        "wrong_formula": "n = int(input())\nprint(n // $k)",
        "wrong_condition": "n = int(input())\nprint(sum(i % $r == 0 for i in range(1, n + 1)))",
    },
    slow={
        "huge_loop": "n = int(input())\nc = 0\nfor i in range(1, 10**9):\n"
        "    if i <= n and i % $k == $r:\n        c += 1\nprint(c)",
    },
    crash={
        "no_conversion": "n = input()\nc = 0\nwhile n >= $r:\n    c += 1\n    n -= $k\nprint(c)",
    },
)


def _digit_sum_base(text: str, at: Setting) -> str:
    n, base, total = int(text), int(at["b"]), 0
    while n:
        n, digit = divmod(n, base)
        total += digit
    return f"{total}\n"


DIGIT_SUM_BASE = Family(
    name="digit_sum_base",
    topic="number theory",
    statement="Read n. Print the sum of the digits of n in base $b.",
    parameters=grid(b=range(2, 66)),
    make_input=partial(_read_n, ("0", "1", "b+1", "b", "b+b", "b+b+1", "100", "999"), 2000),
    answer=_digit_sum_base,
    right={
        "while": "n = int(input())\ns = 0\nwhile n:\n    s += n % $b\n    n //= $b\nprint(s)",
        "recursion": "def f(n):\n    return n % $b + f(n // $b) if n else 0\n"
        "print(f(int(input())))",
        "generator": "n = int(input())\nprint(sum(n // $b**i % $b for i in range(20)))",
        "stack": "n = int(input())\nd = []\nwhile n:\n    n, r = divmod(n, $b)\n    d.append(r)\n"
        "print(sum(d))",
        "dp": "n = int(input())\nd = [0]\nfor i in range(1, n + 1):\n"
        "    d.append(d[i // $b] + i % $b)\nprint(d[n])",
        "greedy": "n = int(input())\nc = 0\nfor i in range(20, -1, -1):\n    while n >= $b**i:\n"
        "        n -= $b**i\n        c += 1\nprint(c)",
        "reduce": "from functools import reduce\nn = int(input())\n"
        "print(reduce(lambda s, i: s + n // $b**i % $b, range(20), 0))",
        "loop": "n = int(input())\ns = n\nfor i in range(1, 20):\n"
        "    s -= ($b - 1) * (n // $b**i)\nprint(s)",
    },
    wrong={
        "off_by_one": "n = int(input())\ns = 0\nwhile n > 1:\n    s += n % $b\n    n //= $b\n"
        "print(s)",
        "count_not_sum": "n = int(input())\ns = 0\nwhile n:\n    s += 1\n    n //= $b\nprint(s)",
    },
    slow={
        "huge_loop": "n = int(input())\n"
        "print(sum(n // $b**i % $b if i < 20 else 0 for i in range(10**9)))",
    },
    crash={"divide_text": "n = input()\ns = 0\nwhile n:\n    s += n // $b\nprint(s)"},
)


def _power_mod(text: str, at: Setting) -> str:
    return f"{pow(int(at['b']), int(text), int(at['m']))}\n"


POWER_MOD = Family(
    name="power_mod",
    topic="number theory",
    statement="Read n. Print $b to the power n, modulo $m.",
    parameters=grid(b=(2, 3, 5, 6, 7), m=(11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59)),
    make_input=partial(_read_n, ("0", "1", "2", "3", "5", "m"), 300),
    answer=_power_mod,
    right={
        "loop": "n = int(input())\nx = 1\nfor i in range(n):\n    x = x * $b % $m\nprint(x)",
        "recursion": "def f(n):\n    if n == 0:\n        return 1\n"
        "    return f(n // 2) ** 2 * $b ** (n % 2) % $m\nprint(f(int(input())))",
        "bits": "n = int(input())\nx, y = 1, $b\nwhile n:\n    if n & 1:\n        x = x * y % $m\n"
        "    y = y * y % $m\n    n >>= 1\nprint(x)",
        "reduce": "from functools import reduce\nn = int(input())\n"
        "print(reduce(lambda x, i: x * $b % $m, range(n), 1))",
        "dp": "n = int(input())\nd = [1]\nfor i in range(n):\n    d.append(d[i] * $b % $m)\n"
        "print(d[n])",
        "library": "n = int(input())\nprint(pow($b, n, $m))",
        "formula": "n = int(input())\nprint($b**n % $m)",
        "while": "n = int(input())\np, x = [1], $b\nwhile x != 1:\n    p.append(x)\n"
        "    x = x * $b % $m\nprint(p[n % len(p)])",
    },
    wrong={
        "off_by_one": "n = int(input())\nx = $b\nfor i in range(n):\n    x = x * $b % $m\nprint(x)",
        "product_not_power": "n = int(input())\nprint($b * n % $m)",
    },
    slow={
        "huge_loop": "n = int(input())\nx = 1\nfor i in range(10**9):\n    if i < n:\n"
        "        x = x * $b % $m\nprint(x)",
    },
    crash={"power_of_text": "n = input()\nprint(pow($b, n, $m))"},
)


def _affine_steps(text: str, at: Setting) -> str:
    x = 0
    for _ in range(int(text)):
        x = (x * int(at["a"]) + int(at["b"])) % 100
    return f"{x}\n"


AFFINE_STEPS = Family(
    name="affine_steps",
    topic="simulation",
    statement="Read n. Start at x = 0. Do n times x = (x * $a + $b) % 100. Print x.",
    parameters=grid(a=range(2, 10), b=range(3, 34, 4)),
    make_input=partial(_read_n, ("0", "1", "2", "3", "4"), 150),
    answer=_affine_steps,
    right={
        "loop": "n = int(input())\nx = 0\nfor i in range(n):\n    x = (x * $a + $b) % 100\n"
        "print(x)",
        "while": "n = int(input())\nx = 0\nwhile n:\n    x = (x * $a + $b) % 100\n    n -= 1\n"
        "print(x)",
        "recursion": "def f(n):\n    return (f(n - 1) * $a + $b) % 100 if n else 0\n"
        "print(f(int(input())))",
        "generator": "n = int(input())\nprint(sum($b * $a**i for i in range(n)) % 100)",
        "formula": "n = int(input())\nprint(($a**n - 1) // ($a - 1) * $b % 100)",
        "dp": "n = int(input())\nd = [0]\nfor i in range(n):\n"
        "    d.append((d[i] * $a + $b) % 100)\nprint(d[n])",
        "reduce": "from functools import reduce\nn = int(input())\n"
        "print(reduce(lambda x, i: (x * $a + $b) % 100, range(n), 0))",
        "library": "from itertools import accumulate\nn = int(input())\n"
        "*y, x = accumulate([0] * (n + 1), lambda x, i: (x * $a + $b) % 100)\nprint(x)",
    },
    wrong={
        "off_by_one": "n = int(input())\nx = 0\nfor i in range(n + 1):\n"
        "    x = (x * $a + $b) % 100\nprint(x)",
        "wrong_order": "n = int(input())\nx = 0\nfor i in range(n):\n    x = (x + $b) * $a % 100\n"
        "print(x)",
    },
    slow={
        "huge_loop": "n = int(input())\nx = 0\nfor i in range(10**9):\n    if i < n:\n"
        "        x = (x * $a + $b) % 100\nprint(x)",
    },
    crash={
        "unset_name": "n = int(input())\nfor i in range(n + 1):\n    x = (x * $a + $b) % 100\n"
        "print(x)",
    },
)


def _first_reaching(text: str, at: Setting) -> str:
    i = 0
    while int(at["a"]) * i * i + int(at["b"]) * i < int(text):
        i += 1
    return f"{i}\n"


FIRST_REACHING = Family(
    name="first_reaching",
    topic="searching",
    statement="Read n. Print the first i >= 0 with $a * i * i + $b * i >= n.",
    parameters=grid(a=range(2, 10), b=range(3, 18, 2)),
    make_input=partial(_read_n, ("0", "1", "a+b", "a+b+1", "a+a+a+a+b+b", "999"), 3000),
    answer=_first_reaching,
    right={
        "loop": "n = int(input())\nfor i in range(n + 1):\n    if $a * i * i + $b * i >= n:\n"
        "        break\nprint(i)",
        "while": "n = int(input())\ni = 0\nwhile $a * i * i + $b * i < n:\n    i += 1\nprint(i)",
        "recursion": "n = int(input())\ndef f(i):\n"
        "    return i if $a * i * i + $b * i >= n else f(i + 1)\nprint(f(0))",
        "generator": "n = int(input())\nprint(sum($a * i * i + $b * i < n for i in range(n)))",
        "binary_search": "n = int(input())\ni, j = 0, n\nwhile i < j:\n    m = (i + j) // 2\n"
        "    if $a * m * m + $b * m < n:\n        i = m + 1\n    else:\n        j = m\nprint(i)",
        "bisect": "from bisect import bisect_left\nn = int(input())\n"
        "a = [$a * i * i + $b * i for i in range(n + 1)]\nprint(bisect_left(a, n))",
        "library": "from itertools import count\nn = int(input())\n"
        "print(next(i for i in count() if $a * i * i + $b * i >= n))",
        "filter": "n = int(input())\n"
        "print(min(filter(lambda i: $a * i * i + $b * i >= n, range(n + 1))))",
        "jumps": "n = int(input())\ni = 0\nfor j in (32, 16, 8, 4, 2, 1):\n    m = i + j - 1\n"
        "    if $a * m * m + $b * m < n:\n        i += j\nprint(i)",
        "sums": "n = int(input())\ni = 0\nwhile n > 0:\n    n -= $a * (2 * i + 1) + $b\n"
        "    i += 1\nprint(i)",
    },
    wrong={
        "off_by_one": "n = int(input())\ni = 0\nwhile $a * i * i + $b * i <= n:\n    i += 1\n"
        "print(i)",
        "last_below": "n = int(input())\ni = 0\nwhile $a * i * i + $b * i < n:\n    i += 1\n"
        "print(i - 1)",
    },
    slow={
        "search_down": "n = int(input())\ni = 10**9\n"
        "while i and $a * (i - 1)**2 + $b * (i - 1) >= n:\n    i -= 1\nprint(i)",
    },
    crash={
        "text_compare": "n = input()\ni = 0\nwhile $a * i * i + $b * i < n:\n    i += 1\nprint(i)",
    },
)

FAMILIES = (SUM_MULTIPLES, COUNT_RESIDUE, DIGIT_SUM_BASE, POWER_MOD, AFFINE_STEPS, FIRST_REACHING)
