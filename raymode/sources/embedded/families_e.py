"""Five families on graphs of numbers and on simulated rings."""

import random
from collections import deque

from .family import Family, Setting, edge_or_random, grid


def _reached_cells_input(rng: random.Random, setting: Setting, index: int) -> str:
    a, b = int(setting["a"]), int(setting["b"])
    return f"{edge_or_random(rng, index, (0, a, a + b, 2 * b), 60)}\n"


def _reached_cells(stdin: str, setting: Setting) -> str:
    a, b, last = int(setting["a"]), int(setting["b"]), int(stdin)
    reached = {0}
    for cell in range(1, last + 1):
        if cell - a in reached or cell - b in reached:
            reached.add(cell)
    return f"{len(reached)}\n"


REACHED_CELLS = Family(
    name="reached_cells",
    topic="graphs",
    statement="Read n. Print how many of the cells 0 to n jumps of +$a and +$b reach from 0.",
    # b < 2a, so that b is no multiple of a and both jumps matter
    parameters=tuple({"a": a, "b": b} for a in range(3, 13) for b in range(a + 1, 2 * a)),
    make_input=_reached_cells_input,
    answer=_reached_cells,
    right={
        "set": "n = int(input())\ns = {0}\nfor i in range(n + 1):\n    if i in s:\n"
        "        s |= {i + $a, i + $b}\nprint(len([x for x in s if x <= n]))",
        "comprehension": "n = int(input())\nr = range(n + 1)\n"
        "print(len({i + j for i in r[::$a] for j in r[::$b] if i + j <= n}))",
        "dp": "n = int(input())\nd = [1] + [0] * n\nfor i in range(1, n + 1):\n"
        "    for k in ($a, $b):\n        if k <= i and d[i - k]:\n            d[i] = 1\n"
        "print(sum(d))",
        "stack": "n = int(input())\ns = [0]\nv = set()\nwhile s:\n    x = s.pop()\n"
        "    if x <= n and x not in v:\n        v.add(x)\n        s += [x + $a, x + $b]\n"
        "print(len(v))",
        "recursion": "n = int(input())\nv = set()\ndef f(x):\n    if x <= n and x not in v:\n"
        "        v.add(x)\n        f(x + $a)\n        f(x + $b)\nf(0)\nprint(len(v))",
        "bits": "n = int(input())\ns = 1\nfor i in range(n):\n    s |= s << $a | s << $b\n"
        "print((s & (2 << n) - 1).bit_count())",
        "loop": "n = int(input())\nc = 0\nfor x in range(n + 1):\n    while x > 0 and x % $b:\n"
        "        x -= $a\n    if x >= 0:\n        c += 1\nprint(c)",
        "generator": "n = int(input())\n"
        "print(sum(any((x - i) % $b == 0 for i in range(0, x + 1, $a)) for x in range(n + 1)))",
    },
    wrong={
        "one_kind": "n = int(input())\n"
        "print(sum(i % $a == 0 or i % $b == 0 for i in range(n + 1)))",
        "no_start": "n = int(input())\ns = {0}\nfor i in range(1, n + 1):\n"
        "    if i - $a in s or i - $b in s:\n        s.add(i)\nprint(len(s) - 1)",
    },
    slow={
        "all_pairs": "n = int(input())\ns = set()\nfor i in range(10 ** 5):\n"
        "    for j in range(10 ** 5):\n        if $a * i + $b * j <= n:\n"
        "            s.add($a * i + $b * j)\nprint(len(s))",
    },
    crash={
        "short_table": "n = int(input())\nd = [1]\nfor i in range(n + 1):\n"
        "    d[i] = d[i - $a] or d[i - $b]\nprint(sum(d))",
    },
)


def _fewest_moves_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    # 2k + 2: multiplying as early as possible is not the best
    return f"{edge_or_random(rng, index, (1, k, 2 * k + 2, k * k + 1), 99 + 3 * k)}\n"


def _fewest_moves(stdin: str, setting: Setting) -> str:
    k, n, moves = int(setting["k"]), int(stdin), 0
    while n > 1:
        n = n // k if n % k == 0 else n - 1
        moves += 1
    return f"{moves}\n"


