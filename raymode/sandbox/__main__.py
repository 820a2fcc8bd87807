"""`python -m raymode.sandbox`: judge one program, show how programs are isolated here, or run attacks.

python -m raymode.sandbox prog.py --input in.txt --expect out.txt
python -m raymode.sandbox --selftest
python -m raymode.sandbox --attacks tests/attacks/programs
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from raymode.errors import RaymodeError
from raymode.sandbox import Limits, Sandbox, Status, Test, loops
from raymode.sandbox.attacks import load_attacks, run_attacks
from raymode.sandbox.checkers import CHECKERS
from raymode.sandbox.probes import ATTEMPTS, LAYERS, LIMIT_PROBES
from raymode.sandbox.runner import LEVELS

_CGROUP = "a cgroup (v2) bounds memory and tasks"
_NO_CGROUP = (
    "not bounded: no cgroup v2 with the memory and pids controllers that may be divided here"
)
_L4_ONLY = "not bounded: cgroups are used at L4"
_LOOPS = {
    "C": "C",
    "Python": "Python; it is faster in C: have a C compiler and Python's headers (python3-dev) and install raymode again",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 if the program is right, the selftest holds, no attack gets through."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.selftest:
            return _selftest(options.level)
        if options.attacks is not None:
            return _attacks(options.attacks, options.level)
        if options.program is None or options.expect is None:
            parser.error("give a program and --expect, or --selftest, or --attacks DIR")
        return _judge(options)
    except (RaymodeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    defaults = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m raymode.sandbox", description="Judge a program in isolation."
    )
    parser.add_argument("program", nargs="?", type=Path, help="a Python program")
    parser.add_argument(
        "--input", type=Path, help="file it reads from standard input (default: nothing)"
    )
    parser.add_argument("--expect", type=Path, help="file with the output it should print")
    parser.add_argument(
        "--checker", choices=sorted(CHECKERS), default="tokens", help="default: tokens"
    )
    parser.add_argument(
        "--cpu", type=float, default=defaults.cpu_s, metavar="S", help="CPU seconds (%(default)s)"
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=defaults.memory_mb,
        metavar="MIB",
        help="peak MiB (%(default)s)",
    )
    parser.add_argument(
        "--level", choices=LEVELS, help="isolation (default: the strongest this host allows)"
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="an installed package that the program may import, such as numpy; may be given again",
    )
    parser.add_argument(
        "--selftest", action="store_true", help="say what isolates programs here, and try it"
    )
    parser.add_argument(
        "--attacks", type=Path, metavar="DIR", help="run the hostile programs of a folder"
    )
    return parser


def _judge(options: argparse.Namespace) -> int:
    given = _read(options.input) if options.input else ""
    limits = Limits(cpu_s=options.cpu, memory_mb=options.memory)
    with Sandbox(level=options.level, packages=options.package) as sandbox:
        tests = [Test(given, _read(options.expect))]
        verdict = sandbox.judge(_read(options.program), tests, limits, options.checker)
    print(f"{verdict.status}  {verdict.message}".rstrip())
    print(
        f"cpu {verdict.cpu_s:.3f} s, peak {verdict.max_rss_mb:.1f} MiB, wall {verdict.wall_s:.3f} s, "
        f"isolation {verdict.level}"
    )
    return 0 if verdict.status is Status.AC else 1


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _selftest(level: str | None) -> int:
    started = time.monotonic()
    with Sandbox(level=level) as sandbox:  # refuses to start if an attempt gets through
        print(
            f"level {sandbox.level}, started and probed in {1000 * (time.monotonic() - started):.0f} ms"
        )
        for layer in LAYERS[sandbox.level]:
            print(f"  {layer}")
        without = _NO_CGROUP if sandbox.level == "L4" else _L4_ONLY
        print(f"  all of it together: {_CGROUP if sandbox.has_cgroup else without}")
        print(f"fork loop in {_LOOPS[loops.KIND]}")
        for attempt in ATTEMPTS:
            print(f"  refused: {attempt}")
        failures = 0
        for probe in LIMIT_PROBES:
            run = sandbox.run(probe.program, "", probe.limits)
            held = run.status is probe.expected
            failures += not held
            print(f"  {'holds' if held else 'FAILS'}: {probe.name} ({run.status} {run.message})")
    return 1 if failures else 0


def _attacks(folder: Path, level: str | None) -> int:
    attacks = load_attacks(folder)
    through = 0
    for result in run_attacks(attacks, level):
        through += bool(result.problems)
        outcome = "; ".join(result.problems) or "contained"
        print(f"{result.name:32} {'/'.join(sorted(set(result.statuses))):8} {outcome}", flush=True)
    print(f"{len(attacks)} attacks, {through} got through")
    return 1 if through else 0


if __name__ == "__main__":
    sys.exit(main())
