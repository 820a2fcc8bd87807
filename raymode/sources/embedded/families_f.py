"""Three families on parsing and bits."""

import random

from .family import Family, Setting, edge_or_random, grid

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _column_sum_input(rng: random.Random, setting: Setting, index: int) -> str:
    rows = ([list(range(1, 11))], [list(range(5, 55, 5))])
    if index < len(rows):
        table = rows[index]
    else:
        table = [[rng.randint(0, 99) for _ in range(10)] for _ in range(rng.randint(2, 6))]
    return "".join(str(setting["s"]).join(map(str, row)) + "\n" for row in table)


def _column_sum(stdin: str, setting: Setting) -> str:
    column, separator = int(setting["k"]), str(setting["s"])
    return f"{sum(int(row.split(separator)[column]) for row in stdin.splitlines())}\n"


COLUMN_SUM = Family(
    name="column_sum",
    topic="parsing",
    statement="Read rows of 10 numbers split by $s. Print the sum of column $k, counted from 0.",
    parameters=grid(k=range(10), s=",;:/#|"),
    make_input=_column_sum_input,
    answer=_column_sum,
    right={
        "loop": "import sys\ns = 0\nfor r in sys.stdin:\n    s += int(r.split('$s')[$k])\nprint(s)",
        "generator": "import sys\nprint(sum(int(r.split('$s')[$k]) for r in sys.stdin))",
        "library": "import csv\nimport sys\ns = 0\n"
        "for r in csv.reader(sys.stdin, delimiter='$s'):\n    s += int(r[$k])\nprint(s)",
        "recursion": "import sys\ndef f(a):\n"
        "    return int(a[0].split('$s')[$k]) + f(a[1:]) if a else 0\nprint(f(list(sys.stdin)))",
        "slice": "import sys\na = '$s'.join(sys.stdin.read().split()).split('$s')\n"
        "print(sum(map(int, a[$k::10])))",
        "reduce": "import sys\nfrom functools import reduce\n"
        "print(reduce(lambda s, r: s + int(r.split('$s')[$k]), sys.stdin, 0))",
        "regex": "import re\nimport sys\n"
        "a = re.findall(r'^(?:\\d+[$s]){$k}(\\d+)', sys.stdin.read(), re.M)\n"
        "print(sum(map(int, a)))",
        "comprehension": "import sys\na = [list(map(int, r.split('$s'))) for r in sys.stdin]\n"
        "print(sum(list(zip(*a))[$k]))",
        "while": "import sys\na = sys.stdin.read().split()\ns = 0\nwhile a:\n"
        "    s += int(a.pop().split('$s')[$k])\nprint(s)",
    },
    wrong={
        "from_one": "import sys\nprint(sum(int(r.split('$s')[$k - 1]) for r in sys.stdin))",
        "first_row": "print(int(input().split('$s')[$k]))",
    },
    slow={
        "many_rows": "import sys\na = sys.stdin.readlines()\ns = 0\nfor i in range(10 ** 9):\n"
        "    if i < len(a):\n        s += int(a[i].split('$s')[$k])\nprint(s)",
    },
    crash={"no_split": "import sys\nprint(sum(int(r) for r in sys.stdin))"},
)


def _key_value_sum_input(rng: random.Random, setting: Setting, index: int) -> str:
    key = str(setting["k"])
    other = chr((ord(key) - 96) % 26 + 97)
    edges = (f"{key}=5", f"{other}=5", f"{key}=12 {other}=7 {key}=3", f"{other}=1 {key}=20")
    if index < len(edges):
        return edges[index] + "\n"
    keys = [rng.choice((key, key, other, rng.choice(LETTERS))) for _ in range(rng.randint(3, 8))]
    return " ".join(f"{letter}={rng.randint(1, 30)}" for letter in keys) + "\n"


def _key_value_sum(stdin: str, setting: Setting) -> str:
    pairs = [pair.split("=") for pair in stdin.split()]
    return f"{sum(int(value) for key, value in pairs if key == setting['k'])}\n"


