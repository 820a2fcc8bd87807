# ruff: noqa: E501 - the programs are one line each, however long
"""Generates legal programs: ways to read, algorithms, ways to write, endings and wrappers, combined by a seed.

Every program reads "n", then n integers, and behaves the same in every run under one interpreter.
"""

import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

READERS = {
    "input": "n = int(input())\na = list(map(int, input().split()))",
    "input with prompt": "n = int(input('n? '))\na = [int(x) for x in input().split()]",
    "stdin.read": "import sys\nn, *a = map(int, sys.stdin.read().split())",
    "buffer.read": "import sys\nn, *a = map(int, sys.stdin.buffer.read().split())",
    "readline": "import sys\nread = sys.stdin.readline\nn = int(read())\na = list(map(int, read().split()))",
    "buffer.readline": "import sys\nread = sys.stdin.buffer.readline\nn = int(read())\na = list(map(int, read().split()))",
    "readlines": "import sys\nlines = sys.stdin.readlines()\nn = int(lines[0])\na = [int(x) for x in lines[1].split()]",
    "iteration": "import sys\na = [int(x) for line in sys.stdin for x in line.split()]\nn = a.pop(0)",
    "splitlines": "import sys\nn, rest = sys.stdin.read().splitlines()[:2]\nn = int(n)\na = [int(x) for x in rest.split()]",
    "open(0)": "n, *a = [int(x) for line in open(0) for x in line.split()]",
    "open(0).read": "with open(0, closefd=False) as f:\n    n, *a = map(int, f.read().split())",
    "open(0, rb)": "n, *a = map(int, open(0, 'rb', buffering=0).read().split())",
    "os.read": "import os\nn, *a = map(int, os.read(0, os.fstat(0).st_size).split())",
    "os.read in pieces": "import os\ndata = b''\nwhile piece := os.read(0, 3):\n    data += piece\nn, *a = map(int, data.split())",
    "os.fdopen": "import os\nn, *a = map(int, os.fdopen(0).read().split())",
    "os.dup": "import os\nwith os.fdopen(os.dup(0)) as f:\n    n = int(f.readline())\n    a = list(map(int, f.readline().split()))",
    "BytesIO": "import io, os\nf = io.BytesIO(os.read(0, 1 << 20))\nn = int(f.readline())\na = list(map(int, f.readline().split()))",
    "mmap": "import mmap\nm = mmap.mmap(0, 0, access=mmap.ACCESS_READ)\nn, *a = map(int, m[:].split())",
    "fileinput": "import fileinput\nlines = [line for line in fileinput.input()]\nn, a = int(lines[0]), list(map(int, lines[1].split()))",
    "sentinel": "import sys\nlines = list(iter(sys.stdin.readline, ''))\nn, a = int(lines[0]), list(map(int, lines[1].split()))",
    "tokens": "import sys\ndef tokens():\n    for line in sys.stdin:\n        yield from line.split()\nt = tokens()\nn = int(next(t))\na = [int(next(t)) for _ in range(n)]",
    "StringIO": "import io, sys\nsys.stdin = io.StringIO(sys.stdin.read())\nn = int(input())\na = list(map(int, input().split()))",
    "new wrapper": "import io, sys\nsys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding='ascii')\nn = int(input())\na = list(map(int, input().split()))",
    "detach": "import sys\nn, *a = map(int, sys.stdin.detach().read().split())",
    "reconfigure": "import sys\nsys.stdin.reconfigure(encoding='latin-1', newline='')\nn = int(input())\na = list(map(int, input().split()))",
    "until EOF": "got = []\ntry:\n    while True:\n        got.append(input())\nexcept EOFError:\n    pass\nn, a = int(got[0]), [int(x) for x in got[1].split()]",
    "suppress": "import contextlib\ngot = []\nwith contextlib.suppress(EOFError):\n    while True:\n        got += input().split()\nn, *a = map(int, got)",
    "seek": "import sys\nsys.stdin.read()\nsys.stdin.seek(0)\nn, *a = map(int, sys.stdin.read().split())",
    "islice": "import itertools, sys\nfirst, second = itertools.islice(sys.stdin, 2)\nn, a = int(first), list(map(int, second.split()))",
    "csv": "import csv, sys\nrows = list(csv.reader(sys.stdin, delimiter=' '))\nn, a = int(rows[0][0]), [int(x) for x in rows[1] if x]",
    "getreader": "import codecs, sys\nf = codecs.getreader('utf-8')(sys.stdin.buffer)\nn, *a = map(int, f.read().split())",
    "readinto": "import sys\nspace = bytearray(1 << 12)\nlength = sys.stdin.buffer.readinto(space)\nn, *a = map(int, space[:length].split())",
    "text then bytes": "import sys\nn = int(input())\na = [int(x) for x in sys.stdin.buffer.read().split()] or list(map(int, sys.stdin.readline().split()))",
}

