"""Five families on dynamic programming: counting ways, fewest parts, longest chains."""

import random
from math import comb

from .family import Family, Setting, edge_or_random, grid


def _two(setting: Setting) -> tuple[int, int]:
    return int(setting["a"]), int(setting["b"])


def _coin_ways_input(rng: random.Random, setting: Setting, index: int) -> str:
    a, b = _two(setting)
    return f"{edge_or_random(rng, index, (0, a, b, a + b), 60)}\n"


def _coin_ways(stdin: str, setting: Setting) -> str:
    a, b = _two(setting)
    ways = [1] + [0] * int(stdin)
    for coin in (1, a, b):
        for amount in range(coin, len(ways)):
            ways[amount] += ways[amount - coin]
    return f"{ways[-1]}\n"


COIN_WAYS = Family(
    name="coin_ways",
    topic="dynamic programming",
    statement="Read n. Print the number of ways to pay n with coins 1, $a and $b.",
    parameters=tuple({"a": a, "b": b} for a in range(2, 10) for b in range(a + 1, a + 9)),
    make_input=_coin_ways_input,
    answer=_coin_ways,
    right={
        "loop": "n = int(input())\nc = 0\nfor i in range(0, n + 1, $b):\n"
        "    c += (n - i) // $a + 1\nprint(c)",
        "while": "n = int(input())\nc = 0\nwhile n >= 0:\n    c += n // $a + 1\n    n -= $b\n"
        "print(c)",
        "recursion": "def f(n):\n    if n < 0:\n        return 0\n"
        "    return n // $a + 1 + f(n - $b)\nprint(f(int(input())))",
        "memo": "from functools import cache\nk = [1, $a, $b]\n@cache\ndef f(n, i):\n"
        "    if i > 2 or n < 0:\n        return n == 0\n    return f(n - k[i], i) + f(n, i + 1)\n"
        "print(f(int(input()), 0))",
        "dp": "n = int(input())\nd = [1] * (n + 1)\nfor k in ($a, $b):\n"
        "    for i in range(k, n + 1):\n        d[i] += d[i - k]\nprint(d[n])",
        "generator": "n = int(input())\nprint(sum((n - i) // $a + 1 for i in range(0, n + 1, $b)))",
        "set": "n = int(input())\nr = range(n + 1)\n"
        "s = {(i, j) for i in r[::$a] for j in r[::$b] if i + j <= n}\nprint(len(s))",
        "library": "from itertools import product\nn = int(input())\nr = range(n + 1)\n"
        "print(sum(x + y <= n for x, y in product(r[::$a], r[::$b])))",
    },
    wrong={
        "skips_zero": "n = int(input())\nc = 0\nfor i in range($b, n + 1, $b):\n"
        "    c += (n - i) // $a + 1\nprint(c)",
        "counts_orders": "n = int(input())\nd = [1]\nfor i in range(1, n + 1):\n"
        "    d.append(sum(d[i - k] for k in (1, $a, $b) if k <= i))\nprint(d[n])",
    },
    slow={
        "all_pairs": "n = int(input())\nc = 0\nfor i in range(10 ** 5):\n"
        "    for j in range(10 ** 5):\n        c += $a * i + $b * j <= n\nprint(c)",
    },
    crash={
        "short_table": "n = int(input())\nd = [1] * n\nfor k in ($a, $b):\n"
        "    for i in range(k, n + 1):\n        d[i] += d[i - k]\nprint(d[n])",
    },
)


def _fewest_coins_input(rng: random.Random, setting: Setting, index: int) -> str:
    a, b = _two(setting)
    # 2a: taking the largest coin first is not the best
    return f"{edge_or_random(rng, index, (0, 2 * a, b, a + b), 60)}\n"


def _fewest_coins(stdin: str, setting: Setting) -> str:
    a, b = _two(setting)
    fewest = [0]
    for amount in range(1, int(stdin) + 1):
        fewest.append(1 + min(fewest[amount - coin] for coin in (1, a, b) if coin <= amount))
    return f"{fewest[-1]}\n"


