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
    """Run the command line; returns 0: right, holds, none got through; 1: not so; 2: could not be found out."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    try:
        if options.selftest:
            return _selftest(options.level)
        if options.attacks is not None:
            return _attacks(options.attacks, options.level)
        return _judge(options)
    except (RaymodeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(f"error: {named}{error.strerror}", file=sys.stderr)
    return 2


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that would be ignored, and a program without what it should print."""
    alone = {"--selftest": options.selftest, "--attacks": options.attacks is not None}
    asked = [name for name, given in alone.items() if given]
    about_a_program = (options.program, options.input, options.expect, options.package or None)
    if len(asked) > 1 or (asked and any(given is not None for given in about_a_program)):
        parser.error(f"{asked[0]} goes with --level alone")
    if not asked and (options.program is None or options.expect is None):
        parser.error("give a program and --expect, or --selftest, or --attacks DIR")


def _parser() -> argparse.ArgumentParser:
    defaults = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m raymode.sandbox", description="Judge a program in isolation."
    )
    add = parser.add_argument
    add("program", nargs="?", type=Path, help="a Python program")
    add("--input", type=Path, help="file it reads from standard input (default: nothing)")
    add("--expect", type=Path, help="file with the output it should print")
    add("--checker", choices=sorted(CHECKERS), default="tokens", help="default: tokens")
    add("--cpu", type=float, default=defaults.cpu_s, metavar="S", help="CPU seconds (%(default)s)")
    add("--wall", type=float, metavar="S", help="seconds on the clock (20 x --cpu, at least 10)")
    add(
        "--memory",
        type=int,
        default=defaults.memory_mb,
        metavar="MIB",
        help="peak MiB (%(default)s)",
    )
    add("--level", choices=LEVELS, help="isolation (default: the strongest this host allows)")
    add(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="an installed package that the program may import, such as numpy; may be given again",
    )
    add("--selftest", action="store_true", help="say what isolates programs here, and try it")
    add("--attacks", type=Path, metavar="DIR", help="run the hostile programs of a folder")
    return parser


def _judge(options: argparse.Namespace) -> int:
    given = _read(options.input) if options.input else ""
    tests = [Test(given, _read(options.expect))]
    limits = Limits(cpu_s=options.cpu, wall_s=options.wall, memory_mb=options.memory)
    with Sandbox(level=options.level, packages=options.package) as sandbox:
        verdict = sandbox.judge(_read(options.program), tests, limits, options.checker)
    print(f"{verdict.status}  {verdict.message}".rstrip())
    print(
        f"cpu {verdict.cpu_s:.3f} s, peak {verdict.max_rss_mb:.1f} MiB, wall {verdict.wall_s:.3f} s, "
        f"isolation {verdict.level}"
    )
    return {Status.AC: 0, Status.SANDBOX_ERROR: 2}.get(verdict.status, 1)


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