# Each makes `r`, a list of what to print, of n and a.
ALGORITHMS = {
    "sums": "from itertools import accumulate\nr = list(accumulate(a))",
    "sort": "r = sorted(a, key=lambda x: (-x % 7, x))",
    "counter": "from collections import Counter\nr = sorted(Counter(a).items())",
    "defaultdict": "from collections import defaultdict\nd = defaultdict(list)\nfor x in a:\n    d[x % 3].append(x)\nr = sorted(d.items())",
    "deque": "from collections import deque\nq = deque(a)\nq.rotate(2)\nr = list(q)",
    "OrderedDict": "from collections import OrderedDict\nd = OrderedDict.fromkeys(a)\nr = list(d)[::-1]",
    "heap": "import heapq\nh = a[:]\nheapq.heapify(h)\nr = [heapq.heappop(h) for _ in range(len(h))]",
    "bisect": "import bisect\nr = []\nfor x in a:\n    bisect.insort(r, x)",
    "primes": "m = max(a) + 2\ns = [True] * (m + 1)\nfor i in range(2, m + 1):\n    for j in range(i * i, m + 1, i):\n        s[j] = False\nr = [i for i in range(2, m + 1) if s[i]]",
    "gcd": "import math\nr = [math.gcd(*a), math.lcm(*[x or 1 for x in a]), math.isqrt(sum(a))]",
    "reduce": "from functools import reduce\nr = [reduce(lambda x, y: x * 31 + y, a, 7)]",
    "lru_cache": "from functools import lru_cache\n@lru_cache(maxsize=None)\ndef f(k):\n    return k if k < 2 else f(k - 1) + f(k - 2)\nr = [f(x) for x in a]",
    "cmp_to_key": "from functools import cmp_to_key\nr = sorted(a, key=cmp_to_key(lambda x, y: (y > x) - (y < x)))",
    "knapsack": "d = [1] + [0] * 60\nfor x in a:\n    for t in range(60, x, -1):\n        d[t] += d[t - x - 1]\nr = d",
    "fractions": "from fractions import Fraction\nr = [sum(Fraction(1, x + 1) for x in a)]",
    "decimal": "from decimal import Decimal, getcontext\ngetcontext().prec = 25\nr = [Decimal(x) / 7 for x in a]",
    "statistics": "import statistics\nr = [statistics.mean(a), statistics.median(a), statistics.pstdev(a)]",
    "seeded random": "import random\nrandom.seed(n)\nr = [random.randint(0, 99) for _ in a] + random.sample(range(50), 3)",
    "regex": "import re\nr = re.findall(r'1\\d*', ' '.join(map(str, a))) + [re.sub(r'(\\d)\\1', r'<\\1>', str(a))]",
    "string": "import string\nr = [string.ascii_lowercase[x % 26] for x in a] + [string.Template('$x!').substitute(x=n)]",
    "formats": "r = [f'{x:>5}|{x:<4x}|{x:^6b}|{x / 3:.3f}|{x:+e}' for x in a]",
    "hash order": "r = list({str(x) for x in a}) + list(set(a)) + [hash(str(n))]",
    "hashlib": "import hashlib\nr = [hashlib.sha256(repr(a).encode()).hexdigest()]",
    "json": "import json\nr = [json.dumps({'n': n, 'a': a}, indent=1), json.loads(json.dumps(a))]",
    "struct": "import struct\nr = [struct.pack(f'<{len(a)}i', *a).hex()]",
    "array": "from array import array\nv = array('l', a)\nv.reverse()\nr = v.tolist()",
    "dataclass": "from dataclasses import dataclass, field\n@dataclass(order=True)\nclass P:\n    x: int\n    y: list = field(default_factory=list, compare=False)\nr = sorted(P(x) for x in a)",
    "enum": "from enum import Enum\nC = Enum('C', 'RED GREEN BLUE')\nr = [C(x % 3 + 1).name for x in a]",
    "NamedTuple": "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int = 4\nr = [P(x) for x in a]",
    "queue": "import queue\nq = queue.PriorityQueue()\nfor x in a:\n    q.put(-x)\nr = [q.get() for _ in a]",
    "threads": "import threading\nr = []\nts = [threading.Thread(target=r.append, args=(x,)) for x in a]\nfor t in ts:\n    t.start()\n    t.join()",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(3) as pool:\n    r = list(pool.map(lambda x: x * x, a))",
    "asyncio": "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1\nasync def g():\n    return await asyncio.gather(*map(f, a))\nr = asyncio.run(g())",
    "sqlite": "import sqlite3\nc = sqlite3.connect(':memory:')\nc.execute('create table t (x int)')\nc.executemany('insert into t values (?)', [(x,) for x in a])\nr = list(c.execute('select x, count(*) from t group by x order by x'))\nc.close()",
    "zlib": "import base64, zlib\nr = [zlib.decompress(zlib.compress(str(a).encode())), base64.b64encode(bytes(x % 256 for x in a))]",
    "literal_eval": "import ast\nr = ast.literal_eval(str(a)) + [ast.dump(ast.parse('x + 1'))]",
    "datetime": "from datetime import date, timedelta\nr = [(date(2020, 2, 28) + timedelta(days=x)).isoformat() for x in a]",
    "complex": "import cmath\nr = [complex(x, n) ** 2 for x in a] + [cmath.phase(1j)]",
    "recursion": "import sys\nsys.setrecursionlimit(20000)\ndef f(k):\n    return 0 if k == 0 else 1 + f(k - 1)\nr = [f(3000 + x) for x in a]",
    "RecursionError": "def f(k):\n    return f(k + 1)\ntry:\n    f(0)\nexcept RecursionError as error:\n    r = [type(error).__name__]",
    "generator": "def g():\n    total = 0\n    while True:\n        total += yield total\nit = g()\nnext(it)\nr = [it.send(x) for x in a]\nit.close()",
    "closure": "def make():\n    total = 0\n    def add(x):\n        nonlocal total\n        total += x\n        return total\n    return add\nadd = make()\nr = [add(x) for x in a]",
    "class": "class Stack:\n    __slots__ = ('items',)\n    def __init__(self):\n        self.items = []\n    def __len__(self):\n        return len(self.items)\ns = Stack()\nfor x in a:\n    s.items.append(x)\nr = [len(s)] + s.items[::-1]",
    "metaclass": "class Meta(type):\n    def __call__(cls, *v):\n        return sum(v)\nclass Sum(metaclass=Meta):\n    pass\nr = [Sum(*a)]",
    "match": "r = []\nfor x in a:\n    match divmod(x, 5):\n        case (0, rest):\n            r.append(('small', rest))\n        case (q, 0 | 1) if q > 2:\n            r.append('edge')\n        case _:\n            r.append(None)",
    "exec and eval": "scope = {}\nexec('def f(x):\\n    return x * 2', scope)\nr = [eval('f(x) + 1', scope, {'x': x}) for x in a]",
    "exceptions": "r = []\nfor x in a:\n    try:\n        r.append(100 // (x % 4))\n    except ZeroDivisionError as error:\n        r.append(str(error))\n    finally:\n        r.append(x)",
    "big integers": "r = [pow(3, 200 + x) % 10 ** 40 for x in a] + [len(str(7 ** 4000))]",
    "matrix": "m = [[x, 1], [1, 0]] if (x := a[0]) or True else []\nfor _ in range(5):\n    m = [[sum(p * q for p, q in zip(row, col)) for col in zip(*m)] for row in m]\nr = m",
    "permutations": "from itertools import combinations, permutations, product\nr = list(permutations(a[:3])) + list(combinations(a[:4], 2)) + list(product('ab', repeat=2))",
    "traceback": "import traceback\ntry:\n    [][n]\nexcept IndexError:\n    r = [traceback.format_exc().splitlines()[-1]]",
    "logging": "import logging, sys\nlogging.basicConfig(stream=sys.stderr, level=logging.INFO)\nlogging.info('read %d', n)\nr = a",
    "graph": "from graphlib import TopologicalSorter\nr = list(TopologicalSorter({i: [i + 1] for i in range(n)}).static_order())",
    "unicode": "import unicodedata\nr = [unicodedata.name(chr(945 + x % 5)) for x in a] + ['\\u00e9\\u6f22\\U0001f600'[::-1]]",
    "textwrap": "import textwrap\nr = textwrap.wrap(' '.join(map(str, a)), 12)",
    "difflib": "import difflib\nr = difflib.get_close_matches('12', [str(x) for x in a], cutoff=0.3)",
    "pickle": "import copy, pickle\nr = [pickle.loads(pickle.dumps(a)) == a, copy.deepcopy([a]) is a]",
    "weakref": "import weakref\nclass T:\n    pass\nt = T()\nw = weakref.ref(t)\nr = [w() is t]\ndel t\nr.append(w())",
    "warnings": "import warnings\nwith warnings.catch_warnings(record=True) as seen:\n    warnings.simplefilter('always')\n    warnings.warn('careful')\nr = [str(w.message) for w in seen]",
    "shlex": "import html, shlex, urllib.parse\nr = shlex.split('a \"b c\" d') + [html.escape('<'), urllib.parse.quote('a b')]",
    "signal": "import signal\ngot = []\nsignal.signal(signal.SIGUSR1, lambda *_: got.append(n))\nsignal.raise_signal(signal.SIGUSR1)\nr = got",
    "edge sizes": "r = ['x' * (8191 + x) for x in a[:2]] + ['y' * 70000]",
}

