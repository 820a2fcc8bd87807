"""Three families on pairs, intervals and tables."""

import random
from itertools import combinations

from .family import Family, Setting, edge_or_random, grid


def _close_pairs_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    edges = ([5], [1, k + 1], [3, 1, 2], [k + 2, 1, k + 3, 2])
    if index < len(edges):
        numbers = edges[index]
    else:
        numbers = [rng.randint(1, k + 40) for _ in range(rng.randint(4, 10))]
    return " ".join(map(str, numbers)) + "\n"


def _close_pairs(stdin: str, setting: Setting) -> str:
    pairs = combinations(map(int, stdin.split()), 2)
    return f"{sum(abs(x - y) <= int(setting['k']) for x, y in pairs)}\n"


CLOSE_PAIRS = Family(
    name="close_pairs",
    topic="searching",
    statement="Read numbers. Print how many pairs of them are at most $k apart.",
    parameters=grid(k=range(2, 65)),
    make_input=_close_pairs_input,
    answer=_close_pairs,
    right={
        "loop": "a = list(map(int, input().split()))\nc = 0\nfor i in range(len(a)):\n"
        "    for j in range(i):\n        if abs(a[i] - a[j]) <= $k:\n            c += 1\nprint(c)",
        "library": "from itertools import combinations\na = map(int, input().split())\n"
        "print(sum(abs(x - y) <= $k for x, y in combinations(a, 2)))",
        "two_pointers": "a = sorted(map(int, input().split()))\ni = c = 0\n"
        "for j in range(len(a)):\n    while a[j] - a[i] > $k:\n        i += 1\n    c += j - i\n"
        "print(c)",
        "bisect": "from bisect import bisect\na = sorted(map(int, input().split()))\nc = 0\n"
        "for i in range(len(a)):\n    c += bisect(a, a[i] + $k) - i - 1\nprint(c)",
        "queue": "from collections import deque\nq = deque()\nc = 0\n"
        "for x in sorted(map(int, input().split())):\n    while q and x - q[0] > $k:\n"
        "        q.popleft()\n    c += len(q)\n    q.append(x)\nprint(c)",
        "counter": "from collections import Counter\nd = Counter()\nc = 0\n"
        "for x in map(int, input().split()):\n"
        "    c += sum(d[i] for i in range(x - $k, x + $k + 1))\n    d[x] += 1\nprint(c)",
        "stack": "a = list(map(int, input().split()))\nc = 0\nwhile a:\n    x = a.pop()\n"
        "    c += sum(abs(x - y) <= $k for y in a)\nprint(c)",
        "recursion": "def f(a):\n    if not a:\n        return 0\n"
        "    return sum(abs(a[0] - x) <= $k for x in a[1:]) + f(a[1:])\n"
        "print(f(list(map(int, input().split()))))",
        "comprehension": "a = list(map(int, input().split()))\n"
        "b = [0 for x in a for y in a if abs(x - y) <= $k]\nprint((len(b) - len(a)) // 2)",
    },
    wrong={
        "strictly_less": "from itertools import combinations\na = map(int, input().split())\n"
        "print(sum(abs(x - y) < $k for x, y in combinations(a, 2)))",
        "neighbours": "a = sorted(map(int, input().split()))\n"
        "print(sum(y - x <= $k for x, y in zip(a, a[1:])))",
    },
    slow={
        "all_gaps": "a = list(map(int, input().split()))\nc = 0\nfor i in range(10 ** 9):\n"
        "    if i <= $k:\n        for j in range(len(a)):\n"
        "            c += sum(abs(a[j] - x) == i for x in a[:j])\nprint(c)",
    },
    crash={
        "past_the_end": "a = list(map(int, input().split()))\nc = 0\nfor i in range(len(a)):\n"
        "    for j in range(i, len(a)):\n        c += abs(a[i] - a[j + 1]) <= $k\nprint(c)",
    },
)


def _covered_cells_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    edges = ([5], [3, 2], [1, 3 * k], [4, k + 3, 4])
    if index < len(edges):
        starts = edges[index]
    else:
        starts = [rng.randint(0, 2 * k + 30) for _ in range(rng.randint(3, 8))]
    return " ".join(map(str, starts)) + "\n"


def _covered_cells(stdin: str, setting: Setting) -> str:
    starts = map(int, stdin.split())
    return f"{len({cell for x in starts for cell in range(x, x + int(setting['k']))})}\n"