KEY_VALUE_SUM = Family(
    name="key_value_sum",
    topic="parsing",
    statement="Read pairs such as x=3. Print the sum of the values of $k.",
    parameters=grid(k=LETTERS),
    make_input=_key_value_sum_input,
    answer=_key_value_sum,
    right={
        "loop": "s = 0\nfor p in input().split():\n    k, v = p.split('=')\n    if k == '$k':\n"
        "        s += int(v)\nprint(s)",
        "generator": "print(sum(int(p[2:]) for p in input().split() if p[0] == '$k'))",
        "regex": "import re\nprint(sum(map(int, re.findall(r'$k=(\\d+)', input()))))",
        "string": "a = input().split('$k=')\nprint(sum(int(p.split()[0]) for p in a[1:]))",
        "dict": "d = {'$k': 0}\nfor p in input().split():\n    k, v = p.split('=')\n"
        "    d[k] = d.get(k, 0) + int(v)\nprint(d['$k'])",
        "counter": "from collections import Counter\nc = Counter()\nfor p in input().split():\n"
        "    c[p[0]] += int(p[2:])\nprint(c['$k'])",
        "filter": "a = filter(lambda p: p.startswith('$k'), input().split())\n"
        "print(sum(int(p[2:]) for p in a))",
        "recursion": "def f(a):\n    if not a:\n        return 0\n"
        "    return (a[0][0] == '$k') * int(a[0][2:]) + f(a[1:])\nprint(f(input().split()))",
        "slice": "a = input().replace('=', ' ').split()\n"
        "print(sum(int(v) for k, v in zip(a[::2], a[1::2]) if k == '$k'))",
        "while": "s = input()\nt = 0\nwhile '$k=' in s:\n    s = s[s.index('$k=') + 2:]\n"
        "    t += int(s.split()[0])\nprint(t)",
    },
    wrong={
        "last_value": "d = dict(p.split('=') for p in input().split())\nprint(d.get('$k', 0))",
        "counts": "print(input().count('$k='))",
    },
    slow={
        "all_values": "a = input().split()\ns = 0\nfor i in range(10 ** 9):\n"
        "    s += i * a.count('$k=' + str(i))\nprint(s)",
    },
    crash={
        "missing_key": "d = {}\nfor p in input().split():\n    k, v = p.split('=')\n"
        "    d[k] += int(v)\nprint(d['$k'])",
    },
)


def _bit_distance_input(rng: random.Random, setting: Setting, index: int) -> str:
    k = int(setting["k"])
    return f"{edge_or_random(rng, index, (0, k, 2 * k, k + 1), 250)}\n"


def _bit_distance(stdin: str, setting: Setting) -> str:
    return f"{bin(int(stdin) ^ int(setting['k'])).count('1')}\n"


BIT_DISTANCE = Family(
    name="bit_distance",
    topic="bits",
    statement="Read n. Print in how many binary digits n and $k differ.",
    parameters=grid(k=range(5, 69)),
    make_input=_bit_distance_input,
    answer=_bit_distance,
    right={
        "string": "n = int(input())\nprint(bin(n ^ $k).count('1'))",
        "bits": "x = int(input()) ^ $k\nc = 0\nwhile x:\n    x &= x - 1\n    c += 1\nprint(c)",
        "loop": "n = int(input())\nc = 0\nfor i in range(20):\n    if n >> i & 1 != $k >> i & 1:\n"
        "        c += 1\nprint(c)",
        "while": "n = int(input())\nk = $k\nc = 0\nwhile n or k:\n    c += n % 2 != k % 2\n"
        "    n //= 2\n    k //= 2\nprint(c)",
        "recursion": "def f(x):\n    return x % 2 + f(x // 2) if x else 0\n"
        "print(f(int(input()) ^ $k))",
        "generator": "a = format(int(input()), '020b')\nb = format($k, '020b')\n"
        "print(sum(x != y for x, y in zip(a, b)))",
        "set": "def f(x):\n    return {i for i in range(20) if x >> i & 1}\n"
        "print(len(f(int(input())) ^ f($k)))",
        "formula": "n = int(input())\n"
        "print(n.bit_count() + ($k).bit_count() - 2 * (n & $k).bit_count())",
        "dp": "x = int(input()) ^ $k\nd = [0]\nfor i in range(1, x + 1):\n"
        "    d.append(d[i // 2] + i % 2)\nprint(d[x])",
    },
    wrong={
        "common_ones": "n = int(input())\nprint(bin(n & $k).count('1'))",
        "ones_apart": "n = int(input())\nprint(abs(n.bit_count() - ($k).bit_count()))",
    },
    slow={
        "all_powers": "x = int(input()) ^ $k\nc = 0\nfor i in range(1, 10 ** 9):\n"
        "    if i & (i - 1) == 0 and i & x:\n        c += 1\nprint(c)",
    },
    crash={"bad_prefix": "n = int(input())\nprint(str(int(bin(n ^ $k))).count('1'))"},
)

FAMILIES: tuple[Family, ...] = (COLUMN_SUM, KEY_VALUE_SUM, BIT_DISTANCE)
