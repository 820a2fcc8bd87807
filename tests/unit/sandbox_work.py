# ruff: noqa: E501 - the programs are one line each, however long
"""Right programs that take real time: each algorithm at several sizes, about 20 to 200 ms of CPU."""

from dataclasses import dataclass

from raymode.seed import derive_seed

# Each reads one integer and prints one line; `size` is filled in: the second member.
ALGORITHMS = {
    "sieve": ("m = {size}\ns = bytearray([1]) * (m + 1)\nfor i in range(2, int(m ** 0.5) + 1):\n    if s[i]:\n        s[i * i :: i] = bytes(len(range(i * i, m + 1, i)))\nprint(sum(s) + x)", (3_000_000, 6_000_000, 12_000_000)),
    "collatz": ("best = 0\nfor i in range(1, {size}):\n    k, c = i, 0\n    while k != 1:\n        k = k // 2 if k % 2 == 0 else 3 * k + 1\n        c += 1\n    best = max(best, c)\nprint(best + x)", (4000, 8000, 16_000)),
    "dictionary": ("d = {{}}\nfor i in range({size}):\n    d[i * 7919 % 10007] = d.get(i % 10007, 0) + i\nprint(sum(d.values()) + x)", (150_000, 300_000, 600_000)),
    "sort": ("v = [(i * 7919 + x) % 1000003 for i in range({size})]\nv.sort()\nv.sort(key=lambda k: k % 1013)\nprint(v[{size} // 2])", (75_000, 150_000, 300_000)),
    "strings": ("parts = [str(i + x) for i in range({size})]\ntext = ','.join(parts)\nprint(len(text), text.count('7'), len(set(text.split(','))))", (60_000, 120_000, 240_000)),
    "fibonacci": ("def f(k):\n    return k if k < 2 else f(k - 1) + f(k - 2)\nprint(f({size}) + x)", (27, 29, 30)),
    "big integers": ("a = 3 + x\nfor _ in range({size}):\n    a = a * a % (1 << 4000) + 1\nprint(a % 1000003)", (900, 1800, 3600)),
    "edit distance": ("import random\nrandom.seed(x)\ns = [random.randrange(4) for _ in range({size})]\nt = [random.randrange(4) for _ in range({size})]\nrow = list(range(len(t) + 1))\nfor i, c in enumerate(s):\n    new = [i + 1]\n    for j, e in enumerate(t):\n        new.append(min(row[j] + (c != e), row[j + 1] + 1, new[j] + 1))\n    row = new\nprint(row[-1])", (400, 600, 800)),
    "heap": ("import heapq\nh = []\nfor i in range({size}):\n    heapq.heappush(h, (i * 7919 + x) % 100003)\nprint(sum(heapq.heappop(h) for _ in range(1000)))", (130_000, 260_000, 520_000)),
    "breadth first": ("from collections import deque\nn = {size}\nseen = [False] * n\nq = deque([x % n])\nseen[x % n] = True\nfar = 0\nwhile q:\n    u = q.popleft()\n    far += u\n    for v in (u * 2 % n, (u + 1) % n, u * 7 % n):\n        if not seen[v]:\n            seen[v] = True\n            q.append(v)\nprint(far)", (60_000, 120_000, 240_000)),
    "matrix": ("n = {size}\na = [[(i * j + x) % 10 for j in range(n)] for i in range(n)]\nb = [[sum(p * q for p, q in zip(row, col)) for col in zip(*a)] for row in a]\nprint(sum(map(sum, b)))", (90, 120, 150)),
    "floats": ("import math\ns = 0.0\nfor i in range({size}):\n    s += math.sin(i) * math.sqrt(i + x)\nprint(round(s, 3))", (180_000, 360_000, 720_000)),
    "memory": ("v = list(range({size}))\nw = [k + x for k in v]\nprint(sum(map(lambda p, q: p ^ q, v, w)))", (300_000, 600_000, 1_200_000)),
    "objects": ("class P:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\nv = [P(i, i + x) for i in range({size})]\nprint(sum(p.a * p.b for p in v) % 1000003)", (100_000, 200_000, 350_000)),
    "regular expressions": ("import re\ntext = ' '.join(str(i * 7919 % 100003) for i in range({size}))\nprint(len(re.findall(r'\\b1\\d*7\\b', text)), len(re.sub(r'(\\d)\\1', r'\\1', text)) + x)", (50_000, 100_000, 200_000)),
    "recursion": ("import sys\nfrom functools import lru_cache\nsys.setrecursionlimit(10 ** 6)\n@lru_cache(None)\ndef f(i, j):\n    return 1 if i == 0 or j == 0 else (f(i - 1, j) + f(i, j - 1)) % 1000007\nprint(f({size}, {size}) + x)", (230, 320, 450)),
    "decimal": ("from decimal import Decimal, getcontext\ngetcontext().prec = 60\ns = Decimal(x)\nfor i in range(1, {size}):\n    s += 1 / Decimal(i)\nprint(s)", (80_000, 160_000, 320_000)),
    "threads": ("import threading\nfound = []\ndef work(k):\n    found.append(sum(i * k % 7 for i in range({size})))\nts = [threading.Thread(target=work, args=(k,)) for k in range(3)]\nfor t in ts:\n    t.start()\nfor t in ts:\n    t.join()\nprint(sum(found) + x)", (180_000, 360_000, 720_000)),
}  # fmt: skip


@dataclass(frozen=True)
class Heavy:
    """One program; what it prints is for the interpreter to say."""

    name: str
    source: str
    input: str


def heavy_programs() -> list[Heavy]:
    """Every algorithm at every size."""
    programs = []
    for name, (source, sizes) in ALGORITHMS.items():
        for size in sizes:
            code = f"x = int(input())\n{source.format(size=size)}\n"
            programs.append(Heavy(f"{name} {size}", code, f"{derive_seed(0, name, size) % 100}\n"))
    return programs
