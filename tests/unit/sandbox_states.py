# ruff: noqa: E501 - the programs are one line each, however long
"""Programs whose output shows whether anything of an earlier run in the same process is left.

A row of STATES is (setup, expression, change): the expression has another value after the change. A program
prints the expression and then makes the change, so in a process of its own it always prints the first value.
"""

import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox_slips import SLIPS

COUNT = "{0}.count = getattr({0}, 'count', 0) + 1"

STATES: dict[str, tuple[str, str, str]] = {
    # --- modules and builtins
    "module attribute": ("import math", "getattr(math, 'count', 0)", COUNT.format("math")),
    "module function": ("import math", "math.gcd(12, 18)", "math.gcd = lambda *a: 5"),
    "module constant": ("import string", "string.digits", "string.digits = 'none'"),
    "module name deleted": ("import heapq", "hasattr(heapq, 'nlargest')", "del heapq.nlargest"),
    "module dict": ("import math", "math.__dict__.get('seen')", "math.__dict__.update(seen=1)"),
    "setattr": ("import operator", "getattr(operator, 'seen', 0)", "setattr(operator, 'seen', 1)"),
    "vars": ("import itertools", "hasattr(itertools, 'seen')", "vars(itertools)['seen'] = 1"),
    "alias": ("import collections as c", "getattr(c, 'seen', 0)", "d = c\nd.seen = 1"),
    "through sys.modules": ("import re, sys", "getattr(re, 'seen', 0)", "sys.modules['re'].seen = 1"),
    "through __globals__": ("import random", "random.randint.__func__.__globals__.get('seen')", "random.randint.__func__.__globals__['seen'] = 1"),
    "modules added": ("import math, sys", "'extra' in sys.modules", "sys.modules['extra'] = math"),
    "modules removed": ("import heapq, sys", "sys.modules.get('heapq') is heapq", "builtins = __import__('builtins')\nbuiltins.kept = heapq\ndel sys.modules['heapq']"),
    "module exchanged": ("import sys, types", "hasattr(__import__('bisect'), 'insort')", "sys.modules['bisect'] = types.ModuleType('bisect')"),
    "module imported late": ("import sys", "'colorsys' in sys.modules", "import colorsys"),
    "main module": ("import __main__", "getattr(__main__, 'kept', 0)", "__main__.kept = 1"),
    "main exchanged": ("import math, sys", "sys.modules['__main__'].__name__", "sys.modules['__main__'] = math"),
    "globals": ("", "globals().get('total', 0)", "globals()['total'] = 1"),
    "own global": ("total = 0", "total", "globals()['total'] = total + 1"),
    "builtin function": ("import builtins", "sorted([2, 1])", "builtins.sorted = list"),
    "builtin added": ("import builtins", "hasattr(builtins, 'extra')", "builtins.extra = 1"),
    "builtin through __builtins__": ("", "hasattr(__builtins__, 'extra')", "__builtins__.extra = 1"),
    "builtin type": ("import builtins", "int('3')", "builtins.int = float"),
    "builtin print": ("import builtins", "1", "say = print\nbuiltins.print = lambda *a: say('!', *a)"),
    "builtin input": ("import builtins", "2", "builtins.input = lambda: 'old'"),
    "builtin len": ("import builtins", "len('abc')", "builtins.len = lambda v: -1"),
    "builtin open": ("import builtins", "open.__module__", "builtins.open = print"),
    "builtin exit": ("import builtins", "exit is None", "builtins.exit = None"),
    "builtin underscore": ("import builtins", "hasattr(builtins, '_')", "builtins._ = str"),
    "__build_class__": ("import builtins", "builtins.__build_class__ is None", "builtins.__build_class__ = None"),
    "__import__": ("import builtins", "__import__('math').__name__", "get = builtins.__import__\nbuiltins.__import__ = lambda name, *a: get('string' if name == 'math' else name, *a)"),
    # --- classes and functions of the library
    "class attribute": ("from collections import Counter", "getattr(Counter, 'count', 0)", COUNT.format("Counter")),
    "class method": ("from collections import Counter", "Counter('aab').most_common(1)", "Counter.most_common = lambda *a: 'changed'"),
    "subclasses": ("import math", "[c.__name__ for c in dict.__subclasses__() if c.__name__ == 'Mine']", "math.mine = type('Mine', (dict,), {})"),
    "number registered": ("from numbers import Number", "isinstance('', Number)", "Number.register(str)"),
    "template delimiter": ("import string", "string.Template('$a').substitute(a=1)", "string.Template.delimiter = '%'"),
    "encoder attribute": ("import json", "json.JSONEncoder.item_separator", "json.JSONEncoder.item_separator = ';'"),
    "copy dispatch": ("import copy\nv = []", "copy.deepcopy(v) is v", "copy._deepcopy_dispatch[list] = lambda x, memo: x"),
    "copyreg": ("import copyreg", "slice in copyreg.dispatch_table", "copyreg.pickle(slice, lambda s: (slice, (0,)))"),
    "function attribute": ("import copy", "getattr(copy.copy, 'count', 0)", COUNT.format("copy.copy")),
    "function defaults": ("import heapq", "heapq.merge.__kwdefaults__['reverse']", "heapq.merge.__kwdefaults__['reverse'] = True"),
    "function code": ("import statistics", "statistics.mean([1, 2, 3])", "statistics.mean.__code__ = (lambda data: 7).__code__"),
    "type dict by referents": ("import gc", "hasattr(str, 'shout')", "gc.get_referents(str.__dict__)[0]['shout'] = str.upper"),
    "small integer": ("import ctypes", "int('250')", "ctypes.c_uint.from_address(id(250) + 24).value = 251"),
    "library cache": ("import fnmatch", "fnmatch._compile_pattern.cache_info().currsize", "fnmatch.fnmatch('a', 'a*')"),
    "line cache": ("import linecache", "'ghost.py' in linecache.cache", "linecache.cache['ghost.py'] = (1, None, ['x'], 'ghost.py')"),
    # --- the program's own
    "mutable default": ("def f(v=[]):\n    v.append(1)\n    return len(v)", "f()", "f()"),
    "own lru_cache": ("import functools\n@functools.lru_cache(None)\ndef f(v):\n    return v", "f.cache_info().currsize", "f(1)"),
    "own class attribute": ("class A:\n    made = 0", "A.made", "A.made += 1"),
    "own generator": ("import itertools\nids = itertools.count()", "next(ids)", "next(ids)"),
    "own function attribute": ("def f():\n    f.calls = getattr(f, 'calls', 0) + 1\n    return f.calls", "f()", "f()"),
    "own closure": ("def make():\n    total = [0]\n    def add():\n        total[0] += 1\n        return total[0]\n    return add\nadd = make()", "add()", "add()"),
    "nothing": ("", "7", "pass"),
    # --- numbers
    "decimal precision": ("import decimal", "decimal.Decimal(1) / 7", "decimal.getcontext().prec = 3"),
    "decimal context": ("from decimal import *", "Decimal(1) / 7", "setcontext(Context(prec=4))"),
    "decimal default": ("import decimal", "decimal.Context().prec", "decimal.DefaultContext.prec = 4"),
    "decimal trap": ("import decimal", "bool(decimal.getcontext().traps[decimal.Inexact])", "decimal.getcontext().traps[decimal.Inexact] = True"),
    "decimal flag": ("import decimal", "bool(decimal.getcontext().flags[decimal.Inexact])", "decimal.Decimal(1) / 3"),
    "decimal rounding": ("import decimal", "round(decimal.Decimal('2.5'), 0)", "decimal.getcontext().rounding = decimal.ROUND_UP"),
    "decimal local context": ("import decimal, math", "decimal.Decimal(1) / 7", "math.local = decimal.localcontext()\nmath.local.__enter__().prec = 5"),
    "random function": ("import random", "random.Random(3).random()", "random.Random = lambda seed: random._inst"),
    "random shuffle": ("import random\nrandom.seed(1)\nv = [1, 2, 3, 4]\nrandom.shuffle(v)", "v", "random.shuffle = lambda v: None"),
    "random gauss": ("import random\nrandom._inst.setstate(random.Random(4).getstate())", "random._inst.gauss_next", "random.gauss(0, 1)"),
    # --- sys
    "sys attribute": ("import sys", "hasattr(sys, 'extra')", "sys.extra = 1"),
    "sys.maxsize": ("import sys", "sys.maxsize > 5", "sys.maxsize = 5"),
    "recursion limit": ("import sys", "sys.getrecursionlimit()", "sys.setrecursionlimit(5000)"),
    "recursion limit low": ("import sys", "sys.getrecursionlimit()", "sys.setrecursionlimit(60)"),
    "integer digits": ("import sys", "sys.get_int_max_str_digits()", "sys.set_int_max_str_digits(0)"),
    "switch interval": ("import sys", "sys.getswitchinterval()", "sys.setswitchinterval(0.5)"),
    "trace": ("import sys", "sys.gettrace() is None", "sys.settrace(lambda *a: None)"),
    "profile": ("import sys", "sys.getprofile() is None", "sys.setprofile(lambda *a: None)"),
    "excepthook": ("import sys", "sys.excepthook is sys.__excepthook__", "sys.excepthook = print"),
    "displayhook": ("import sys", "sys.displayhook is sys.__displayhook__", "sys.displayhook = print"),
    "unraisablehook": ("import sys", "sys.unraisablehook is sys.__unraisablehook__", "sys.unraisablehook = print"),
    "argv": ("import sys", "len(sys.argv)", "sys.argv.append('x')"),
    "path": ("import sys", "'/nowhere' in sys.path", "sys.path.insert(0, '/nowhere')"),
    "meta path": ("import sys", "'x' in sys.meta_path", "sys.meta_path.append('x')"),
    "audit hook": ("import math, sys", "getattr(math, 'audited', 0)", "sys.addaudithook(lambda event, args: setattr(math, 'audited', 1))\nopen(0, closefd=False)"),
    "asyncgen hooks": ("import sys", "sys.get_asyncgen_hooks().firstiter is None", "sys.set_asyncgen_hooks(firstiter=print)"),
    "coroutine origin": ("import sys", "sys.get_coroutine_origin_tracking_depth()", "sys.set_coroutine_origin_tracking_depth(3)"),
    "dlopen flags": ("import sys", "sys.getdlopenflags() == 257", "sys.setdlopenflags(257)"),
    # --- streams and descriptors
    "stdout replaced": ("import io, sys", "3", "sys.stdout.flush()\nsys.stdout = io.StringIO()"),
    "stdout attribute": ("import sys", "hasattr(sys.stdout, 'mark')", "sys.stdout.mark = 1"),
    "stdout.write": ("import sys", "4", "sys.stdout.write = lambda text: None"),
    "stdout reconfigured": ("import sys", "sys.stdout.encoding", "sys.stdout.flush()\nsys.stdout.reconfigure(encoding='latin-1')"),
    "stdout newline": ("import sys", "5", "sys.stdout.flush()\nsys.stdout.reconfigure(newline='\\r\\n')"),
    "stdout line buffering": ("import sys", "sys.stdout.line_buffering", "sys.stdout.reconfigure(line_buffering=True)"),
    "stdout errors": ("import sys", "sys.stdout.errors", "sys.stdout.reconfigure(errors='replace')"),
    "stdout closed": ("import sys", "6", "sys.stdout.close()"),
    "stderr closed": ("import sys", "sys.stderr.closed", "sys.stderr.close()"),
    "__stdout__": ("import sys", "sys.__stdout__ is sys.stdout", "sys.__stdout__ = None"),
    "stdin replaced": ("import io, sys", "7", "sys.stdin = io.StringIO('99\\n' * 5)"),
    "stdin closed": ("import sys", "8", "sys.stdin.close()"),
    "stdin reconfigured": ("import sys", "sys.stdin.encoding", "sys.stdin.reconfigure(encoding='latin-1')"),
    "stdin detached": ("import math, sys", "9", "math.old = sys.stdin.detach()"),
    "stdin read ahead": ("import sys", "sys.stdin.readline()", "sys.stdin.readline()"),
    "descriptor 0 closed": ("import os", "10", "os.close(0)"),
    "descriptor 1 closed": ("import os, sys", "11", "sys.stdout.flush()\nos.close(1)"),
    "descriptor 0 from elsewhere": ("import os", "12", "r, w = os.pipe()\nos.write(w, b'99\\n99\\n')\nos.dup2(r, 0)"),
    "descriptor 1 elsewhere": ("import os, sys", "13", "sys.stdout.flush()\nr, w = os.pipe()\nos.dup2(w, 1)"),
    "descriptors left open": ("import os", "len([os.dup(0) for _ in range(30)])", "pass"),
    "descriptor blocking": ("import os", "os.get_blocking(0)", "os.set_blocking(0, False)"),
    "output unflushed": ("import os, sys", "14", "sys.stdout.write('tail')\nsys.stdout.flush()\nsys.stdout.write('lost')\nos._exit(0)"),
    "output written by os": ("import os", "os.write(1, b'early ')", "os.write(1, b'early too ')"),
    # --- the process
    "environment": ("import os", "os.environ.get('EXTRA')", "os.environ['EXTRA'] = '1'"),
    "time zone": ("import os, time", "time.tzname == ('X', 'X')", "os.environ['TZ'] = 'X-9'\ntime.tzset()"),
    "umask": ("import os", "os.umask(0o775) == 0o775", "pass"),
    "folder": ("import contextlib, os", "os.getcwd() == '/'", "with contextlib.suppress(OSError):\n    os.chdir('/')"),
    "signal handler": ("import signal", "signal.getsignal(signal.SIGALRM) == signal.SIG_DFL", "signal.signal(signal.SIGALRM, print)"),
    "interrupt handler": ("import signal", "signal.getsignal(signal.SIGINT) is signal.default_int_handler", "signal.signal(signal.SIGINT, signal.SIG_IGN)"),
    "signal ignored": ("import signal", "signal.getsignal(signal.SIGXCPU) == signal.SIG_DFL", "signal.signal(signal.SIGXCPU, signal.SIG_IGN)"),
    "timer": ("import signal", "signal.getitimer(signal.ITIMER_REAL)[0] > 0", "signal.setitimer(signal.ITIMER_REAL, 0.5)"),
    "CPU timer": ("import signal", "signal.getitimer(signal.ITIMER_PROF)[0] > 0", "signal.setitimer(signal.ITIMER_PROF, 0.5)"),
    "signal mask": ("import signal", "signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, [])", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])"),
    "limit of files": ("import resource", "resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 20", "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 60))"),
    "limit of the stack": ("import resource", "resource.getrlimit(resource.RLIMIT_STACK)[0] == 1 << 22", "resource.setrlimit(resource.RLIMIT_STACK, (1 << 22, -1))"),
    "limit of file size": ("import resource", "resource.getrlimit(resource.RLIMIT_FSIZE)[1] == 1 << 19", "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))"),
    # --- threads, ends, memory
    "daemon thread": ("import threading, time", "threading.active_count()", "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"),
    "late writer": ("import threading, time\ndef late():\n    time.sleep(0.1)\n    print('late', flush=True)", "time.sleep(0.15)", "threading.Thread(target=late, daemon=True).start()"),
    "busy thread": ("import threading\ndef spin():\n    while True:\n        pass", "16", "threading.Thread(target=spin, daemon=True).start()"),
    "late timer": ("import threading, time", "time.sleep(0.15)", "t = threading.Timer(0.1, print, ('late',))\nt.daemon = True\nt.start()"),
    "thread stack": ("import threading", "threading.stack_size()", "threading.stack_size(1 << 20)"),
    "thread names": ("import threading", "threading.Thread().name", "threading.Thread()"),
    "thread trace": ("import threading", "threading._trace_hook", "threading.settrace(print)"),
    "thread excepthook": ("import threading", "threading.excepthook is threading.__excepthook__", "threading.excepthook = print"),
    "main thread renamed": ("import threading", "threading.current_thread().name", "threading.current_thread().name = 'x'"),
    "atexit": ("import atexit", "17", "atexit.register(print, 'bye')"),
    "finalize": ("import weakref\nclass A:\n    pass", "18", "weakref.finalize(A, print, 'final')"),
    "finalizer": ("class A:\n    def __del__(self):\n        print('gone')", "19", "globals()['a'] = A()"),
    "collector off": ("import gc", "gc.isenabled()", "gc.disable()"),
    "collector thresholds": ("import gc", "gc.get_threshold()", "gc.set_threshold(5, 5, 5)"),
    "collector callbacks": ("import gc", "len(gc.callbacks)", "gc.callbacks.append(lambda *a: None)"),
    "collector garbage": ("import gc", "len(gc.garbage)", "gc.garbage.append(1)"),
    "collector debug": ("import gc", "gc.get_debug()", "gc.set_debug(gc.DEBUG_SAVEALL)"),
    "tracemalloc": ("import tracemalloc", "tracemalloc.is_tracing()", "tracemalloc.start()"),
    "faulthandler": ("import faulthandler", "faulthandler.is_enabled()", "faulthandler.enable()"),
    # --- settings of the library
    "warning filter": ("import warnings", "warnings.filters[0][0] == 'error'", "warnings.simplefilter('error')"),
    "warning once": ("import warnings\nseen = []\nwarnings.showwarning = lambda *a, **k: seen.append(1)\ndef f():\n    warnings.warn('w')\n    return len(seen)", "f()", "f()"),
    "showwarning": ("import warnings", "warnings.showwarning.__module__", "warnings.showwarning = print"),
    "log level": ("import logging", "logging.getLogger().level", "logging.basicConfig(level=10)"),
    "log handlers": ("import logging", "len(logging.getLogger().handlers)", "logging.getLogger().addHandler(logging.NullHandler())"),
    "log disabled": ("import logging", "logging.root.manager.disable", "logging.disable(50)"),
    "locale": ("import locale", "locale.setlocale(locale.LC_CTYPE)", "locale.setlocale(locale.LC_CTYPE, 'C')"),
    "event loop policy": ("import asyncio", "asyncio.events._event_loop_policy is None", "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())"),
    "codec errors": ("import codecs\ndef known():\n    try:\n        return codecs.lookup_error('mine') is not None\n    except LookupError:\n        return False", "known()", "codecs.register_error('mine', lambda e: ('', e.end))"),
    "codec": ("import codecs\ndef known():\n    try:\n        return codecs.lookup('mine').name\n    except LookupError:\n        return 'none'", "known()", "codecs.register(lambda name: codecs.lookup('utf-8') if name == 'mine' else None)"),
    "csv dialect": ("import csv", "'mine' in csv.list_dialects()", "csv.register_dialect('mine', delimiter='|')"),
    "csv field size": ("import csv", "csv.field_size_limit()", "csv.field_size_limit(10)"),
    "sqlite adapter": ("import sqlite3", "(complex, sqlite3.PrepareProtocol) in sqlite3.adapters", "sqlite3.register_adapter(complex, str)"),
    "calendar": ("import calendar", "calendar.firstweekday()", "calendar.setfirstweekday(6)"),
    "context variable": ("import contextvars, math", "'mine' in [v.name for v in contextvars.copy_context()]", "contextvars.ContextVar('mine').set(1)"),
}  # fmt: skip

