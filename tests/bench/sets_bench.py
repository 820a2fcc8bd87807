"""What building sets costs: programs per second, Ray Data's share, scaling over actors, memory, growth.

    python tests/bench/sets_bench.py [speed] [growth] [memory]

Programs are made to take about 20 ms of CPU each. Speeds are wall time on an idle machine between the first bundle
that is done and the last; starting the actors (once per build) is told apart.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from raymode.cluster import connect
from raymode.config import Config, RayConfig, SetsConfig
from raymode.sandbox import Test
from raymode.sets.build import build_sets
from raymode.sets.records import prepare
from raymode.sets.stream import Done, judge_all
from raymode.sets.verify import judge, open_sandbox
from raymode.store import Store

ROUNDS = 5
BUNDLE = 20
"""Problems of a part; fewer than make a full bundle, so that a part is one."""
LOOPS = 330_000
"""Of a loop that takes about 20 ms of CPU."""
PROGRAM = "n = int(input())\nt = 0\nfor i in range({loops}):\n    t += i\nprint(n + {number} - {number})\n"


@dataclass(frozen=True)
class Part:
    """Problems `start` to `stop` of the same size."""

    start: int
    stop: int
    solutions: int
    tests: int
    loops: int

    @property
    def name(self) -> str:
        return f"made[{self.start}:{self.stop}]"

    @property
    def programs(self) -> int:
        return (self.stop - self.start) * self.solutions

    def read(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        for number in range(self.start, self.stop):
            yield make(number, self.solutions, self.tests, self.loops)


@dataclass(frozen=True)
class Source:
    problems: int
    solutions: int = 5
    tests: int = 1
    loops: int = LOOPS

    def partitions(self) -> list[Part]:
        step = BUNDLE
        return [
            Part(start, min(start + step, self.problems), self.solutions, self.tests, self.loops)
            for start in range(0, self.problems, step)
        ]


def make(
    number: int, solutions: int, tests: int, loops: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a problem with so many different right programs."""
    problem = {
        "problem_id": f"p{number}", "prompt": f"Print n. ({number})", "checker": "tokens", "cpu_s": 5.0,
        "memory_mb": 256, "source": "made", "split": "train",
        "tests": [{"input": f"{n}\n", "output": f"{n}\n"} for n in range(tests)],
    }  # fmt: skip
    programs = [
        {"problem_id": f"p{number}", "code": PROGRAM.format(loops=loops, number=1000 * number + each),
         "language": "python", "label": None, "claimed": True}
        for each in range(solutions)
    ]  # fmt: skip
    return problem, programs


def bare(source: Source, verifies: bool = True) -> float:
    """Return the wall seconds of the same work in this process without Ray; with nothing run, of the rest of it."""
    config = Config()
    with open_sandbox(config.sandbox) as sandbox:
        sandbox.judge("print(1)", one_test())
        started = time.perf_counter()
        for part in source.partitions():
            for position, (problem, solutions) in enumerate(part.read()):
                prepared = prepare(problem, solutions, f"{position}")
                if verifies:
                    judge(prepared, sandbox)
        return time.perf_counter() - started


def one_test() -> list[Test]:
    return [Test("", "1\n")]


def on_ray(source: Source, actors: int) -> float:
    """Return the wall seconds of building the sets, everything included."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        config = Config(run_dir=folder, sets=SetsConfig(actors=actors, dataset=False))
        build_sets(config, source)
        return time.perf_counter() - started


def judged(source: Source, actors: int) -> tuple[float, float]:
    """Return the seconds until the first problem is judged on Ray, and from then on per further program."""
    partitions = source.partitions()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(run_dir=folder, sets=SetsConfig(actors=actors))
        started, times = time.perf_counter(), list[float]()
        parts = {number: frozenset[int]() for number in range(len(partitions))}
        for message in judge_all(config, Store(config.sets_path), partitions, parts):
            if isinstance(message, Done):
                times.append(time.perf_counter())
    # The first bundles of all actors come at about the same time; what is judged after them is counted.
    first = times[actors * BUNDLE - 1]
    return times[0] - started, (times[-1] - first) / (
        (len(times) - actors * BUNDLE) * source.solutions
    )


def speed() -> None:
    """Programs per second and core, the overhead of Ray Data, and one against two actors; medians of ROUNDS rounds."""
    source = Source(8 * BUNDLE)
    programs = source.problems * source.solutions
    judged(Source(3 * BUNDLE), 2)  # workers start once
    rows = []
    for _ in range(ROUNDS):
        before = bare(source) / programs
        start, one = judged(source, 1)
        _, two = judged(source, 2)
        alone = (before + bare(source) / programs) / 2
        rows.append((1e3 * alone, 1e3 * one, 1e3 * two, 100 * (one / alone - 1), one / two, start))
        print(
            "alone {:.1f}, one actor {:.1f}, two {:.1f} ms a program".format(*rows[-1]), flush=True
        )
    alone, one, two, overhead, scaling, start = (
        statistics.median(column) for column in zip(*rows, strict=True)
    )
    rest = 1e3 * bare(Source(400), verifies=False) / (400 * source.solutions)
    print(f"bare sandbox, one process: {alone:.2f} ms a program, {1e3 / alone:.0f} programs/s")
    print(f"one actor: {one:.2f} ms a program, overhead {overhead:+.1f} %; {start:.1f} s to start")
    print(f"two actors: {two:.2f} ms a program, {scaling:.2f} times one")
    print(f"checking and deduping alone: {rest:.3f} ms a program, {1e3 / rest:.0f} rows/s")


def growth() -> None:
    """How the time grows with problems, solutions and tests."""
    print("problems solutions tests   s (one actor, start-up included)")
    for source in (
        Source(50, 4, 4, 1000), Source(100, 4, 4, 1000), Source(200, 4, 4, 1000), Source(50, 8, 4, 1000),
        Source(50, 16, 4, 1000), Source(50, 4, 8, 1000), Source(50, 4, 16, 1000),
    ):  # fmt: skip
        took = on_ray(source, 1)
        print(f"{source.problems:8} {source.solutions:9} {source.tests:5} {took:7.1f}", flush=True)


def memory() -> None:
    """Peak resident memory of the driver and of Ray's workers, for more and more problems."""
    print("problems   driver MiB   largest worker MiB")
    for factor in (1, 10, 100):
        with LargestWorker() as largest:
            on_ray(Source(60 * factor, 4, 4, 1000), 1)
        driver = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{60 * factor:8} {driver:12.0f} {largest.mib:20.0f}", flush=True)


class LargestWorker:
    """Looks at the memory of Ray's workers while its block runs."""

    def __init__(self) -> None:
        self.mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "LargestWorker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            self.mib = max([self.mib, *worker_memory()])


def worker_memory() -> list[float]:
    """Return the MiB resident of every Ray worker of this machine."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
            name = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if name.startswith("ray::"):
            found += [
                int(line.split()[1]) / 1024
                for line in text.splitlines()
                if line.startswith("VmHWM")
            ]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", choices=["speed", "growth", "memory"], default="speed")
    chosen = parser.parse_args().what
    connect(RayConfig())
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name in [chosen] if isinstance(chosen, str) else chosen:
        {"speed": speed, "growth": growth, "memory": memory}[name]()
