"""Five families on text: words of small letters, numbers in a base, numbers joined by a sign."""

import random
import re
from string import ascii_lowercase, digits

from .family import Family, Setting, grid


def _word(rng: random.Random, letters: str, length: int) -> str:
    return "".join(rng.choice(letters) for _ in range(length))


def _word_with_letter(rng: random.Random, at: Setting, index: int) -> str:
    letter = str(at["c"])
    others = "".join(rng.sample(ascii_lowercase.replace(letter, ""), 3))
    edges = (others, letter, letter * 2, letter + others[0] + letter * 2, letter * 3 + others * 2)
    if index < len(edges):
        return edges[index] + "\n"
    return _word(rng, others + letter * 3, rng.randint(3, 20)) + "\n"


def _count_letter(text: str, at: Setting) -> str:
    return f"{sum(letter == at['c'] for letter in text)}\n"


COUNT_LETTER = Family(
    name="count_letter",
    topic="strings",
    statement="Read a word. Print how often the letter $c occurs.",
    parameters=grid(c=ascii_lowercase),
    make_input=_word_with_letter,
    answer=_count_letter,
    right={
        "loop": "n = 0\nfor x in input():\n    if x == '$c':\n        n += 1\nprint(n)",
        "while": "s = input()\nn = 0\ni = s.find('$c')\nwhile i >= 0:\n    n += 1\n"
        "    i = s.find('$c', i + 1)\nprint(n)",
        "recursion": "def f(s):\n    return (s[0] == '$c') + f(s[1:]) if s else 0\n"
        "print(f(input()))",
        "generator": "print(sum(x == '$c' for x in input()))",
        "string": "print(input().count('$c'))",
        "split": "print(len(input().split('$c')) - 1)",
        "regex": "import re\nprint(len(re.findall('$c', input())))",
        "counter": "from collections import Counter\nprint(Counter(input())['$c'])",
        "filter": "print(len(list(filter(lambda x: x == '$c', input()))))",
        "bisect": "from bisect import bisect, bisect_left\ns = sorted(input())\n"
        "print(bisect(s, '$c') - bisect_left(s, '$c'))",
    },
    wrong={
        "off_by_one": "s = input()\nprint(s[1:].count('$c'))",
        "found_or_not": "print(int('$c' in input()))",
        "other_letters": "print(sum(x != '$c' for x in input()))",
    },
    slow={
        "huge_loop": "s = input()\nn = 0\nfor i in range(10**9):\n"
        "    if i < len(s) and s[i] == '$c':\n        n += 1\nprint(n)",
    },
    crash={"text_as_index": "s = input()\nprint(s['$c'])"},
)


def _shift_letters_input(rng: random.Random, at: Setting, index: int) -> str:
    edges = ("a", "z", "abc", "xyz", ascii_lowercase)
    if index < len(edges):
        return edges[index] + "\n"
    return _word(rng, ascii_lowercase, rng.randint(2, 15)) + "\n"


def _shift_letters(text: str, at: Setting) -> str:
    letters = ascii_lowercase
    return "".join(letters[(letters.index(x) + int(at["k"])) % 26] for x in text.strip()) + "\n"


SHIFT_LETTERS = Family(
    name="shift_letters",
    topic="strings",
    statement="Read a word. Print it with every letter moved $k places on, z to a.",
    parameters=grid(k=range(1, 26)),
    make_input=_shift_letters_input,
    answer=_shift_letters,
    right={
        "loop": "t = ''\nfor x in input():\n    t += chr((ord(x) - 97 + $k) % 26 + 97)\nprint(t)",
        "while": "s = input()\nfor i in range($k):\n    t = ''\n    while s:\n"
        "        t += 'a' if s[0] == 'z' else chr(ord(s[0]) + 1)\n        s = s[1:]\n    s = t\n"
        "print(s)",
        "recursion": "def f(s):\n"
        "    return chr((ord(s[0]) - 97 + $k) % 26 + 97) + f(s[1:]) if s else ''\n"
        "print(f(input()))",
        "generator": "print(''.join(chr((ord(x) - 97 + $k) % 26 + 97) for x in input()))",
        "string": "from string import ascii_lowercase as a\n"
        "print(input().translate(str.maketrans(a, a[$k:] + a[:$k])))",
        "dict": "a = 'abcdefghijklmnopqrstuvwxyz'\nd = dict(zip(a, a[$k:] + a))\n"
        "print(''.join(map(d.get, input())))",
        "queue": "from collections import deque\nfrom string import ascii_lowercase as a\n"
        "d = deque(a)\nd.rotate(-$k)\nfor x in input():\n    print(d[ord(x) - 97], end='')",
        "regex": "import re\nf = lambda x: chr((ord(x[0]) - 97 + $k) % 26 + 97)\n"
        "print(re.sub('.', f, input()))",
        "slice": "a = 'abcdefghijklmnopqrstuvwxyz' * 2\n"
        "print(*[a[a.index(x) + $k] for x in input()], sep='')",
    },
    wrong={
        "no_wrap": "print(''.join(chr(ord(x) + $k) for x in input()))",
        "off_by_one": "print(''.join(chr((ord(x) - 97 + $k) % 25 + 97) for x in input()))",
    },
    slow={
        "huge_loop": "s = input()\nfor i in range(26 * 10**8 + $k):\n"
        "    s = ''.join(chr((ord(x) - 96) % 26 + 97) for x in s)\nprint(s)",
    },
    crash={"letter_plus_number": "print(''.join(x + $k for x in input()))"},
)


