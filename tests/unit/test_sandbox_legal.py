# ruff: noqa: E501 - the programs are one line each, however long
"""Legal programs stay legal: each runs in the sandbox and as `python program.py < input`, and both agree.

Agreement means the same standard output and the same kind of end (exit code 0 or not).
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from raymode.sandbox import Limits, Sandbox, Status, loops
from raymode.sandbox.interpreter import find_interpreter

NUMBERS = "3\n10 20 30\n"
LIMITS = Limits(cpu_s=10.0, wall_s=20.0, memory_mb=1024)

# name: (program, input)
LEGAL: dict[str, tuple[str, str]] = {
    # --- reading
    "input": ("n = int(input())\nprint(n, sum(map(int, input().split())))", NUMBERS),
    "input with prompt": ("x = input('how many? ')\nprint(x * 2)", NUMBERS),
    "iterate stdin": ("import sys\nfor line in sys.stdin:\n    print(len(line), end=';')", NUMBERS),
    "stdin.read": ("import sys\nprint(sys.stdin.read().split())", NUMBERS),
    "stdin.readlines": ("import sys\nprint(sys.stdin.readlines())", NUMBERS),
    "stdin.readline bound": ("import sys\ninput = sys.stdin.readline\nprint(repr(input()), repr(input()), repr(input()))", NUMBERS),
    "stdin.buffer": ("import sys\nprint(sys.stdin.buffer.read().split())", NUMBERS),
    "stdin.buffer.readline": ("import sys\nread = sys.stdin.buffer.readline\nprint(int(read()), read())", NUMBERS),
    "text then bytes": ("import sys\nfirst = input()\nprint(first, sys.stdin.buffer.read())", NUMBERS),
    "open(0)": ("print([int(x) for line in open(0) for x in line.split()])", NUMBERS),
    "open(0, 'rb')": ("print(open(0, 'rb').read())", NUMBERS),
    "os.read": ("import os\nprint(os.read(0, 4), os.read(0, 100), os.read(0, 100))", NUMBERS),
    "os.fstat size": ("import os\nprint(os.read(0, os.fstat(0).st_size))", NUMBERS),
    "BytesIO over os.read": ("import io, os\nf = io.BytesIO(os.read(0, os.fstat(0).st_size))\nprint(f.readline(), f.readline())", NUMBERS),
    "mmap of stdin": ("import mmap\nm = mmap.mmap(0, 0, access=mmap.ACCESS_READ)\nprint(m.readline(), m[2:4])", NUMBERS),
    "fileinput": ("import fileinput\nprint([line.strip() for line in fileinput.input()])", NUMBERS),
    "generator of tokens": ("import sys\ndef tokens():\n    for line in sys.stdin:\n        yield from line.split()\nt = tokens()\nn = int(next(t))\nprint(sum(int(next(t)) for _ in range(n)))", NUMBERS),
    "iter with sentinel": ("import sys\nprint(list(iter(sys.stdin.readline, '')))", NUMBERS),
    "seek back": ("import sys\na = sys.stdin.read()\nsys.stdin.seek(0)\nprint(a == sys.stdin.read())", NUMBERS),
    "new wrapper": ("import io, sys\nsys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8')\nprint(input())", NUMBERS),
    "StringIO as stdin": ("import io, sys\nsys.stdin = io.StringIO(sys.stdin.read())\nprint(input(), input())", NUMBERS),
    "reconfigure": ("import sys\nsys.stdin.reconfigure(encoding='latin-1')\nprint(input())", "caf\u00e9\n"),
    "input.txt if there": ("import os, sys\nif os.path.exists('input.txt'):\n    sys.stdin = open('input.txt')\nprint(input())", NUMBERS),
    "carriage returns": ("print(repr(input()), repr(input()))", "1 2\r\n3 4\r\n"),
    "carriage returns split": ("print([int(x) for x in input().split()])", "1 2\r\n"),
    "no final newline": ("print(input() + input())", "a\nb"),
    "form feed and tabs": ("print(input().split())", "1\t2\x0c3\n"),
    "byte order mark": ("print(repr(input()))", "\ufeff12\n"),
    "non-ASCII": ("s = input()\nprint(s[::-1], len(s))", "h\u00e9\u6f22\U0001f600\n"),
    "invalid UTF-8": ("print(ascii(input()))", "\udcff\udcfe1\n"),
    "invalid UTF-8 echoed": ("print(input())", "\udcff\udcfe1\n"),
    "end of file": ("total = 0\nwhile True:\n    try:\n        total += int(input())\n    except EOFError:\n        break\nprint(total)", "1\n2\n3"),
    "EOFError uncaught": ("print(1)\ninput()", ""),
    "empty input": ("import sys\nprint(repr(sys.stdin.read()), sys.stdin.isatty())", ""),
    "large input": ("import sys\nprint(sum(map(int, sys.stdin.read().split())))", "12345 " * 100_000),
    # --- writing
    "no final newline out": ("import sys\nsys.stdout.write('x')", ""),
    "print to stderr": ("import sys\nprint('debug', file=sys.stderr)\nprint('out')", ""),
    "stdout.buffer": ("import sys\nsys.stdout.buffer.write(b'\\xff\\x00x')", ""),
    "text and bytes mixed": ("import sys\nprint('a')\nsys.stdout.flush()\nsys.stdout.buffer.write(b'b')", ""),
    "os.write before flush": ("import os\nprint('late')\nos.write(1, b'early ')", ""),
    "writelines": ("import sys\nsys.stdout.writelines(f'{i}\\n' for i in range(5))", ""),
    "replace stdout": ("import io, sys\nold = sys.stdout\nsys.stdout = io.StringIO()\nprint('x')\nold.write(sys.stdout.getvalue() * 2)", ""),
    "redirect_stdout": ("import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as f:\n    print('x')\nprint(f.getvalue() * 2)", ""),
    "BytesIO fast output": ("import io, os\nout = io.BytesIO()\nout.write(b'7\\n')\nos.write(1, out.getvalue())", ""),
    "open(1, 'w')": ("with open(1, 'w', closefd=False) as f:\n    f.write('direct')", ""),
    "lone surrogate": ("print('\\udc80')", ""),
    "unencodable surrogate": ("print('\\ud800')", ""),
    "8 MB of output": ("print('x' * (8 << 20))", ""),
    "150,000 lines": ("for i in range(150_000):\n    print(i)", ""),
    "closed stdout": ("import sys\nprint('x')\nsys.stdout.close()", ""),
    "detached stdout": ("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), write_through=True)\nprint('x')\nsys.stdout.flush()", ""),
    "line buffering": ("import sys\nsys.stdout.reconfigure(line_buffering=True)\nprint('x')", ""),
    "Tee without closed": ("import sys\nclass Tee:\n    def __init__(self, f): self.f = f\n    def write(self, s): self.f.write(s)\n    def flush(self): self.f.flush()\nsys.stdout = Tee(sys.stdout)\nprint(int(input()) + 1)", NUMBERS),
    "Tee that buffers, without closed": ("import sys\nclass Tee:\n    kept = []\n    def write(self, s): self.kept.append(s)\n    def flush(self): sys.__stdout__.write(''.join(self.kept)); sys.__stdout__.flush()\nsys.stdout = Tee()\nprint('x')", ""),
    "Tee without flush": ("import sys\nclass Tee:\n    def __init__(self, f): self.f = f\n    def write(self, s): self.f.write(s)\nsys.stdout = Tee(sys.stdout)\nprint('x')", ""),
    "Tee whose flush fails": ("import sys\nclass Tee:\n    def __init__(self, f): self.f = f\n    def write(self, s): self.f.write(s)\n    def flush(self): raise KeyError\nsys.stdout = Tee(sys.stdout)\nprint('x')", ""),
    "Tee whose closed fails": ("import sys\nclass Tee:\n    closed = property(lambda self: 1 / 0)\n    def __init__(self, f): self.f = f\n    def write(self, s): self.f.write(s)\n    def flush(self): self.f.flush()\nsys.stdout = Tee(sys.stdout)\nprint('x')", ""),
    "an object as stdout": ("import sys\nclass Out: pass\nout = Out()\nout.write = open(1, 'w').write\nout.flush = lambda: None\nsys.stdout = out\nprint('x')", ""),
    "swallowed output": ("import sys\nclass Null:\n    def write(self, *a): pass\n    def flush(self): pass\nout = sys.stdout\nsys.stdout = Null()\nprint('debug')\nout.write('x')", ""),
    "del sys.stdout": ("import sys\nprint('x')\ndel sys.stdout", ""),
    "del sys.stdout and stderr": ("import sys\nprint('x')\ndel sys.stdout, sys.stderr", ""),
    "stdout None": ("import sys\nprint('x')\nsys.stdout = None\nprint('y')", ""),
    "stderr without flush": ("import sys\nclass Null:\n    def write(self, *a): pass\nsys.stderr = Null()\nprint('x', file=sys.stderr)\nprint('y')", ""),
    "stderr None": ("import sys\nsys.stderr = None\nprint('x')", ""),
    "stderr closed": ("import sys\nsys.stderr.close()\nprint('x')", ""),
    "error without stderr": ("import sys\nsys.stderr = None\nprint('x')\n1 / 0", ""),
    "write of open(1)": ("w = open(1, 'w').write\nw('x')", ""),
    "write of open (1)": ("w = open (1, 'w').write\nw('x')", ""),
    "open under another name": ("o = open\nw = o(1, 'w').write\nw('x')", ""),
    "open of a variable": ("one = 1\nw = open(one, 'w').write\nw('x')", ""),
    "io.open": ("import io\nw = io.open(1, 'w').write\nw('x')", ""),
    "write of fdopen": ("import os\nw = os.fdopen(1, 'w').write\nw('x')", ""),
    "write of a BufferedWriter": ("import io\nw = io.BufferedWriter(io.FileIO(1, 'w')).write\nw(b'x')", ""),
    "write of a TextIOWrapper": ("import io, sys\nw = io.TextIOWrapper(io.FileIO(1, 'w')).write\nw('x')", ""),
    "subclass of TextIOWrapper": ("import io\nclass F(io.TextIOWrapper): pass\nf = F(open(1, 'wb'))\nprint('x', file=f)", ""),
    "codecs writer": ("import codecs, sys\nsys.stdout = codecs.getwriter('utf8')(sys.stdout.buffer)\nprint('\u00e9')", ""),
    "partial print": ("from functools import partial\np = partial(print, file=open(1, 'w'))\np('x')", ""),
    "file as a default": ("p = lambda *a, f=open(1, 'w'): print(*a, file=f)\np('x')", ""),
    "files in a list": ("files = [open(1, 'w')]\nprint('x', file=files[0])", ""),
    "file in a closure": ("def out():\n    f = open(1, 'w')\n    return lambda s: f.write(s)\nw = out()\nw('x')", ""),
    "file in an object": ("import os\nclass IO:\n    def __init__(self): self.out = os.fdopen(1, 'w')\nio = IO()\nio.out.write('x')", ""),
    "file in a class": ("class IO:\n    out = open(1, 'w')\nIO.out.write('x')", ""),
    "file in an attribute of a module": ("import sys\nsys.out = open(1, 'w')\nsys.out.write('x')", ""),
    # --- ending
    "exit": ("print(1)\nexit()\nprint(2)", ""),
    "quit with code": ("print(1)\nquit(3)", ""),
    "sys.exit(0)": ("import sys\nprint(1)\nsys.exit(0)", ""),
    "sys.exit with text": ("import sys\nsys.exit('bye')", ""),
    "sys.exit(False)": ("import sys\nprint(1)\nsys.exit(False)", ""),
    "raise SystemExit": ("print(1)\nraise SystemExit", ""),
    "exit inside try": ("try:\n    exit()\nexcept Exception:\n    print('caught')\nfinally:\n    print('done')", ""),
    "os._exit loses the buffer": ("import os\nprint('x')\nos._exit(0)", ""),
    "os._exit after flush": ("import os\nprint('x', flush=True)\nos._exit(0)", ""),
    "uncaught": ("print(1)\nraise ValueError('no')", ""),
    "KeyboardInterrupt": ("print(1)\nraise KeyboardInterrupt", ""),
    "assert": ("print(1)\nassert 1 > 2", ""),
    "atexit": ("import atexit\natexit.register(print, 'last')\nprint('first')", ""),
    "atexit prints after exit": ("import atexit, sys\natexit.register(lambda: sys.stdout.write('last'))\nexit()", ""),
    "__del__ at the end": ("class A:\n    def __del__(self):\n        print('gone')\na = A()\nprint('end')", ""),
    "weakref.finalize": ("import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 'final')\nprint('end')", ""),
    "thread not joined": ("import threading, time\ndef late():\n    time.sleep(0.05)\n    print('thread')\nthreading.Thread(target=late).start()\nprint('main')", ""),
    "daemon thread": ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('main')", ""),
    "exception in a thread": ("import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nprint('main')", ""),
    "sys.exit in a thread": ("import sys, threading\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start()\nt.join()\nprint('main')", ""),
    "excepthook": ("import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1 / 0", ""),
    "generator closed at the end": ("def g():\n    try:\n        yield 1\n    finally:\n        print('closed')\nx = g()\nnext(x)\nprint('end')", ""),
    "file object left open": ("f = open(1, 'w', closefd=False)\nf.write('kept')", ""),
    "sys.exit(2**31)": ("import sys\nprint(1)\nsys.exit(2**31)", ""),
    "sys.exit(2**40)": ("import sys\nprint(1)\nsys.exit(2**40)", ""),
    "sys.exit(2**63)": ("import sys\nprint(1)\nsys.exit(2**63)", ""),
    "sys.exit(2**70)": ("import sys\nprint(1)\nsys.exit(2**70)", ""),
    "sys.exit(-2**70)": ("import sys\nprint(1)\nsys.exit(-2**70)", ""),
    "sys.exit(256)": ("import sys\nprint(1)\nsys.exit(256)", ""),
    "sys.exit(0.0)": ("import sys\nprint(1)\nsys.exit(0.0)", ""),
    "sys.exit of a kind of int": ("import sys\nclass Code(int):\n    __and__ = __index__ = __int__ = __add__ = lambda *a: 0\nprint(1)\nsys.exit(Code(3))", ""),
    "sys.exit of a kind of zero": ("import sys\nclass Code(int):\n    __and__ = __index__ = __int__ = __add__ = lambda *a: 3\nprint(1)\nsys.exit(Code(0))", ""),
    "flushed before atexit": ("import atexit, os\nprint('x')\natexit.register(os.write, 1, b'last')", ""),
    "flushed before threads end": ("import os, threading, time\ndef late():\n    time.sleep(0.05)\n    os.write(1, b'late')\nthreading.Thread(target=late).start()\nprint('x')", ""),
    "flushed before the hook": ("import os, sys\nsys.excepthook = lambda *a: os._exit(0)\nprint('x')\n1 / 0", ""),
    "a Tee flushed before atexit": ("import atexit, os, sys\nclass Tee:\n    def __init__(self, f): self.f = f\n    def write(self, s): self.f.write(s)\n    def flush(self): self.f.write('flush'); self.f.flush()\nsys.stdout = Tee(sys.stdout)\natexit.register(os.write, 1, b'last')\nprint('x')", ""),
    "generator in a list": ("def g():\n    try:\n        yield\n    finally:\n        print('closed')\nx = [g()]\nnext(x[0])\nprint('end')", ""),
    "generator in an object": ("class A: pass\ndef g():\n    try: yield\n    finally: print('closed')\na = A()\na.g = g()\nnext(a.g)\nprint('end')", ""),
    "generator under its method": ("def g():\n    try: yield\n    finally: print('closed')\nstep = g().__next__\nstep()\nprint('end')", ""),
    "generator that catches its end": ("def g():\n    try: yield\n    except GeneratorExit: print('caught')\nx = [g()]\nnext(x[0])\nprint('end')", ""),
    "contextmanager entered by hand": ("from contextlib import contextmanager\n@contextmanager\ndef c():\n    try: yield\n    finally: print('left')\nx = c()\nx.__enter__()\nprint('end')", ""),
    "ExitStack left open": ("from contextlib import ExitStack\ns = ExitStack()\ns.callback(print, 'x')\nprint('end')", ""),
    "coroutine left waiting": ("class W:\n    def __await__(self): yield\nasync def c():\n    try: await W()\n    finally: print('left')\nx = [c()]\nx[0].send(None)\nprint('end')", ""),
    "weakref callback": ("import weakref\nclass A: pass\nx = A()\nr = weakref.ref(x, lambda r: print('gone'))\nprint('end')", ""),
    "weakref.finalize of a replaced stdout": ("import io, sys, weakref\nsys.stdout = io.StringIO()\nweakref.finalize(sys.stdout, print, 'x', file=sys.__stdout__)", ""),
    "StringIO written by atexit": ("import atexit, io, sys\nsys.stdout = io.StringIO()\natexit.register(lambda: sys.__stdout__.write(sys.stdout.getvalue()))\nprint('x')", ""),
    "sys.__stdin__ gone, a file open": ("import sys\nw = open(1, 'w').write\nw('x')\ndel sys.__stdin__", ""),
    "builtins.len gone": ("import builtins\nprint('end')\nbuiltins.len = None", ""),
    "more builtins gone": ("import builtins\nprint('end')\nfor n in ('len', 'any', 'type', 'isinstance', 'getattr', 'BaseException', 'int', 'bool', 'print', 'OSError', 'list'):\n    builtins.__dict__[n] = None", ""),
    "builtins.len gone, a file open": ("import builtins\nw = open(1, 'w').write\nw('x')\nbuiltins.len = None", ""),
    "os and sys emptied": ("import os, sys\nprint('x')\nos._exit = None\nsys.__dict__.clear()", ""),
    "sys.modules emptied": ("import sys\nsys.modules.clear()\nprint('x')", ""),
    "globals emptied": ("print('x')\nglobals().clear()", ""),
    "hardly any recursion left": ("import sys\nprint('x')\nsys.setrecursionlimit(12)", ""),
    # --- the main module
    "main guard": ("def main():\n    print('main')\nif __name__ == '__main__':\n    main()", ""),
    "module attributes": ("print(__name__, __doc__, __package__, __spec__, __annotations__)", ""),
    "docstring": ("'''About.'''\nprint(__doc__)", ""),
    "__file__": ("import os\nprint(os.path.isabs(__file__), __file__.endswith('.py'))", ""),
    "import __main__": ("import __main__\nx = 5\nprint(__main__.x)", ""),
    "annotations": ("x: int = 3\nprint(__annotations__)", ""),
    "pickle of a class": ("import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__name__)", ""),
    "dataclass with hints": ("from __future__ import annotations\nfrom dataclasses import dataclass\nimport typing\n@dataclass(order=True)\nclass P:\n    x: int\n    y: list[int]\nprint(P(1, [2]) < P(2, []), typing.get_type_hints(P))", ""),
    "namedtuple and enum": ("from collections import namedtuple\nfrom enum import Enum, auto\nP = namedtuple('P', 'x y')\nclass C(Enum):\n    A = auto()\nprint(P(1, 2), C.A)", ""),
    "argv": ("import sys\nprint(len(sys.argv), type(sys.argv[0]).__name__)", ""),
    "globals and exec": ("exec('y = 4')\nprint(y, 'y' in globals())", ""),
    "chdir to own folder": ("import os\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\nprint('ok')", ""),
    # --- recursion, memory, numbers
    "recursion 100,000": ("import sys\nsys.setrecursionlimit(10**6)\ndef f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\nprint(f(100_000))", ""),
    "recursion in a big thread": ("import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 28)\ndef f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\nt = threading.Thread(target=lambda: print(f(200_000)))\nt.start()\nt.join()", ""),
    "512 MB thread stack": ("import threading\nthreading.stack_size(1 << 29)\nt = threading.Thread(target=print, args=('ok',))\nt.start()\nt.join()", ""),
    "memoised recursion": ("import sys\nfrom functools import lru_cache\nsys.setrecursionlimit(10**6)\n@lru_cache(None)\ndef f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\nprint(f(15_000))", ""),
    "RecursionError caught": ("def f(n):\n    return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError:\n    print('deep')", ""),
    "default recursion limit": ("import sys\nprint(sys.getrecursionlimit())", ""),
    "raise the stack limit": ("import resource\nresource.setrlimit(resource.RLIMIT_STACK, (1 << 28, resource.RLIM_INFINITY))\nprint('ok')", ""),
    "int to str limit": ("print(len(str(10**5000)))", ""),
    "int to str limit lifted": ("import sys\nsys.set_int_max_str_digits(0)\nprint(len(str(10**5000)))", ""),
    "300 MB": ("a = bytearray(300 << 20)\nprint(len(a))", ""),
    "ten million references": ("a = [[0] * 1000 for _ in range(10_000)]\nprint(sum(map(len, a)))", ""),
    # --- the library
    "hash order": ("print(list({'a', 'b', 'c', 'd'}), hash('abc'))", ""),
    "seeded random": ("import random\nrandom.seed(5)\nprint(random.random(), random.sample(range(99), 5))", ""),
    "decimal context": ("from decimal import *\ngetcontext().prec = 40\nprint(Decimal(1) / 7)", ""),
    "fractions.gcd is gone": ("from fractions import gcd\nprint(gcd(4, 6))", ""),
    "time.clock is gone": ("import time\nprint(time.clock() >= 0)", ""),
    "signal.alarm": ("import signal\ndef stop(*a):\n    print('alarm')\n    exit()\nsignal.signal(signal.SIGALRM, stop)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\nwhile True:\n    pass", ""),
    "raise_signal": ("import signal\nsignal.signal(signal.SIGUSR1, lambda *a: print('got'))\nsignal.raise_signal(signal.SIGUSR1)", ""),
    "asyncio": ("import asyncio\nasync def main():\n    await asyncio.sleep(0.01)\n    print(await asyncio.gather(f(1), f(2)))\nasync def f(x):\n    return x\nasyncio.run(main())", ""),
    "thread pool": ("from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n    print(list(pool.map(abs, [-1, 2, -3])))", ""),
    "queue between threads": ("import queue, threading\nq = queue.Queue()\nt = threading.Thread(target=lambda: [q.put(i) for i in range(3)])\nt.start()\nt.join()\nprint([q.get() for _ in range(3)])", ""),
    "urandom and secrets": ("import os, secrets\nprint(len(os.urandom(8)), len(secrets.token_hex(4)))", ""),
    "lazy imports": ("import sqlite3, xml.dom.minidom, http.client, zoneinfo, ssl, hashlib\nprint(hashlib.sha256(b'x').hexdigest())", ""),
    "sqlite in memory": ("import sqlite3\nprint(sqlite3.connect(':memory:').execute('select 1 + 1').fetchone())", ""),
    "ctypes of libc": ("import ctypes\nprint(ctypes.CDLL(None).abs(-3))", ""),
    "platform": ("import platform, sys\nprint(platform.python_implementation(), sys.version_info[:2], sys.platform)", ""),
    "locale": ("import locale, sys\nprint(locale.getpreferredencoding(), sys.stdout.encoding, sys.getfilesystemencoding())", ""),
    "flags": ("import sys\nprint(sys.flags.optimize, sys.flags.utf8_mode, __debug__, sys.dont_write_bytecode in (True, False))", ""),
    "garbage collector": ("import gc\nprint(gc.isenabled(), gc.get_threshold())", ""),
    "pipe to oneself": ("import os\nr, w = os.pipe()\nos.write(w, b'x')\nprint(os.read(r, 1))", ""),
    "expanduser": ("import os\nprint(os.path.expanduser('~') != '')", ""),
    "active threads": ("import threading\nprint(threading.active_count(), threading.current_thread().name, threading.main_thread() is threading.current_thread())", ""),
    "warnings": ("x = 1\nprint(x is 1)", ""),
    "inspect own source line": ("import inspect\nprint(inspect.currentframe().f_lineno)", ""),
    "stack depth": ("import sys\nprint(sys._getframe().f_code.co_name)", ""),
    # --- sources
    "coding cookie": ("# -*- coding: latin-1 -*-\nprint('ok')", ""),
    "non-ASCII source": ("\u03c0 = 3\nprint('\u6f22', \u03c0)", ""),
    "carriage returns in source": ("print(1)\r\nif True:\r\n    print(2)\r\n", ""),
    "source with BOM": ("\ufeffprint('ok')", ""),
    "form feed in source": ("\x0cprint('ok')", ""),
    "tabs after spaces": ("if True:\n\tprint(1)\n        \n", ""),
    "inconsistent tabs": ("if True:\n\tprint(1)\n        print(2)\n", ""),
    "print statement": ("print 'hi'", ""),
    "empty program": ("", ""),
    "unterminated": ("print((1)", ""),
    "walrus and match": ("match (x := 5):\n    case int(): print(x)\n    case _: print('no')", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def with_the_twin() -> Iterator[Sandbox]:
    """A sandbox whose fork loop is the one in Python: it looks at what is left at a program's end itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "KIND", "Python")
        with Sandbox() as sandbox:
            yield sandbox


