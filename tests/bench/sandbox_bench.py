"""CPU milliseconds per test of raymode's sandbox and of the usual ways to judge, interleaved in one run.

    python tests/bench/sandbox_bench.py [--rounds 3] [--programs 52] [--corpus FILE] [METHOD ...]

Every method judges the same programs in a process of its own, once per round; its CPU time is that of the
whole tree of processes it started (wait4), less that of the same process judging nothing. Medians over
rounds are printed; wall time is left out, because a shared machine makes it meaningless.

FILE is JSON: a list of {"name", "src", "inputs": [...], "outputs": [...]}. Without it four small programs
are judged 20 times each.
"""

import argparse
import io
import json
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from raymode.sandbox import Limits, Sandbox, Status, Test
from raymode.sandbox.interpreter import find_interpreter

Program = tuple[str, list[Test]]
SMALL = {
    "sum": (
        "n = int(input())\nprint(sum(map(int, input().split())))\n",
        "60\n" + "17 " * 60 + "\n",
        "1020",
    ),
    "sort": (
        "import sys\nd = sys.stdin.read().split()\nprint(*sorted(map(int, d)))\n",
        "3 1 2\n",
        "1 2 3",
    ),
    "count": (
        "from collections import Counter\nprint(max(Counter(input()).values()))\n",
        "abcabca\n",
        "3",
    ),
    "gcd": ("import math\nprint(math.gcd(*map(int, input().split())))\n", "84 36\n", "12"),
}
LIMITS = Limits(cpu_s=10.0)


def load(corpus: Path | None, count: int) -> list[Program]:
    """Read the corpus, or take the built-in programs."""
    if corpus is None:
        return [(source, [Test(given, out)] * 20) for source, given, out in SMALL.values()][:count]
    rows = json.loads(corpus.read_text())[:count]
    return [
        (r["src"], [Test(*pair) for pair in zip(r["inputs"], r["outputs"], strict=True)])
        for r in rows
    ]


def with_work(programs: list[Program], milliseconds: int) -> list[Program]:
    """The same programs, each spending about that much CPU time before it begins."""
    burn = f"import time\n_end = time.process_time() + {milliseconds / 1000}\nwhile time.process_time() < _end: pass\n"
    return [(burn + source, tests) for source, tests in programs]


def sandbox(level: str, **options: object) -> Callable[[list[Program]], int]:
    """raymode itself; the cache is off unless asked for."""

    def judge(programs: list[Program]) -> int:
        with Sandbox(level=level, **{"cache_size": 0, **options}) as judge:  # type: ignore[arg-type]
            return sum(
                judge.judge(source, tests, LIMITS).status is Status.AC for source, tests in programs
            )

    return judge


def _limit() -> None:
    for name, value in (("AS", 1 << 32), ("CPU", 10), ("FSIZE", 1 << 24)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def subprocesses(limit: Callable[[], None] | None) -> Callable[[list[Program]], int]:
    """An interpreter per test; without a function to run after fork, subprocess uses vfork."""

    def judge(programs: list[Program]) -> int:
        interpreter = find_interpreter()
        right = 0
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "program.py")
            for source, tests in programs:
                file.write_text(source)
                right += all(
                    subprocess.run(
                        [interpreter.executable, str(file)], input=test.input.encode(), capture_output=True,
                        preexec_fn=limit, env=interpreter.environment, check=False,
                    ).stdout.split() == test.output.encode().split()
                    for test in tests
                )  # fmt: skip
        return right

    return judge


def _exec_all(source: str, tests: list[Test], answer: "multiprocessing.SimpleQueue[bool]") -> None:
    right = True
    for test in tests:
        sys.stdin, sys.stdout = io.StringIO(test.input), io.StringIO()
        signal.alarm(10)
        try:
            exec(compile(source, "program", "exec"), {"__name__": "__main__"})
        except SystemExit:
            pass
        except (
            Exception
        ):  # for instance reading sys.stdin.buffer, which a StringIO lacks: judged wrong
            right = False
        right = right and sys.stdout.getvalue().split() == test.output.split()
    answer.put(right)


def multiprocessed(programs: list[Program]) -> int:
    """The unsafe shortcut: one forked process per program, `exec` of every test inside it."""
    right = 0
    for source, tests in programs:
        answer: multiprocessing.SimpleQueue[bool] = multiprocessing.get_context(
            "fork"
        ).SimpleQueue()
        process = multiprocessing.get_context("fork").Process(
            target=_exec_all, args=(source, tests, answer)
        )
        process.start()
        process.join()
        right += not answer.empty() and answer.get()
    return right


def fork_floor(programs: list[Program]) -> int:
    """What no method with a process per test can beat: fork, exit, wait, in this bench's own process."""
    for _, tests in programs:
        for _ in tests:
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
    return len(programs)


METHODS: dict[str, Callable[[list[Program]], int]] = {
    "subprocess+rlimits": subprocesses(_limit),
    "subprocess-vfork": subprocesses(None),
    "multiprocessing-exec": multiprocessed,
    "raymode-L4": sandbox("L4"),
    "raymode-L3": sandbox("L3"),
    "raymode-L2": sandbox("L2"),
    "raymode-L4-cached": sandbox("L4", cache_size=4096),
    "fork-floor": fork_floor,
}


def cpu_of(method: Callable[[list[Program]], int], programs: list[Program]) -> tuple[float, int]:
    """CPU seconds of a process that runs `method`, descendants included, and its number of right programs."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, str(method(programs)).encode())
        os._exit(0)
    os.close(write)
    right = int(os.read(read, 20) or b"-1")
    os.close(read)
    usage = os.wait4(pid, 0)[2]
    return usage.ru_utime + usage.ru_stime, right


def main() -> None:
    """Print one line per kind of work and method."""
    parser = argparse.ArgumentParser(description="CPU ms per test")
    parser.add_argument("methods", nargs="*", default=list(METHODS), help=", ".join(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", type=int, default=52)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument(
        "--kinds", nargs="*", default=["small"], help="small 5ms 20ms wrong duplicates"
    )
    options = parser.parse_args()
    find_interpreter()
    small = load(options.corpus, options.programs)
    wrong = [(source + "\nprint('wrong')\n", tests) for source, tests in small]
    kinds = {
        "small": small, "5ms": with_work(small, 5), "20ms": with_work(small, 20), "wrong": wrong,
        "duplicates": small[:5] * (len(small) // 5 or 1),
    }  # fmt: skip
    for kind in options.kinds:
        programs = kinds[kind]
        costs: dict[str, list[float]] = {name: [] for name in options.methods}
        for _ in range(options.rounds):
            for name in options.methods:
                idle, _ = cpu_of(METHODS[name], [])
                total, right = cpu_of(METHODS[name], programs)
                costs[name].append(1000 * (total - idle) / sum(len(tests) for _, tests in programs))
                if right != (0 if kind == "wrong" else len(programs)) and name != "fork-floor":
                    print(f"{name}: {right} of {len(programs)} programs right", file=sys.stderr)
        for name, values in costs.items():
            print(
                f"{kind:10} {name:22} {statistics.median(values):8.3f} ms/test  (min {min(values):.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
