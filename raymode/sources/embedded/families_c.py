"""Five families on lists of numbers and on arrows: sorting, searching, a small graph."""

import random

from .family import Family, Setting, grid


def _line(numbers: list[int]) -> str:
    return " ".join(map(str, numbers)) + "\n"


def _kth_smallest_input(rng: random.Random, at: Setting, index: int) -> str:
    k = int(at["k"])
    if index == 1:
        return _line(rng.sample(range(5, k + 13), k + 8))
    return _line([rng.randint(-20, 99) for _ in range(k + min(index // 2, 6))])


def _kth_smallest(text: str, at: Setting) -> str:
    return f"{sorted(map(int, text.split()))[int(at['k']) - 1]}\n"


KTH_SMALLEST = Family(
    name="kth_smallest",
    topic="sorting",
    statement="Read numbers. Print the one at place $k in rising order.",
    parameters=grid(k=range(1, 63)),
    make_input=_kth_smallest_input,
    answer=_kth_smallest,
    right={
        "sort": "a = sorted(map(int, input().split()))\nprint(a[$k - 1])",
        "loop": "a = list(map(int, input().split()))\nfor i in range($k):\n    x = min(a)\n"
        "    a.remove(x)\nprint(x)",
        "heap": "from heapq import heapify, heappop\na = list(map(int, input().split()))\n"
        "heapify(a)\nfor i in range($k):\n    x = heappop(a)\nprint(x)",
        "recursion": "def f(a):\n    b = [x for x in a if x < a[0]]\n"
        "    c = [x for x in a[1:] if x not in b]\n    return f(b) + a[:1] + f(c) if a else a\n"
        "print(f(list(map(int, input().split())))[$k - 1])",
        "bisect": "from bisect import insort\na = []\nfor x in map(int, input().split()):\n"
        "    insort(a, x)\nprint(a[$k - 1])",
        "generator": "a = list(map(int, input().split()))\n"
        "print(min(x for x in a if sum(y <= x for y in a) >= $k))",
        "counter": "from collections import Counter\nc = Counter(map(int, input().split()))\n"
        "x = min(c)\nn = c[x]\nwhile n < $k:\n    x += 1\n    n += c[x]\nprint(x)",
        "while": "a = list(map(int, input().split()))\ni = 1\nwhile i < len(a):\n"
        "    if i and a[i] < a[i - 1]:\n        a[i], a[i - 1] = a[i - 1], a[i]\n        i -= 1\n"
        "    else:\n        i += 1\nprint(a[$k - 1])",
        "binary_search": "a = list(map(int, input().split()))\ni, j = -99, 99\nwhile i < j:\n"
        "    m = (i + j) // 2\n    if sum(x <= m for x in a) < $k:\n        i = m + 1\n    else:\n"
        "        j = m\nprint(i)",
    },
    wrong={
        "off_by_one": "a = sorted(map(int, input().split()))\nprint(a[$k - 2])",
        "falling": "a = sorted(map(int, input().split()))\nprint(a[-$k])",
        "sorts_text": "a = sorted(input().split())\nprint(a[$k - 1])",
    },
    slow={
        "try_all_values": "a = list(map(int, input().split()))\nfor x in range(-10**9, 99):\n"
        "    if sum(y <= x for y in a) >= $k:\n        break\nprint(x)",
    },
    crash={"past_the_end": "a = sorted(map(int, input().split()))\nprint(a[len(a) + $k])"},
)


def _sort_by_remainder_input(rng: random.Random, at: Setting, index: int) -> str:
    k, x = int(at["k"]), rng.randint(0, 30)
    edges = ([x], [x + k, x], [k, 0, 1], [k + 1, k, k - 1, 0], list(range(k, -1, -1)))
    if index < len(edges):
        return _line(edges[index])
    return _line([x + k, *(rng.randint(0, 99) for _ in range(rng.randint(3, 9))), x])


def _sort_by_remainder(text: str, at: Setting) -> str:
    return _line(sorted(map(int, text.split()), key=lambda x: x % int(at["k"])))


SORT_BY_REMAINDER = Family(
    name="sort_by_remainder",
    topic="sorting",
    statement="Read numbers. Print them sorted by x % $k, ties in the order read.",
    parameters=grid(k=range(3, 66)),
    make_input=_sort_by_remainder_input,
    answer=_sort_by_remainder,
    right={
        "sort": "a = map(int, input().split())\nprint(*sorted(a, key=lambda x: x % $k))",
        "loop": "a = list(map(int, input().split()))\nfor i in range($k):\n    for x in a:\n"
        "        if x % $k == i:\n            print(x)",
        "comprehension": "a = list(map(int, input().split()))\n"
        "print(*[x for i in range($k) for x in a if x % $k == i])",
        "dict": "d = {}\nfor x in map(int, input().split()):\n"
        "    d.setdefault(x % $k, []).append(x)\nfor i in sorted(d):\n    print(*d[i])",
        "heap": "from heapq import heappop, heappush\nh = []\n"
        "for i, x in enumerate(map(int, input().split())):\n    heappush(h, (x % $k, i, x))\n"
        "while h:\n    print(heappop(h)[2])",
        "while": "a = list(map(int, input().split()))\nwhile a:\n"
        "    x = min(a, key=lambda x: x % $k)\n    print(x)\n    a.remove(x)",
        "bisect": "from bisect import insort\nb = []\nfor x in map(int, input().split()):\n"
        "    insort(b, x, key=lambda x: x % $k)\nprint(*b)",
        "recursion": "def f(a):\n    b = [x for x in a if x % $k < a[0] % $k]\n"
        "    c = [x for x in a[1:] if x not in b]\n    return f(b) + a[:1] + f(c) if a else a\n"
        "print(*f(list(map(int, input().split()))))",
    },
    wrong={
        "ties_by_value": "a = map(int, input().split())\n"
        "print(*sorted(a, key=lambda x: (x % $k, x)))",
        "sorts_by_value": "a = map(int, input().split())\nprint(*sorted(a))",
        "by_quotient": "a = map(int, input().split())\nprint(*sorted(a, key=lambda x: x // $k))",
    },
    slow={
        "huge_loop": "a = list(map(int, input().split()))\nfor i in range(10**9):\n"
        "    for x in a:\n        if x % $k == i:\n            print(x)",
    },
    crash={"text_remainder": "a = input().split()\nprint(*sorted(a, key=lambda x: x - $k))"},
)


def _longest_stretch_input(rng: random.Random, at: Setting, index: int) -> str:
    k = int(at["k"])
    edges = ([k], [k + 1], [k - 3, 3], [1, k, 1], [k + 1, 2, 1], [4, 3, 2, 1, k], [k, 1, 2])
    if index < len(edges):
        return _line(edges[index])
    return _line([rng.randint(1, 10 + k // 3) for _ in range(rng.randint(4, 11))])


def _longest_stretch(text: str, at: Setting) -> str:
    numbers = [int(x) for x in text.split()]
    ends = range(len(numbers) + 1)
    fits = [j - i for j in ends for i in range(j + 1) if sum(numbers[i:j]) <= int(at["k"])]
    return f"{max(fits)}\n"


LONGEST_STRETCH = Family(
    name="longest_stretch",
    topic="searching",
    statement="Read numbers. Print the length of the longest stretch with sum at most $k.",
    parameters=grid(k=range(8, 72)),
    make_input=_longest_stretch_input,
    answer=_longest_stretch,
    right={
        "loop": "a = list(map(int, input().split()))\nm = 0\nfor i in range(len(a)):\n    t = 0\n"
        "    for j in range(i, len(a)):\n        t += a[j]\n        if t <= $k:\n"
        "            m = max(m, j - i + 1)\nprint(m)",
        "while": "a = list(map(int, input().split()))\nn = len(a)\n"
        "while all(sum(a[i:i + n]) > $k for i in range(len(a) - n + 1)):\n    n -= 1\nprint(n)",
        "two_pointers": "a = list(map(int, input().split()))\ni = t = m = 0\n"
        "for j in range(len(a)):\n    t += a[j]\n    while t > $k:\n        t -= a[i]\n"
        "        i += 1\n    m = max(m, j - i + 1)\nprint(m)",
        "queue": "q = []\nt = 0\nfor x in map(int, input().split()):\n    q.append(x)\n"
        "    t += x\n    if t > $k:\n        t -= q.pop(0)\nprint(len(q))",
        "recursion": "def f(a):\n    if sum(a) <= $k:\n        return len(a)\n"
        "    return max(f(a[1:]), f(a[:-1]))\nprint(f(list(map(int, input().split()))))",
        "generator": "a = list(map(int, input().split()))\nr = range(len(a) + 1)\n"
        "print(max(j - i for i in r for j in r[i:] if sum(a[i:j]) <= $k))",
        "bisect": "from bisect import bisect\np = [0]\nfor x in map(int, input().split()):\n"
        "    p.append(p[-1] + x)\nprint(max(bisect(p, p[i] + $k) - i - 1 for i in range(len(p))))",
        "library": "from itertools import accumulate, combinations\n"
        "p = enumerate(accumulate(map(int, input().split()), initial=0))\n"
        "print(max((j - i) * (y - x <= $k) for (i, x), (j, y) in combinations(p, 2)))",
    },
    wrong={
        "off_by_one": "q = []\nt = 0\nfor x in map(int, input().split()):\n    q.append(x)\n"
        "    t += x\n    if t >= $k:\n        t -= q.pop(0)\nprint(len(q))",
        "from_start_only": "m = t = 0\nfor x in map(int, input().split()):\n    t += x\n"
        "    if t > $k:\n        break\n    m += 1\nprint(m)",
        "any_order": "m = t = 0\nfor x in sorted(map(int, input().split())):\n    t += x\n"
        "    m += t <= $k\nprint(m)",
    },
    slow={
        "all_pairs": "a = list(map(int, input().split()))\nm = 0\nfor i in range(10**5):\n"
        "    for j in range(10**5):\n        if i < j <= len(a) and sum(a[i:j]) <= $k:\n"
        "            m = max(m, j - i)\nprint(m)",
    },
    crash={"no_conversion": "print(max(len(x) for x in input().split() if sum(x) <= $k))"},
)


def _count_below_input(rng: random.Random, at: Setting, index: int) -> str:
    k = int(at["k"])
    edges = ([k], [k - 1], [k + 1], [k, k], [k - 2, k - 1, k, k + 1], [0, k - 1, k - 1])
    if index < len(edges):
        return _line(edges[index])
    return _line(sorted(rng.randint(0, k + 20) for _ in range(rng.randint(3, 14))))


def _count_below(text: str, at: Setting) -> str:
    return f"{sum(int(x) < int(at['k']) for x in text.split())}\n"


COUNT_BELOW = Family(
    name="count_below",
    topic="searching",
    statement="Read rising numbers. Print how many are below $k.",
    parameters=grid(k=range(12, 76)),
    make_input=_count_below_input,
    answer=_count_below,
    right={
        "loop": "c = 0\nfor x in map(int, input().split()):\n    if x >= $k:\n        break\n"
        "    c += 1\nprint(c)",
        "stack": "a = list(map(int, input().split()))\nwhile a and a[-1] >= $k:\n    a.pop()\n"
        "print(len(a))",
        "generator": "print(sum(int(x) < $k for x in input().split()))",
        "bisect": "from bisect import bisect_left\na = list(map(int, input().split()))\n"
        "print(bisect_left(a, $k))",
        "binary_search": "a = list(map(int, input().split()))\ni, j = 0, len(a)\nwhile i < j:\n"
        "    m = (i + j) // 2\n    if a[m] < $k:\n        i = m + 1\n    else:\n        j = m\n"
        "print(i)",
        "recursion": "def f(a):\n    return 1 + f(a[1:]) if a and a[0] < $k else 0\n"
        "print(f(list(map(int, input().split()))))",
        "sort": "a = list(map(int, input().split()))\na.append($k)\na.sort()\nprint(a.index($k))",
        "library": "from itertools import takewhile\na = map(int, input().split())\n"
        "print(len(list(takewhile(lambda x: x < $k, a))))",
        "counter": "from collections import Counter\nc = Counter(map(int, input().split()))\n"
        "print(sum(c[i] for i in range($k)))",
    },
    wrong={
        "off_by_one": "print(sum(int(x) <= $k for x in input().split()))",
        "above": "print(sum(int(x) > $k for x in input().split()))",
    },
    slow={
        "huge_loop": "a = list(map(int, input().split()))\nc = 0\nfor i in range(10**9):\n"
        "    c += i < len(a) and a[i] < $k\nprint(c)",
    },
    crash={"no_conversion": "print(sum(x < $k for x in input().split()))"},
)


def _reachable_input(rng: random.Random, at: Setting, index: int) -> str:
    k = int(at["k"])
    a, b, c, d, *_ = nodes = rng.sample([x for x in range(1, 81) if x != k], 6)
    edges = ([(k, a)], [(a, k)], [(c, d), (b, c), (a, b), (k, a)], [(k, a), (a, k), (b, k)])
    if index < len(edges):
        pairs = edges[index]
    else:
        tails = [k, k, *rng.choices([k, *nodes], k=rng.randint(3, 10))]
        rng.shuffle(tails)
        pairs = [(u, rng.choice([x for x in (k, *nodes) if x != u])) for u in tails]
    return "".join(f"{u} {v}\n" for u, v in pairs)


def _reachable(text: str, at: Setting) -> str:
    pairs = [line.split() for line in text.splitlines()]
    seen = [str(at["k"])]
    for node in seen:
        seen += {v for u, v in pairs if u == node and v not in seen}
    return f"{len(seen)}\n"


REACHABLE = Family(
    name="reachable",
    topic="graphs",
    statement="Read arrows u v, one a line. Print how many nodes $k can reach, itself too.",
    parameters=grid(k=range(1, 64)),
    make_input=_reachable_input,
    answer=_reachable,
    right={
        "queue": "import sys\ne = [x.split() for x in sys.stdin]\nq = ['$k']\nfor x in q:\n"
        "    for u, v in e:\n        if u == x and v not in q:\n            q.append(v)\n"
        "print(len(q))",
        "stack": "import sys\ne = [x.split() for x in sys.stdin]\ns = set()\nt = ['$k']\n"
        "while t:\n    x = t.pop()\n    if x not in s:\n        s.add(x)\n"
        "        t += [v for u, v in e if u == x]\nprint(len(s))",
        "recursion": "import sys\ne = [x.split() for x in sys.stdin]\ns = set()\ndef f(x):\n"
        "    if x not in s:\n        s.add(x)\n        for u, v in e:\n            if u == x:\n"
        "                f(v)\nf('$k')\nprint(len(s))",
        "set": "import sys\ne = [x.split() for x in sys.stdin]\ns = {'$k'}\nfor x in e:\n"
        "    s |= {v for u, v in e if u in s}\nprint(len(s))",
        "while": "import sys\ne = [x.split() for x in sys.stdin]\ns = {'$k'}\nn = 0\n"
        "while n < len(s):\n    n = len(s)\n    for u, v in e:\n        if u in s:\n"
        "            s.add(v)\nprint(n)",
        "bits": "import sys\ne = [x.split() for x in sys.stdin]\nm = 1 << $k\nfor x in e:\n"
        "    for u, v in e:\n        m |= (m >> int(u) & 1) << int(v)\nprint(bin(m).count('1'))",
        "dp": "import sys\ne = [list(map(int, x.split())) for x in sys.stdin]\nd = [0] * 81\n"
        "d[$k] = 1\nfor x in e:\n    for u, v in e:\n        d[v] |= d[u]\nprint(sum(d))",
    },
    wrong={
        "one_pass": "import sys\ns = {'$k'}\nfor x in sys.stdin:\n    u, v = x.split()\n"
        "    if u in s:\n        s.add(v)\nprint(len(s))",
        "both_ways": "import sys\ne = [x.split() for x in sys.stdin]\ns = {'$k'}\nfor x in e:\n"
        "    for p in e:\n        if s & set(p):\n            s |= set(p)\nprint(len(s))",
    },
    slow={
        "huge_loop": "import sys\ne = [x.split() for x in sys.stdin]\ns = {'$k'}\n"
        "for i in range(10**9):\n    s |= {v for u, v in e if u in s}\nprint(len(s))",
    },
    crash={
        "missing_key": "import sys\nd = {}\nfor x in sys.stdin:\n    u, v = x.split()\n"
        "    d[u].append(v)\nprint(len(d['$k']))",
    },
)


FAMILIES = (
    KTH_SMALLEST,
    SORT_BY_REMAINDER,
    LONGEST_STRETCH,
    COUNT_BELOW,
    REACHABLE,
)