FEWEST_COINS = Family(
    name="fewest_coins",
    topic="dynamic programming",
    statement="Read n. Print the fewest coins of 1, $a and $b that pay n.",
    parameters=tuple({"a": a, "b": b} for a in range(3, 14) for b in range(a + 1, 2 * a - 1)),
    make_input=_fewest_coins_input,
    answer=_fewest_coins,
    right={
        "loop": "n = int(input())\nm = n\nfor i in range(n // $b + 1):\n    r = n - $b * i\n"
        "    m = min(m, i + r // $a + r % $a)\nprint(m)",
        "while": "m = n = int(input())\ni = 0\nwhile n >= 0:\n"
        "    m = min(m, i + n // $a + n % $a)\n    n -= $b\n    i += 1\nprint(m)",
        "recursion": "def f(n):\n    m = n // $a + n % $a\n    if n < $b:\n        return m\n"
        "    return min(m, 1 + f(n - $b))\nprint(f(int(input())))",
        "memo": "from functools import cache\n@cache\ndef f(n):\n    if n == 0:\n        return 0\n"
        "    return 1 + min(f(n - k) for k in (1, $a, $b) if k <= n)\nprint(f(int(input())))",
        "dp": "n = int(input())\nd = [0]\nfor i in range(1, n + 1):\n"
        "    d.append(1 + min(d[i - k] for k in (1, $a, $b) if k <= i))\nprint(d[n])",
        "set": "s = {int(input())}\nc = 0\nwhile 0 not in s:\n"
        "    s = {x - k for x in s for k in (1, $a, $b)}\n    c += 1\nprint(c)",
        "bits": "n = int(input())\ns = 1\nc = 0\nwhile not s >> n & 1:\n"
        "    s = s << 1 | s << $a | s << $b\n    c += 1\nprint(c)",
        "queue": "n = int(input())\nd = {0: 0}\nq = [0]\nfor x in q:\n"
        "    for y in (x + 1, x + $a, x + $b):\n        if y <= n and y not in d:\n"
        "            d[y] = d[x] + 1\n            q.append(y)\nprint(d[n])",
    },
    wrong={
        "largest_first": "n = int(input())\nprint(n // $b + n % $b // $a + n % $b % $a)",
        "one_coin": "n = int(input())\nprint(n // $a + n % $a)",
    },
    slow={
        "all_pairs": "n = m = int(input())\nfor i in range(10 ** 5):\n"
        "    for j in range(10 ** 5):\n        r = n - $a * i - $b * j\n        if r >= 0:\n"
        "            m = min(m, i + j + r)\nprint(m)",
    },
    crash={
        "short_table": "n = int(input())\nd = [0] * n\nfor i in range(1, n + 1):\n"
        "    d[i] = 1 + min(d[i - k] for k in (1, $a, $b) if k <= i)\nprint(d[n])",
    },
)


def _stair_ways_input(rng: random.Random, setting: Setting, index: int) -> str:
    a, b = _two(setting)
    if index < 4:
        return f"{(0, a, b, a + b)[index]}\n"
    # every other test surely has a way up, also where a and b have a common divisor
    n = rng.randint(5, 19 + a) if index % 2 else a * rng.randint(1, 5) + b * rng.randint(1, 2)
    return f"{n}\n"


def _stair_ways(stdin: str, setting: Setting) -> str:
    a, b = _two(setting)
    ways = [1]
    for stair in range(1, int(stdin) + 1):
        ways.append(sum(ways[stair - step] for step in (a, b) if step <= stair))
    return f"{ways[-1]}\n"