FEWEST_MOVES = Family(
    name="fewest_moves",
    topic="graphs",
    statement="Read n. Print the fewest steps from 1 to n; a step adds 1 or multiplies by $k.",
    parameters=grid(k=range(2, 65)),
    make_input=_fewest_moves_input,
    answer=_fewest_moves,
    right={
        "while": "n = int(input())\nc = 0\nwhile n > 1:\n    if n % $k:\n        n -= 1\n"
        "    else:\n        n //= $k\n    c += 1\nprint(c)",
        "recursion": "def f(n):\n    if n < $k:\n        return n - 1\n"
        "    return f(n // $k) + n % $k + 1\nprint(f(int(input())))",
        "dp": "n = int(input())\nd = [0, 0]\nfor i in range(2, n + 1):\n"
        "    d.append(d[i - 1] + 1)\n    if i % $k == 0:\n        d[i] = d[i // $k] + 1\n"
        "print(d[n])",
        "set": "n = int(input())\ns = {1}\nc = 0\nwhile n not in s:\n"
        "    s = {y for x in s for y in (x + 1, x * $k) if y <= n}\n    c += 1\nprint(c)",
        "queue": "n = int(input())\nd = {1: 0}\nq = [1]\nfor x in q:\n"
        "    for y in (x + 1, x * $k):\n        if y <= n and y not in d:\n"
        "            d[y] = d[x] + 1\n            q.append(y)\nprint(d[n])",
        "formula": "n = int(input())\ni = 1\nc = -2\nwhile i <= n:\n    c += n // i % $k + 1\n"
        "    i *= $k\nprint(c)",
        "heap": "from heapq import heappop, heappush\nh = [(0, int(input()))]\nwhile h[0][1] > 1:\n"
        "    c, x = heappop(h)\n    heappush(h, (c + 1, x - 1))\n"
        "    heappush(h, (c + 1 + x % $k, x // $k))\nprint(h[0][0])",
        "generator": "n = int(input())\n"
        "print(sum(n // $k ** i % $k + (n >= $k ** i) for i in range(20)) - 2)",
    },
    wrong={
        "multiply_first": "n = int(input())\nx = 1\nc = 0\nwhile x < n:\n"
        "    x = x * $k if x * $k <= n else x + 1\n    c += 1\nprint(c)",
        "from_zero": "n = int(input())\nc = 0\nwhile n:\n    if n % $k:\n        n -= 1\n"
        "    else:\n        n //= $k\n    c += 1\nprint(c)",
    },
    slow={
        "from_above": "def f(n):\n    if n < $k:\n        return n - 1\n"
        "    return f(n // $k) + n % $k + 1\nn = f(int(input()))\nc = 10 ** 9\nwhile c > n:\n"
        "    c -= 1\nprint(c)",
    },
    crash={
        "no_base_case": "def f(n):\n    if n % $k:\n        return 1 + f(n - 1)\n"
        "    return 1 + f(n // $k)\nprint(f(int(input())))",
    },
)


def _gap_groups_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    edges = ([5], [1, 2, k + 1], [2 * k + 1, 1], [k + 1, 2 * k + 1, 1])
    if index < len(edges):
        numbers = edges[index]
    else:
        cells = [start + k * step for start in (1, 2) for step in range(6)] + [3 * k + 5]
        numbers = rng.sample(sorted(set(cells)), rng.randint(5, 9))
    return " ".join(map(str, numbers)) + "\n"


def _gap_groups(stdin: str, setting: Setting) -> str:
    numbers = set(map(int, stdin.split()))
    return f"{sum(number - int(setting['k']) not in numbers for number in numbers)}\n"