WRITERS = {
    "print all": "print(*r)",
    "print each": "for x in r:\n    print(x)",
    "print sep": "print(*r, sep='\\n', end='')",
    "join": "print('\\n'.join(map(str, r)))",
    "repr": "print(repr(r), flush=True)",
    "stdout.write": "import sys\nsys.stdout.write(' '.join(map(str, r)) + '\\n')",
    "writelines": "import sys\nsys.stdout.writelines(f'{x}\\n' for x in r)",
    "bytes": "import sys\nsys.stdout.buffer.write('\\n'.join(map(str, r)).encode())",
    "text, flush, bytes": "import sys\nprint('first')\nsys.stdout.flush()\nsys.stdout.buffer.write(repr(r).encode())",
    "os.write early": "import os\nprint('late')\nos.write(1, repr(r).encode()[:60])",
    "StringIO": "import io, sys\nold, sys.stdout = sys.stdout, io.StringIO()\nprint(*r)\nold.write(sys.stdout.getvalue())",
    "redirect": "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as f:\n    print(*r)\nprint(f.getvalue().upper())",
    "open(1)": "with open(1, 'w', closefd=False) as f:\n    print(*r, file=f)",
    "wrapper": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8', write_through=True)\nprint(*r)",
    "line buffering": "import sys\nsys.stdout.reconfigure(line_buffering=True)\nprint(*r)",
    "partial": "from functools import partial\nsay = partial(print, end=';\\n')\nsay(len(r))\nsay(*r[:3])",
    "pprint": "from pprint import pprint\npprint(r, width=40)",
    "both streams": "import sys\nprint(*r)\nprint('note', n, file=sys.stderr)",
}