def _longest_run(text: str, at: Setting) -> str:
    runs = re.findall(f"{at['c']}*", text)
    return f"{max(map(len, runs))}\n"


LONGEST_RUN = Family(
    name="longest_run",
    topic="strings",
    statement="Read a word. Print the length of the longest run of the letter $c.",
    parameters=grid(c=ascii_lowercase),
    make_input=_word_with_letter,
    answer=_longest_run,
    right={
        "loop": "m = n = 0\nfor x in input():\n    n = n + 1 if x == '$c' else 0\n"
        "    m = max(m, n)\nprint(m)",
        "while": "s = input()\nn = 0\nwhile '$c' * (n + 1) in s:\n    n += 1\nprint(n)",
        "recursion": "def f(s, n):\n    if not s:\n        return n\n"
        "    return max(n, f(s[1:], n + 1 if s[0] == '$c' else 0))\nprint(f(input(), 0))",
        "generator": "s = input()\nprint(max(n for n in range(len(s) + 1) if '$c' * n in s))",
        "regex": "import re\nprint(max(map(len, re.findall('$c*', input()))))",
        "library": "from itertools import groupby\n"
        "print(max(len([*g]) * (x == '$c') for x, g in groupby(input())))",
        "dp": "s = input()\nd = [0] * (len(s) + 1)\nfor i in range(len(s)):\n"
        "    if s[i] == '$c':\n        d[i + 1] = d[i] + 1\nprint(max(d))",
        "split": "s = input()\nfor x in set(s) - {'$c'}:\n    s = s.replace(x, ' ')\n"
        "print(max(map(len, s.split(' '))))",
        "two_pointers": "s = input()\nm = i = 0\nfor j in range(len(s)):\n    if s[j] != '$c':\n"
        "        i = j + 1\n    m = max(m, j - i + 1)\nprint(m)",
    },
    wrong={
        "no_reset": "n = 0\nfor x in input():\n    if x == '$c':\n        n += 1\nprint(n)",
        "forgets_last_run": "m = n = 0\nfor x in input():\n    if x == '$c':\n        n += 1\n"
        "    else:\n        m = max(m, n)\n        n = 0\nprint(m)",
    },
    slow={
        "huge_loop": "s = input()\nm = 0\nfor n in range(1, 10**9):\n"
        "    if '$c' * min(n, 99) in s:\n        m = n\nprint(m)",
    },
    crash={"no_default": "print(max(n for n in input() if n == '$c') + 1)"},
)


def _read_base_input(rng: random.Random, at: Setting, index: int) -> str:
    symbols = (digits + ascii_lowercase)[: int(at["b"])]
    edges = ("0", "1", symbols[-1], "10", "12", "100", symbols[-1] + "01")
    if index < len(edges):
        return edges[index] + "\n"
    return rng.choice(symbols[1:]) + _word(rng, symbols, rng.randint(1, 5)) + "\n"


def _read_base(text: str, at: Setting) -> str:
    return f"{int(text, int(at['b']))}\n"