GAP_GROUPS = Family(
    name="gap_groups",
    topic="graphs",
    statement="Read distinct numbers. Link those $k apart. Print the number of linked groups.",
    parameters=grid(k=range(2, 65)),
    make_input=_gap_groups_input,
    answer=_gap_groups,
    right={
        "loop": "a = list(map(int, input().split()))\nc = 0\nfor x in a:\n    if x - $k not in a:\n"
        "        c += 1\nprint(c)",
        "set": "s = set(map(int, input().split()))\nprint(len(s - {x + $k for x in s}))",
        "sort": "a = list(map(int, input().split()))\na.sort(key=lambda x: (x % $k, x))\n"
        "print(1 + sum(y - x != $k for x, y in zip(a, a[1:])))",
        "stack": "a = set(map(int, input().split()))\nc = 0\nwhile a:\n    s = [a.pop()]\n"
        "    c += 1\n    while s:\n        x = s.pop()\n        n = a & {x - $k, x + $k}\n"
        "        a -= n\n        s += n\nprint(c)",
        "recursion": "s = set(map(int, input().split()))\ndef f(x):\n    if x in s:\n"
        "        s.remove(x)\n        f(x - $k)\n        f(x + $k)\nc = 0\nwhile s:\n"
        "    f(min(s))\n    c += 1\nprint(c)",
        "while": "s = set(map(int, input().split()))\nc = 0\nwhile s:\n    x = min(s)\n"
        "    while x in s:\n        s.remove(x)\n        x += $k\n    c += 1\nprint(c)",
        "dict": "d = {}\nfor x in sorted(map(int, input().split())):\n    d[x] = d.get(x - $k, x)\n"
        "print(len(set(d.values())))",
        "library": "from itertools import combinations\na = list(map(int, input().split()))\n"
        "print(len(a) - sum(abs(x - y) == $k for x, y in combinations(a, 2)))",
    },
    wrong={
        "sorted_neighbours": "a = sorted(map(int, input().split()))\n"
        "print(1 + sum(y - x != $k for x, y in zip(a, a[1:])))",
        "same_remainder": "print(len({int(x) % $k for x in input().split()}))",
    },
    slow={
        "all_starts": "s = set(map(int, input().split()))\nc = 0\nfor x in range(10 ** 9):\n"
        "    if x in s and x - $k not in s:\n        c += 1\nprint(c)",
    },
    crash={
        "missing_key": "d = {}\nfor x in sorted(map(int, input().split())):\n    d[x] = d[x - $k]\n"
        "print(len(set(d.values())))",
    },
)


def _last_in_ring_input(rng: random.Random, setting: Setting, index: int) -> str:
    return f"{edge_or_random(rng, index, (1, 2, 3, 4, 5), 40)}\n"


def _last_in_ring(stdin: str, setting: Setting) -> str:
    ring = deque(range(1, int(stdin) + 1))
    while len(ring) > 1:
        ring.rotate(1 - int(setting["k"]))
        ring.popleft()
    return f"{ring[0]}\n"


LAST_IN_RING = Family(
    name="last_in_ring",
    topic="simulation",
    statement="Read n. 1 to n stand in a ring; every $k-th one leaves. Print the last one left.",
    parameters=grid(k=range(2, 65)),
    make_input=_last_in_ring_input,
    answer=_last_in_ring,
    right={
        "loop": "n = int(input())\nx = 0\nfor i in range(2, n + 1):\n    x = (x + $k) % i\n"
        "print(x + 1)",
        "recursion": "def f(n):\n    if n == 1:\n        return 0\n    return (f(n - 1) + $k) % n\n"
        "print(f(int(input())) + 1)",
        "queue": "from collections import deque\nq = deque(range(1, int(input()) + 1))\n"
        "while len(q) > 1:\n    q.rotate(-$k)\n    q.pop()\nprint(q[0])",
        "while": "a = list(range(1, int(input()) + 1))\ni = 0\nwhile len(a) > 1:\n"
        "    i = (i + $k - 1) % len(a)\n    a.pop(i)\nprint(a[0])",
        "slice": "a = list(range(1, int(input()) + 1))\nwhile len(a) > 1:\n"
        "    i = ($k - 1) % len(a)\n    a = a[i + 1:] + a[:i]\nprint(a[0])",
        "reduce": "from functools import reduce\nn = int(input())\n"
        "print(1 + reduce(lambda x, i: (x + $k) % i, range(1, n + 1), 0))",
        "dict": "n = x = int(input())\nd = {i: i % n + 1 for i in range(1, n + 1)}\n"
        "while d[x] != x:\n    for i in range($k - 1):\n        x = d[x]\n    d[x] = d[d[x]]\n"
        "print(x)",
        "dp": "n = int(input())\nd = [0, 1]\nfor i in range(2, n + 1):\n"
        "    d.append((d[i - 1] + $k - 1) % i + 1)\nprint(d[n])",
    },
    wrong={
        "one_too_far": "a = list(range(1, int(input()) + 1))\ni = 0\nwhile len(a) > 1:\n"
        "    i = (i + $k) % len(a)\n    a.pop(i)\nprint(a[0])",
        "from_zero": "n = int(input())\nx = 0\nfor i in range(2, n + 1):\n    x = (x + $k) % i\n"
        "print(x)",
    },
    slow={
        "one_by_one": "a = list(range(1, int(input()) + 1))\nfor i in range(1, 10 ** 9):\n"
        "    if len(a) > 1:\n        x = a.pop(0)\n        if i % $k:\n            a.append(x)\n"
        "print(a[0])",
    },
    crash={
        "empty_ring": "a = list(range(1, int(input()) + 1))\ni = 0\nwhile a:\n"
        "    i = (i + $k - 1) % len(a)\n    a.pop(i)\nprint(a[0])",
    },
)