COVERED_CELLS = Family(
    name="covered_cells",
    topic="intervals",
    statement="Read numbers. Each x covers $k cells from x up. Print how many are covered.",
    parameters=grid(k=range(2, 65)),
    make_input=_covered_cells_input,
    answer=_covered_cells,
    right={
        "set": "s = set()\nfor x in map(int, input().split()):\n    s |= set(range(x, x + $k))\n"
        "print(len(s))",
        "comprehension": "a = map(int, input().split())\n"
        "print(len({x + i for x in a for i in range($k)}))",
        "sort": "a = sorted(map(int, input().split()))\n"
        "print($k + sum(min($k, y - x) for x, y in zip(a, a[1:])))",
        "loop": "c = e = 0\nfor x in sorted(map(int, input().split())):\n"
        "    c += x + $k - max(x, e)\n    e = x + $k\nprint(c)",
        "slice": "d = [0] * 300\nfor x in map(int, input().split()):\n    d[x:x + $k] = [1] * $k\n"
        "print(sum(d))",
        "generator": "a = list(map(int, input().split()))\n"
        "print(sum(any(x <= i < x + $k for x in a) for i in range(300)))",
        "bits": "m = 0\nfor x in map(int, input().split()):\n    m |= 2 ** $k - 1 << x\n"
        "print(bin(m).count('1'))",
        "library": "from itertools import accumulate\nd = [0] * 300\n"
        "for x in map(int, input().split()):\n    d[x] += 1\n    d[x + $k] -= 1\n"
        "print(sum(c > 0 for c in accumulate(d)))",
        "recursion": "def f(a):\n    if len(a) == 1:\n        return $k\n"
        "    return min($k, a[1] - a[0]) + f(a[1:])\nprint(f(sorted(map(int, input().split()))))",
    },
    wrong={
        "no_overlap": "print($k * len(set(input().split())))",
        "no_gaps": "a = list(map(int, input().split()))\nprint(max(a) - min(a) + $k)",
        "unsorted": "a = list(map(int, input().split()))\n"
        "print($k + sum(min($k, abs(y - x)) for x, y in zip(a, a[1:])))",
    },
    slow={
        "all_cells": "a = list(map(int, input().split()))\n"
        "print(sum(any(x <= i < x + $k for x in a) for i in range(10 ** 9)))",
    },
    crash={
        "short_table": "d = [0] * $k\nfor x in map(int, input().split()):\n"
        "    for i in range($k):\n        d[x + i] = 1\nprint(sum(d))",
    },
)


def _table_count_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    return f"{edge_or_random(rng, index, (1, k, k - 1, k // 2), k + 10)}\n"


def _table_count(stdin: str, setting: Setting) -> str:
    n, k = int(stdin), int(setting["k"])
    return f"{sum(i * j == k for i in range(1, n + 1) for j in range(1, n + 1))}\n"


TABLE_COUNT = Family(
    name="table_count",
    topic="matrix",
    statement="Read n. Print how many cells of the n by n times table hold $k.",
    # no primes: they stand only in the table's first row and column
    parameters=grid(k=[k for k in range(6, 100) if sum(k % i == 0 for i in range(1, k)) > 2]),
    make_input=_table_count_input,
    answer=_table_count,
    right={
        "loop": "n = int(input())\nc = 0\nfor i in range(1, n + 1):\n"
        "    for j in range(1, n + 1):\n        if i * j == $k:\n            c += 1\nprint(c)",
        "generator": "n = int(input())\n"
        "print(sum($k % i == 0 and $k // i <= n for i in range(1, n + 1)))",
        "comprehension": "r = range(1, int(input()) + 1)\n"
        "print([i * j for i in r for j in r].count($k))",
        "library": "from itertools import product\nr = range(1, int(input()) + 1)\n"
        "print(sum(i * j == $k for i, j in product(r, r)))",
        "counter": "from collections import Counter\nr = range(1, int(input()) + 1)\n"
        "c = Counter(i * j for i in r for j in r)\nprint(c[$k])",
        "two_pointers": "n = j = int(input())\ni = 1\nc = 0\nwhile i <= n and j:\n"
        "    c += i * j == $k\n    if i * j < $k:\n        i += 1\n    else:\n        j -= 1\n"
        "print(c)",
        "set": "n = int(input())\ns = {i for i in range(1, n + 1) if $k % i == 0}\n"
        "print(len(s & {$k // i for i in s}))",
        "recursion": "n = int(input())\ndef f(i):\n    if i > n:\n        return 0\n"
        "    return (i * n >= $k and $k % i == 0) + f(i + 1)\nprint(f(1))",
        "while": "n = int(input())\ni = $k\nc = 0\nwhile i:\n"
        "    if $k % i == 0 and i <= n and $k // i <= n:\n        c += 1\n    i -= 1\nprint(c)",
        "slice": "n = int(input())\n"
        "print(sum($k in range(i, n * i + 1, i) for i in range(1, n + 1)))",
    },
    wrong={
        "divisors": "n = int(input())\nprint(sum($k % i == 0 for i in range(1, n + 1)))",
        "half_table": "r = range(1, int(input()) + 1)\n"
        "print(sum(i * j == $k for i in r for j in r if i <= j))",
    },
    slow={
        "big_table": "n = int(input())\nr = range(1, 10 ** 5)\n"
        "print(sum(i * j == $k for i in r for j in r if i <= n and j <= n))",
    },
    crash={
        "zero_row": "n = int(input())\n"
        "print(sum($k % i == 0 and $k // i <= n for i in range(n + 1)))",
    },
)

FAMILIES: tuple[Family, ...] = (CLOSE_PAIRS, COVERED_CELLS, TABLE_COUNT)