READ_BASE = Family(
    name="read_base",
    topic="parsing",
    statement="Read a number in base $b. Print it in base ten.",
    parameters=grid(b=range(3, 33)),
    make_input=_read_base_input,
    answer=_read_base,
    right={
        "loop": "n = 0\nfor x in input():\n    n = n * $b + int(x, 36)\nprint(n)",
        "while": "s = input()\nn = 0\np = 1\nwhile s:\n    n += int(s[-1], 36) * p\n    p *= $b\n"
        "    s = s[:-1]\nprint(n)",
        "recursion": "def f(s):\n    return f(s[:-1]) * $b + int(s[-1], 36) if s else 0\n"
        "print(f(input()))",
        "generator": "s = input()[::-1]\nprint(sum(int(x, 36) * $b**i for i, x in enumerate(s)))",
        "library": "print(int(input(), $b))",
        "reduce": "from functools import reduce\n"
        "print(reduce(lambda n, x: n * $b + int(x, 36), input(), 0))",
        "stack": "s = list(input())\nn = 0\np = 1\nwhile s:\n    n += int(s.pop(), 36) * p\n"
        "    p *= $b\nprint(n)",
        "dp": "s = input()\nd = [0]\nfor i in range(len(s)):\n"
        "    d.append(d[i] * $b + int(s[i], 36))\nprint(d[-1])",
        "string": "a = '0123456789abcdefghijklmnopqrstuv'\nn = 0\nfor x in input():\n"
        "    n = n * $b + a.index(x)\nprint(n)",
    },
    wrong={
        "wrong_end": "print(sum(int(x, 36) * $b**i for i, x in enumerate(input())))",
        "off_by_one": "n = 0\nfor x in input():\n    n = (n + int(x, 36)) * $b\nprint(n)",
    },
    slow={"search_down": "s = input()\nn = 10**10\nwhile n != int(s, $b):\n    n -= 1\nprint(n)"},
    crash={"text_power": "s = input()\nprint(sum(int(x, 36) * $b**x for x in s))"},
)


def _sum_fields_input(rng: random.Random, at: Setting, index: int) -> str:
    k, sign = int(at["k"]), str(at["c"])
    edges = ([k], [k + 1], [k, k + 1, k - 1], [0, k + 2, 99], [k + 1, k + 1, k])
    if index < len(edges):
        numbers = edges[index]
    else:
        numbers = [k, *(rng.randint(0, 99) for _ in range(rng.randint(1, 8)))]
        rng.shuffle(numbers)
    return sign.join(map(str, numbers)) + "\n"


def _sum_fields(text: str, at: Setting) -> str:
    numbers = map(int, text.split(str(at["c"])))
    return f"{sum(x for x in numbers if x > int(at['k']))}\n"


SUM_FIELDS = Family(
    name="sum_fields",
    topic="parsing",
    statement="Read numbers joined by '$c'. Print the sum of those above $k.",
    parameters=grid(c=(":", ";", "+", "_"), k=range(5, 66, 4)),
    make_input=_sum_fields_input,
    answer=_sum_fields,
    right={
        "loop": "t = 0\nfor x in input().split('$c'):\n    if int(x) > $k:\n        t += int(x)\n"
        "print(t)",
        "while": "s = input()\nt = 0\nwhile s:\n    x, y, s = s.partition('$c')\n"
        "    if int(x) > $k:\n        t += int(x)\nprint(t)",
        "recursion": "def f(a):\n    return a[0] * (a[0] > $k) + f(a[1:]) if a else 0\n"
        "print(f([int(x) for x in input().split('$c')]))",
        "generator": "print(sum(int(x) for x in input().split('$c') if int(x) > $k))",
        "filter": "print(sum(filter(lambda x: x > $k, map(int, input().split('$c')))))",
        "regex": "import re\nprint(sum(x for x in map(int, re.split('[$c]', input())) if x > $k))",
        "reduce": "from functools import reduce\na = map(int, input().split('$c'))\n"
        "print(reduce(lambda t, x: t + x if x > $k else t, a, 0))",
        "bisect": "from bisect import bisect\na = sorted(map(int, input().split('$c')))\n"
        "print(sum(a[bisect(a, $k):]))",
        "sort": "a = sorted(map(int, input().split('$c')))\nt = 0\nwhile a and a[-1] > $k:\n"
        "    t += a.pop()\nprint(t)",
        "scan": "t = n = 0\nfor x in input() + '$c':\n    if x == '$c':\n"
        "        t += n * (n > $k)\n        n = 0\n    else:\n        n = n * 10 + int(x)\n"
        "print(t)",
    },
    wrong={
        "off_by_one": "print(sum(int(x) for x in input().split('$c') if int(x) >= $k))",
        "count_not_sum": "print(sum(int(x) > $k for x in input().split('$c')))",
        "distinct_only": "print(sum({int(x) for x in input().split('$c') if int(x) > $k}))",
    },
    slow={
        "huge_loop": "a = list(map(int, input().split('$c')))\nt = 0\n"
        "for i in range($k + 1, 10**9):\n    if i < 100:\n        t += i * a.count(i)\nprint(t)",
    },
    crash={"no_split": "print(sum(x for x in input() if x > $k))"},
)

FAMILIES = (COUNT_LETTER, SHIFT_LETTERS, LONGEST_RUN, READ_BASE, SUM_FIELDS)