def _ring_robot_input(rng: random.Random, setting: Setting, index: int) -> str:
    edges = ("L", "R", "LLR", "RRRRRRRRRR")
    if index < len(edges):
        return edges[index] + "\n"
    return "".join(rng.choice("LRR") for _ in range(rng.randint(4, 20))) + "\n"


def _ring_robot(stdin: str, setting: Setting) -> str:
    cell = 0
    for move in stdin.strip():
        cell = (cell + (int(setting["k"]) if move == "R" else -1)) % int(setting["n"])
    return f"{cell}\n"


RING_ROBOT = Family(
    name="ring_robot",
    topic="simulation",
    statement="Read moves. On a ring of $n cells from 0, R adds $k and L takes 1. Print the cell.",
    parameters=grid(n=range(8, 21), k=(2, 3, 4, 5, 6)),
    make_input=_ring_robot_input,
    answer=_ring_robot,
    right={
        "string": "s = input()\nprint((s.count('R') * $k - s.count('L')) % $n)",
        "loop": "x = 0\nfor c in input():\n    if c == 'R':\n        x += $k\n    else:\n"
        "        x -= 1\nprint(x % $n)",
        "generator": "print(sum($k if c == 'R' else -1 for c in input()) % $n)",
        "dict": "d = {'R': $k, 'L': -1}\nx = 0\nfor c in input():\n    x = (x + d[c]) % $n\n"
        "print(x)",
        "queue": "from collections import deque\nq = deque(range($n))\nfor c in input():\n"
        "    q.rotate(-$k if c == 'R' else 1)\nprint(q[0])",
        "slice": "a = list(range($n))\nfor c in input():\n    i = $k if c == 'R' else -1\n"
        "    a = a[i:] + a[:i]\nprint(a[0])",
        "recursion": "def f(s):\n    if s == '':\n        return 0\n"
        "    return f(s[1:]) + ($k if s[0] == 'R' else -1)\nprint(f(input()) % $n)",
        "reduce": "from functools import reduce\n"
        "print(reduce(lambda x, c: (x + $k if c == 'R' else x - 1) % $n, input(), 0))",
        "while": "s = input()\nx = i = 0\nwhile i < len(s):\n    x += $k if s[i] == 'R' else -1\n"
        "    if x < 0:\n        x += $n\n    if x >= $n:\n        x -= $n\n    i += 1\nprint(x)",
    },
    wrong={
        "no_ring": "s = input()\nprint(s.count('R') * $k - s.count('L'))",
        "mirrored": "s = input()\nprint((s.count('L') * $k - s.count('R')) % $n)",
    },
    slow={
        "long_clock": "s = input()\nx = 0\nfor i in range(10 ** 9):\n    if i < len(s):\n"
        "        x += $k if s[i] == 'R' else -1\nprint(x % $n)",
    },
    crash={
        "past_the_end": "s = input()\nx = 0\nfor i in range(len(s) + 1):\n"
        "    x += $k if s[i] == 'R' else -1\nprint(x % $n)",
    },
)

FAMILIES: tuple[Family, ...] = (REACHED_CELLS, FEWEST_MOVES, GAP_GROUPS, LAST_IN_RING, RING_ROBOT)