def real_run(folder: Path, program: str, given: str) -> tuple[bool, bytes]:
    """(exit code 0, standard output) of the interpreter itself."""
    interpreter = find_interpreter()
    source, stdin = folder / "program.py", folder / "stdin"
    source.write_bytes(program.encode("utf-8", "surrogateescape"))
    stdin.write_bytes(given.encode("utf-8", "surrogateescape"))
    environment = {**interpreter.environment, "HOME": "/box", "PATH": "/usr/bin:/bin"}
    with stdin.open("rb") as file:
        result = subprocess.run(
            [interpreter.executable, str(source)],
            stdin=file, capture_output=True, cwd=folder, env=environment, timeout=30, check=False,
        )  # fmt: skip
    return result.returncode == 0, result.stdout


NEED_A_FOLDER = ("chdir to own folder",)
"""A program has a folder of its own at L4 alone."""


def compare(name: str, sandbox: Sandbox, folder: Path) -> None:
    """Run a legal program here and there."""
    program, given = LEGAL[name]
    ended_well, printed = real_run(folder, program, given)
    run = sandbox.run(program, given, LIMITS)
    assert (run.status is Status.AC, run.output) == (ended_well, printed), (
        f"{run.status} {run.message}"
    )
    if not ended_well:
        assert run.status in (Status.RE, Status.CE)


@pytest.mark.parametrize("name", LEGAL)
def test_same_as_the_interpreter(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    compare(name, sandbox, tmp_path)


ENDINGS = (
    "builtins.len gone", "more builtins gone", "builtins.len gone, a file open", "thread not joined",
    "atexit", "generator in a list", "Tee without closed", "write of open(1)", "sys.exit(2**70)",
)  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
def test_programs_end_the_same_with_the_loop_in_python(
    name: str, with_the_twin: Sandbox, tmp_path: Path
) -> None:
    compare(name, with_the_twin, tmp_path)