ENDINGS = {
    "plain": "", "plain again": "pass",
    "exit": "exit()", "quit 0": "quit(0)", "sys.exit": "import sys\nsys.exit()",
    "SystemExit": "raise SystemExit", "exit 3": "import sys\nsys.exit(3)", "exit True": "exit(True)",
    "exit with text": "import sys\nsys.exit('not good')", "exit 256": "exit(256)", "exit -1": "exit(-1)",
    "ValueError": "int('x' + str(n))", "KeyError": "{}['k', n]", "IndexError": "[1][n + 1]",
    "ZeroDivisionError": "n / (n - n)", "TypeError": "n + 'x'", "AssertionError": "assert n < 0, (n, 'bad')",
    "AttributeError": "'x'.uper()", "NameError": "print(nn_)", "ImportError": "from math import sinus",
    "ModuleNotFoundError": "import no_such_module", "RecursionError": "f = lambda x: f(x)\nf(1)",
    "UnicodeEncodeError": "print('\\ud800')", "StopIteration": "next(iter([]))", "NotImplementedError": "raise NotImplementedError",
    "own exception": "class Wrong(Exception):\n    pass\nraise Wrong('a', n)",
    "cause": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('outer') from e",
    "context": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}[0]",
    "group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    "note": "e = ValueError('x')\ne.add_note('the note')\nraise e",
    "two lines": "raise ValueError('first\\nsecond')", "empty message": "raise ValueError",
    "SyntaxError": "exec('x = = 1')", "broken str": "class B(Exception):\n    def __str__(self):\n        return 1 / 0\nraise B",
    "EOFError": "import sys\nsys.stdin.read() if not sys.stdin.closed else None\ninput()",
    "OSError": "open('/no/such/file')", "OverflowError": "float(10 ** 400)", "LookupError": "'x'.encode('no-codec')",
    "os._exit": "import os\nos._exit(4)", "os._exit 0 after flush": "import os, sys\nsys.stdout.flush()\nos._exit(0)",
    "atexit": "import atexit\natexit.register(print, 'last')",
    "atexit raises": "import atexit\natexit.register(lambda: 1 / 0)\natexit.register(print, 'before')",
    "atexit after exit": "import atexit, sys\natexit.register(lambda: sys.stdout.write('end'))\nsys.exit(5)",
    "finalizer": "class D:\n    def __del__(self):\n        print('gone')\nd = D()",
    "finalizer raises": "class D:\n    def __del__(self):\n        1 / 0\nd = D()\ndel d",
    "weakref.finalize": "import weakref\nclass D:\n    pass\nd = D()\nweakref.finalize(d, print, 'final')",
    "thread": "import threading, time\ndef late():\n    time.sleep(0.02)\n    print('thread')\nthreading.Thread(target=late).start()",
    "daemon": "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "thread raises": "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()",
    "thread exits": "import sys, threading\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start()\nt.join()",
    "excepthook": "import sys\nsys.excepthook = lambda kind, value, trace: print('hook', kind.__name__)\n1 / 0",
    "excepthook fails": "import sys\nsys.excepthook = lambda *_: 1 / 0\n{}[1]",
    "finally": "try:\n    exit(2)\nfinally:\n    print('finally')",
    "swallowed": "try:\n    exit(2)\nexcept BaseException:\n    print('swallowed')",
    "stderr only": "import sys\nsys.stderr.write('warning\\n')", "warning": "import warnings\nwarnings.warn('old')",
    "raise_signal": "import signal, sys\nsys.stdout.flush()\nsignal.raise_signal(signal.SIGTERM)",
    "abort": "import os, sys\nsys.stdout.flush()\nos.abort()",
    "stdout closed": "import sys\nsys.stdout.close()", "stdout None": "import sys\nsys.stdout.flush()\nsys.stdout = None",
    "generator left": "def g():\n    try:\n        yield 1\n    finally:\n        print('closed')\nx = g()\nnext(x)",
    "sleep": "import time\ntime.sleep(0.01)",
}  # fmt: skip

