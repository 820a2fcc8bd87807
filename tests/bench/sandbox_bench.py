"""CPU milliseconds per test of raymode's sandbox, of other ways to judge, and of what none can beat.

    python tests/bench/sandbox_bench.py [--rounds 5] [--programs 26] [--corpus FILE]
                                        [--kinds small ...] [--methods NAME ...]

In every round all methods judge the same programs, drawn from the corpus, in an order drawn anew. Each runs
in a process of its own; its cost is the CPU time of the whole tree of processes that it started (wait4),
less that of the same process judging nothing (mean of one such run before and one after). Printed are the
median over rounds, and medians of the ratios within a round, which the changing speed of a machine harms
less. Wall time is left out: on a shared machine it says nothing. Fix the script to one core with taskset.

"floor" is the sum of an empty process made, ended and waited for by the C library out of an interpreter
with the zygote's modules, and of the programs executed in one process. A process per test costs at least
that much.

FILE is JSON, a list of {"src", "inputs", "outputs"}. Without it right programs of the embedded source are
judged. With FILE nothing beyond the standard library and raymode.sandbox is imported.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from sandbox_corpus import KINDS, WORK, Case, load
from sandbox_methods import (
    BASELINE,
    CACHED,
    FORK,
    METHODS,
    PROGRAMS,
    Method,
    memory_kib,
)

from raymode.sandbox.interpreter import find_interpreter

DEAR_SITE = 1.6
"""`python -c pass` may cost this many times what it costs without site; Debian's own costs 1.3."""
NEEDED = (BASELINE, FORK, PROGRAMS)


@dataclass(frozen=True)
class Cost:
    """What one method took in one round."""

    start_ms: float
    per_test_ms: float
    misjudged: int


def cpu_of(method: Method, cases: list[Case]) -> tuple[float, list[bool]]:
    """CPU seconds of a process that runs `method` and of its descendants, and the answers."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            json.dump(method(cases), pipe)
            pipe.flush()
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"a method ended with status {status}")
    return usage.ru_utime + usage.ru_stime, json.loads(answer)


def measure(method: Method, cases: list[Case]) -> Cost:
    """The cost of judging `cases`, start-up apart."""
    before, _ = cpu_of(method, [])
    total, accepted = cpu_of(method, cases)
    after, _ = cpu_of(method, [])
    start = (before + after) / 2
    return Cost(
        start_ms=1000 * start,
        per_test_ms=1000 * (total - start) / sum(case.tests_run for case in cases),
        misjudged=sum(said != case.accepted for said, case in zip(accepted, cases, strict=False)),
    )


def interpreter_ms(*arguments: str) -> float:
    """Median CPU time of the programs' interpreter with `arguments`."""
    interpreter = find_interpreter()

    def run(_: list[Case]) -> list[bool]:
        command = [interpreter.executable, *arguments]
        subprocess.run(command, env=interpreter.environment, check=True, stdout=subprocess.DEVNULL)
        return []

    empty = statistics.median(cpu_of(lambda _: [], [])[0] for _ in range(11))
    return 1000 * (statistics.median(cpu_of(run, [])[0] for _ in range(11)) - empty)