STAIR_WAYS = Family(
    name="stair_ways",
    topic="dynamic programming",
    statement="Read n. Print the number of ways to climb n stairs in steps of $a or $b.",
    parameters=tuple({"a": a, "b": b} for a in range(1, 9) for b in range(a + 1, a + 9)),
    make_input=_stair_ways_input,
    answer=_stair_ways,
    right={
        "recursion": "def f(n):\n    if n < 1:\n        return int(n == 0)\n"
        "    return f(n - $a) + f(n - $b)\nprint(f(int(input())))",
        "memo": "from functools import cache\n@cache\ndef f(n):\n    if n < 0:\n        return 0\n"
        "    return f(n - $a) + f(n - $b) if n else 1\nprint(f(int(input())))",
        "dp": "n = int(input())\nd = [1] + [0] * n\nfor i in range(1, n + 1):\n"
        "    for k in ($a, $b):\n        if k <= i:\n            d[i] += d[i - k]\nprint(d[n])",
        "dict": "n = int(input())\nd = {0: 1}\nfor i in range(1, n + 1):\n"
        "    d[i] = d.get(i - $a, 0) + d.get(i - $b, 0)\nprint(d[n])",
        "loop": "n = int(input())\nd = [0] * ($b - 1) + [1]\nfor i in range(n):\n"
        "    d.append(d[-$a] + d[-$b])\nprint(d[-1])",
        "queue": "from collections import deque\nd = deque([0] * ($b - 1) + [1])\n"
        "for i in range(int(input())):\n    d.append(d[-$a] + d[-$b])\n    d.popleft()\n"
        "print(d[-1])",
        "stack": "s = [int(input())]\nc = 0\nwhile s:\n    x = s.pop()\n    c += x == 0\n"
        "    if x > 0:\n        s += [x - $a, x - $b]\nprint(c)",
        "formula": "from math import comb\nn = int(input())\nc = 0\nfor i in range(n // $a + 1):\n"
        "    j, r = divmod(n - $a * i, $b)\n    if r == 0:\n        c += comb(i + j, i)\nprint(c)",
    },
    wrong={
        "ignores_order": "n = int(input())\nc = 0\nfor i in range(n // $a + 1):\n"
        "    c += (n - $a * i) % $b == 0\nprint(c)",
        "steps_past": "def f(n):\n    if n < 1:\n        return 1\n"
        "    return f(n - $a) + f(n - $b)\nprint(f(int(input())))",
    },
    slow={
        "all_pairs": "from math import comb\nn = int(input())\nr = range(10 ** 5)\n"
        "print(sum(comb(i + j, i) for i in r for j in r if $a * i + $b * j == n))",
    },
    crash={
        "short_table": "n = int(input())\nd = [0] * n\nd[0] = 1\nfor i in range(1, n + 1):\n"
        "    for k in ($a, $b):\n        if k <= i:\n            d[i] += d[i - k]\nprint(d[n])",
    },
)


def _gap_chain_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    if index < 3:
        numbers = ([5], [2 * k + 1, k + 1, 1], [1, k + 2, k + 1])[index]
    else:
        numbers = [1 + k * step for step in range(rng.randint(1, 5))]
        for _ in range(5):
            numbers.insert(rng.randint(0, len(numbers)), rng.randint(1, 3) + k * rng.randint(0, 4))
    return " ".join(map(str, numbers)) + "\n"


def _gap_chain(stdin: str, setting: Setting) -> str:
    k = int(setting["k"])
    longest: dict[int, int] = {}
    for number in map(int, stdin.split()):
        longest[number] = longest.get(number - k, 0) + 1
    return f"{max(longest.values())}\n"


GAP_CHAIN = Family(
    name="gap_chain",
    topic="dynamic programming",
    statement="Read numbers. Print the length of the longest subsequence growing by $k each step.",
    parameters=grid(k=range(1, 64)),
    make_input=_gap_chain_input,
    answer=_gap_chain,
    right={
        "dict": "a = map(int, input().split())\nd = {}\nfor x in a:\n"
        "    d[x] = d.get(x - $k, 0) + 1\nprint(max(d.values()))",
        "counter": "from collections import Counter\nc = Counter()\n"
        "for x in map(int, input().split()):\n    c[x] = c[x - $k] + 1\n"
        "print(c.most_common(1)[0][1])",
        "dp": "a = list(map(int, input().split()))\nd = [1] * len(a)\nfor i in range(len(a)):\n"
        "    for j in range(i):\n        if a[i] - a[j] == $k:\n"
        "            d[i] = max(d[i], d[j] + 1)\nprint(max(d))",
        "loop": "a = list(map(int, input().split()))\nm = 0\nfor i in range(len(a)):\n"
        "    x = a[i]\n    c = 0\n    for y in a[i:]:\n        if y == x:\n            x += $k\n"
        "            c += 1\n    m = max(m, c)\nprint(m)",
        "recursion": "a = list(map(int, input().split()))\ndef f(i):\n    y = a[i] + $k\n"
        "    return 1 + f(a.index(y, i)) if y in a[i:] else 1\n"
        "print(max(f(i) for i in range(len(a))))",
        "slice": "def f(x, b):\n    while x in b:\n        b = b[b.index(x):]\n        x += $k\n"
        "    return x\na = list(map(int, input().split()))\n"
        "print(max((f(x, a) - x) // $k for x in a))",
        "reduce": "from functools import reduce\na = map(int, input().split())\n"
        "d = reduce(lambda d, x: d | {x: d.get(x - $k, 0) + 1}, a, {})\nprint(max(d.values()))",
    },
    wrong={
        "neighbours": "a = list(map(int, input().split()))\nm = c = 1\nfor x, y in zip(a, a[1:]):\n"
        "    c = c + 1 if y - x == $k else 1\n    m = max(m, c)\nprint(m)",
        "any_order": "s = set(map(int, input().split()))\nm = 0\nfor x in s:\n    c = 0\n"
        "    while x in s:\n        x += $k\n        c += 1\n    m = max(m, c)\nprint(m)",
    },
    slow={
        "from_above": "d = {}\nfor x in map(int, input().split()):\n"
        "    d[x] = d.get(x - $k, 0) + 1\nm = 10 ** 9\nwhile m not in d.values():\n    m -= 1\n"
        "print(m)",
    },
    crash={
        "missing_key": "a = map(int, input().split())\nd = {}\nfor x in a:\n"
        "    d[x] = d[x - $k] + 1\nprint(max(d.values()))",
    },
)


