"""Judges a work list and keeps a journal, so that it can be killed at any moment and started again.

    python sandbox_worker.py JOURNAL UNTIL OPTIONS

The journal has one line per verdict: the number of the piece of work, the status, how many times the
sandbox said SANDBOX_ERROR before, and the level. The work list repeats itself; work ends at the clock time UNTIL
(seconds since the epoch). OPTIONS are those of `Sandbox`, as JSON.
"""

import json
import os
import sys
import time

from raymode.sandbox import Limits, Sandbox, SpecialJudge, Status, Test, Verdict

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
WORK = "s = 0\nfor i in range(200_000):\n    s += i * i % 7\n"
TESTS = (Test("1 2\n", "3\n"), Test("5 5\n", "10\n"), Test("-4 4\n", "0\n"))
LIMITS = Limits(cpu_s=1.0)
JUDGE = SpecialJudge(
    "import json, sys\nq = json.load(sys.stdin)\n"
    "print('AC' if q['printed'].split() == q['expected'].split() else 'WA no')\n"
)

Work = tuple[str, Limits, str | SpecialJudge, Status]
"""Program, limits, checker, the status due."""
WORK_LIST: list[Work] = [
    (ADD, LIMITS, "tokens", Status.AC),
    (WORK + ADD, LIMITS, "tokens", Status.AC),
    (ADD + "print('more')\n", LIMITS, "tokens", Status.WA),
    (ADD + "if b == 4: print('more')\n", LIMITS, "tokens", Status.WA),
    ("1 / 0\n", LIMITS, "tokens", Status.RE),
    (ADD + "exit(a < 0)\n", LIMITS, "tokens", Status.RE),
    ("x = (\n", LIMITS, "tokens", Status.CE),
    ("import ctypes\nctypes.CDLL(None).ptrace(0)\n", LIMITS, "tokens", Status.SV),
    ("import time\ntime.sleep(0.05)\n" + ADD, LIMITS, "tokens", Status.AC),
    (ADD, LIMITS, JUDGE, Status.AC),
    (ADD + "while a == 5: pass\n", Limits(cpu_s=0.1), "tokens", Status.TLE),
    (ADD + "x = b'x' * (100 << 20)\n", Limits(memory_mb=60), "tokens", Status.MLE),
    (ADD + "print(' ' * (3 << 20))\n", Limits(output_mb=2), "tokens", Status.OLE),
    (
        ADD + "import threading\nthreading.Thread(target=print).start()\n",
        LIMITS,
        "tokens",
        Status.AC,
    ),
]


def main() -> None:
    """Go on after the last whole line of the journal."""
    path, until, options = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
    with open(path, "a+b", buffering=0) as journal, Sandbox(cache_size=0, **options) as sandbox:
        journal.seek(0)
        whole, _, _ = journal.read().rpartition(b"\n")
        journal.truncate(len(whole) + bool(whole))
        number = whole.count(b"\n") + bool(whole)
        while time.time() < until:
            verdict, errors = judge(sandbox, *WORK_LIST[number % len(WORK_LIST)][:3])
            line = f"{number} {verdict.status} {errors} {verdict.level}\n"
            os.write(journal.fileno(), line.encode())
            number += 1


def judge(
    sandbox: Sandbox, program: str, limits: Limits, checker: str | SpecialJudge
) -> tuple[Verdict, int]:
    """The verdict, asked for again while it is SANDBOX_ERROR, and how often that was."""
    errors = 0
    while True:
        verdict = sandbox.judge(program, TESTS, limits, checker)
        if verdict.status is not Status.SANDBOX_ERROR:
            return verdict, errors
        errors += 1


if __name__ == "__main__":
    main()