def check_site() -> None:
    """Print what the interpreter's start costs; warn where `site` makes it dear, which flatters raymode."""
    plain, bare = interpreter_ms("-c", "pass"), interpreter_ms("-I", "-S", "-c", "pass")
    print(f"an empty program: python {plain:.1f} ms, python -I -S {bare:.1f} ms")
    if plain <= DEAR_SITE * bare:
        return
    command = "import site; print(*site.getsitepackages(), sep='\\n')"
    interpreter = find_interpreter()
    folders = subprocess.run(
        [interpreter.executable, "-c", command],
        env=interpreter.environment, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    found = [str(file) for folder in folders for file in Path(folder).glob("*.pth")]
    print(
        "WARNING: this interpreter's site module makes every start dear, so all ratios to subprocess flatter "
        f"raymode; take another interpreter, or remove: {', '.join(found) or 'usercustomize, sitecustomize'}"
    )


def iterations_per_ms() -> int:
    """How many iterations of WORK take a millisecond of CPU in the programs' interpreter."""
    count = 200_000
    work = interpreter_ms("-S", "-c", WORK.format(iterations=count))
    return round(count / (work - interpreter_ms("-S", "-c", "pass")))


def check_accounting(names: list[str], per_ms: int) -> None:
    """Stop if the CPU time of a method's programs does not show in the CPU time measured."""
    case = Case(WORK.format(iterations=200 * per_ms), load(None)[0].tests[:1])
    for name in names:
        if name.startswith("raymode"):
            seen = cpu_of(METHODS[name], [case])[0] - cpu_of(METHODS[name], [])[0]
            if seen < 0.15:
                raise SystemExit(
                    f"{name}: 200 ms of work, {1000 * seen:.0f} ms seen: not measurable"
                )


def run_rounds(
    cases: list[Case], kind: str, names: list[str], options: argparse.Namespace, per_ms: int
) -> dict[str, list[Cost]]:
    """Costs of every method in every round."""
    chance = random.Random(f"{options.seed} {kind}")
    count = max(1, round(min(options.programs, len(cases)) * KINDS[kind].share))
    costs: dict[str, list[Cost]] = defaultdict(list)
    for number in range(options.rounds):
        judged = KINDS[kind].make(chance.sample(cases, count), per_ms)
        for name in chance.sample(names, len(names)):
            if sys.stderr.isatty():
                print(f"\r{kind}: round {number + 1}, {name}\033[K", end="", file=sys.stderr)
            costs[name].append(measure(METHODS[name], judged))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return costs


def table(costs: dict[str, list[Cost]]) -> list[str]:
    """One line per method."""
    baseline = [cost.per_test_ms for cost in costs[BASELINE]]
    floor = [
        fork.per_test_ms + programs.per_test_ms
        for fork, programs in zip(costs[FORK], costs[PROGRAMS], strict=True)
    ]
    lines = [
        f"{'':24} {'ms/test':>8} {'lowest':>7} {'highest':>7} {'x baseline':>10} {'/ floor':>7} {'start ms':>8}"
    ]
    for name in (name for name in METHODS if name in costs):
        mine = [cost.per_test_ms for cost in costs[name]]
        faster = statistics.median(b / max(m, 1e-6) for b, m in zip(baseline, mine, strict=True))
        over = statistics.median(m / f for m, f in zip(mine, floor, strict=True))
        start = statistics.median(cost.start_ms for cost in costs[name])
        misjudged = statistics.mean(cost.misjudged for cost in costs[name])
        line = f"{name:24} {statistics.median(mine):8.3f} {min(mine):7.3f} {max(mine):7.3f} {faster:10.2f} "
        line += f"{over:7.2f} {start:8.1f}"
        lines.append(f"{line}  misjudged {misjudged:.1f} programs a round" if misjudged else line)
    lines.append(f"{'floor (fork + programs)':24} {statistics.median(floor):8.3f}")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Print one table per kind of work."""
    parser = argparse.ArgumentParser(description="CPU ms per test of ways to judge programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--programs", type=int, default=26, help="drawn per round, less for long kinds"
    )
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the draws and the order")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args(arguments)
    cases = load(options.corpus)
    interpreter = find_interpreter()
    print(
        f"{interpreter.executable}, Python {platform.python_version()}, {len(cases)} programs, "
        f"{sum(len(case.tests) for case in cases)} tests, {options.rounds} rounds"
    )
    check_site()
    zygote, floor = memory_kib()
    print(
        f"anonymous memory: zygote {zygote} KiB, process that the floor is measured in {floor} KiB"
    )
    per_ms = iterations_per_ms()
    wanted = [name for name in METHODS if name in options.methods or name in NEEDED]
    check_accounting(wanted, per_ms)
    for kind in options.kinds:
        # Where no program comes twice, the cache has nothing to do.
        names = [name for name in wanted if kind == "duplicates" or name != CACHED]
        print(f"\n{kind}: {KINDS[kind].title}", flush=True)
        print("\n".join(table(run_rounds(cases, kind, names, options, per_ms))), flush=True)


if __name__ == "__main__":
    main()