WRAPPERS = {
    "none": "{body}",
    "main": "def main():\n{indented}\nmain()",
    "guard": "def main():\n{indented}\nif __name__ == '__main__':\n    main()",
    "class": "class Solution:\n    def solve(self):\n{deeper}\nSolution().solve()",
    "thread": "import sys, threading\nthreading.stack_size(1 << 26)\ndef main():\n{indented}\nt = threading.Thread(target=main)\nt.start()\nt.join()",
    "try": "try:\n{indented}\nfinally:\n    del n, a",
    "if": "if True:\n{indented}",
    "docstring": "'''Solves it.'''\nfrom __future__ import annotations\nlimit: int = 5\n{body}",
}


@dataclass(frozen=True)
class Program:
    """A generated program and what it is tried on."""

    name: str
    source: str
    inputs: tuple[str, ...]


def generate(seed: int, count: int, inputs: int = 2) -> Iterator[Program]:
    """Yield `count` programs, always the same ones of a seed. Every part is used equally often."""
    chance = random.Random(seed)
    parts = [_endless(chance, table) for table in (READERS, ALGORITHMS, WRITERS, ENDINGS, WRAPPERS)]
    for number in range(count):
        names = [next(part) for part in parts]
        reader, algorithm, writer, ending, wrapper = names
        body = "\n".join([READERS[reader], ALGORITHMS[algorithm], WRITERS[writer], ENDINGS[ending]])
        source = WRAPPERS[wrapper].format(
            body=body,
            indented=textwrap.indent(body, " " * 4),
            deeper=textwrap.indent(body, " " * 8),
        )
        given = tuple(numbers(chance) for _ in range(inputs))
        yield Program(f"{number}: {', '.join(names)}", source + "\n", given)


def _endless(chance: random.Random, table: dict[str, str]) -> Iterator[str]:
    names = list(table)
    while True:
        chance.shuffle(names)
        yield from names


def numbers(chance: random.Random) -> str:
    """ "n", then n integers in another line."""
    values = [
        chance.choice((chance.randint(0, 9), chance.randint(0, 40)))
        for _ in range(chance.randint(1, 8))
    ]
    return f"{len(values)}\n{' '.join(map(str, values))}\n"