def _grid_paths_input(rng: random.Random, setting: Setting, index: int) -> str:
    return f"{edge_or_random(rng, index, (1, 2, 3, 4), 30)}\n"


def _grid_paths(stdin: str, setting: Setting) -> str:
    rows, columns = int(stdin), int(setting["k"])
    return f"{comb(rows + columns - 2, rows - 1)}\n"


GRID_PATHS = Family(
    name="grid_paths",
    topic="dynamic programming",
    statement="Read n. Print the number of right or down paths in a grid of n rows, $k columns.",
    parameters=grid(k=range(2, 65)),
    make_input=_grid_paths_input,
    answer=_grid_paths,
    right={
        "formula": "from math import comb\nn = int(input())\nprint(comb(n + $k - 2, n - 1))",
        "loop": "n = int(input())\nt = 1\nfor i in range(1, n):\n    t = t * (i + $k - 1) // i\n"
        "print(t)",
        "while": "n = int(input())\nd = [1] * $k\nwhile n > 1:\n    for i in range(1, $k):\n"
        "        d[i] += d[i - 1]\n    n -= 1\nprint(d[-1])",
        "dp": "n = int(input())\nd = [[1] * $k for i in range(n)]\nfor i in range(1, n):\n"
        "    for j in range(1, $k):\n        d[i][j] = d[i - 1][j] + d[i][j - 1]\nprint(d[-1][-1])",
        "recursion": "def f(n):\n    if n == 1:\n        return 1\n"
        "    return f(n - 1) * (n + $k - 2) // (n - 1)\nprint(f(int(input())))",
        "memo": "from functools import cache\n@cache\ndef f(n, k):\n    if n == 1 or k == 1:\n"
        "        return 1\n    return f(n - 1, k) + f(n, k - 1)\nprint(f(int(input()), $k))",
        "library": "from itertools import accumulate\nd = [1] * $k\n"
        "for i in range(1, int(input())):\n    d = list(accumulate(d))\nprint(d[-1])",
        "comprehension": "d = [1] * $k\nfor i in range(1, int(input())):\n"
        "    d = [sum(d[:j + 1]) for j in range($k)]\nprint(d[-1])",
    },
    wrong={
        "lines": "from math import comb\nn = int(input())\nprint(comb(n + $k, n))",
        "one_row_more": "from itertools import accumulate\nd = [1] * $k\n"
        "for i in range(int(input())):\n    d = list(accumulate(d))\nprint(d[-1])",
    },
    slow={
        "all_masks": "n = int(input())\nc = 0\nfor m in range(10 ** 9):\n"
        "    if m < 2 ** (n + $k - 2) and m.bit_count() == n - 1:\n        c += 1\nprint(c)",
    },
    crash={
        "past_the_end": "n = int(input())\nd = [1] * $k\nfor i in range(1, n):\n"
        "    for j in range(1, $k):\n        d[j] += d[j - 1]\nprint(d[$k])",
    },
)

FAMILIES: tuple[Family, ...] = (COIN_WAYS, FEWEST_COINS, STAIR_WAYS, GAP_CHAIN, GRID_PATHS)