PLACES = {
    "plain": "{change}",
    "function": "def change():\n{indented}\nchange()",
    "atexit": "import atexit\ndef change():\n{indented}\natexit.register(change)",
    "thread": "import threading\ndef change():\n{indented}\nt = threading.Thread(target=change)\nt.start()\nt.join()",
    "then exit": "{change}\nexit()",
    "then sys.exit": "{change}\nimport sys\nsys.exit(0)",
    "finally": "try:\n    raise SystemExit\nfinally:\n{indented}",
    "class body": "class Change:\n{indented}",
    "exec": "exec({change!r})",
    "after an exception": "try:\n    1 / 0\nexcept ZeroDivisionError:\n{indented}",
}


@dataclass(frozen=True)
class StateProgram:
    """A program that shows whether state is left, and the parts of it."""

    name: str
    source: str
    setup: str
    expression: str
    change: str

    def after(self, runs: int) -> str:
        """Shows what `source` would if so many runs of it came before in the same process."""
        earlier = f"{self.setup}\n({self.expression})\n{self.change}\n"
        return earlier * runs + self.setup + "\n" + _show(self.expression)


def _show(expression: str) -> str:
    return f"x = input()\nprint(x, {expression})\n"


def state_programs(seed: int, places: int) -> Iterator[StateProgram]:
    """Yield every row of STATES and SLIPS at `places` places drawn by the seed, the plain one among them."""
    chance = random.Random(seed)
    others = [place for place in PLACES if place != "plain"]
    for name, (setup, expression, change) in [*STATES.items(), *SLIPS.items()]:
        for place in ["plain", *chance.sample(others, places - 1)]:
            placed = PLACES[place].format(change=change, indented=textwrap.indent(change, " " * 4))
            source = f"{setup}\n{_show(expression)}{placed}\n"
            yield StateProgram(f"{name}, {place}", source, setup, expression, change)
