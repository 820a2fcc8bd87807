"""Programs that take their judge down are quarantined and named; deaths by chance change no table."""

import contextlib
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raymode.config import Config, ScoreConfig, SetsConfig
from raymode.errors import RaymodeError, SandboxError
from raymode.store import Store
from raymode.watch import DEATHS, PATIENCE, Past, Watch
from tests.integration import test_build_sets
from tests.integration.test_build_sets import DOUBLE, ListPartition, ListSource, double, files

THREADS = (
    6  # how a poison program shows itself to the killer: nothing else in a sandbox has threads
)
POISON = f"""
import threading, time
for _ in range({THREADS}):
    threading.Thread(target=time.sleep, args=(8,), daemon=True).start()
time.sleep(8)
print(%d)
"""
WRONG = "print(int(input()) * 3)"
SLOW = "import time\ntime.sleep(0.05)\nprint(int(input()) * 2 + %d)"


@pytest.fixture(scope="module", autouse=True)
def by_value(cluster: None) -> Iterator[None]:
    import ray

    modules = (sys.modules[__name__], test_build_sets)
    for module in modules:
        ray.cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        ray.cloudpickle.unregister_pickle_by_value(module)


def processes() -> dict[int, tuple[int, int, str]]:
    """Return process id -> (parent, threads, name) of this machine."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{name}/status").read_text().splitlines()
                if ":\t" in line
            )
            called = Path(f"/proc/{name}/cmdline").read_text().split("\0")[0]
            found[int(name)] = (int(status["PPid"]), int(status["Threads"]), called)
    return found


def judge_of(process: int, table: dict[int, tuple[int, int, str]]) -> int | None:
    """Return the judge actor that a process descends from, if it does."""
    parent = table[process][0]
    while parent in table and not table[parent][2].startswith("ray::"):
        parent = table[parent][0]
    return parent if parent in table and "ray::" not in table[process][2] else None


@contextlib.contextmanager
def killer(step: Callable[[], int | None]) -> Iterator[list[int]]:
    """Repeat `step` in a thread while the block runs, and SIGKILL what it returns; yields what was killed."""
    stop, killed = threading.Event(), []

    def watch() -> None:
        while not stop.wait(0.03):
            victim = step()
            if victim is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def poisoned() -> Callable[[], int | None]:
    """Return a step that finds the judge of every poison program, each time one runs."""
    seen = set()

    def step() -> int | None:
        table = processes()
        for process, (_, threads, _) in table.items():
            judge = judge_of(process, table)
            if judge and threads == THREADS + 1 and process not in seen:
                seen.add(process)
                return judge
        return None

    return step


def sets_config(directory: Path, actors: int = 2) -> Config:
    return Config(run_dir=str(directory), sets=SetsConfig(actors=actors))


def build(config: Config, source: Any) -> Store:
    from raymode.sets.build import build_sets

    build_sets(config, source)
    return Store(config.sets_path)


def source(*poison: str) -> ListSource:
    """Return four problems in two parts; the poison is in the middle of the second."""
    middle = [DOUBLE, WRONG, *poison, "print(int(input()) << 1)", "print(input() + 1)"]
    return ListSource(
        [
            [double("a", [DOUBLE, WRONG]), double("b", middle)],
            [double("c", [WRONG, DOUBLE]), double("d", [DOUBLE])],
        ]
    )


def test_programs_that_end_their_judge_are_set_aside_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with killer(poisoned()) as killed:
        store = build(sets_config(tmp_path), source(POISON % 4, POISON % 5))
    # the first death names nobody; then two for each program
    assert len(killed) == 1 + 2 * 2
    verdicts = [(row["problem_id"], row["verdict"]) for row in store.rows("solutions")]
    assert verdicts == [
        ("a", "AC"), ("a", "WA"), ("b", "AC"), ("b", "WA"), ("b", "AC"), ("b", "RE"),
        ("c", "WA"), ("c", "AC"), ("d", "AC"),
    ]  # fmt: skip
    rows = store.rows("rejected")
    assert [(row["table"], row["problem_id"], row["reason"], row["detail"]) for row in rows] == [
        ("solutions", "b", "sandbox_error", "quarantined: its judge died twice while running it")
    ] * 2
    names = [f"problem 'b', solution {row['row']!r}" for row in rows]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert line == (
        "warning: sets: 2 programs could not be judged (table rejected says why): "
        + "; ".join(names)
    )


def completions(*texts: str) -> list[dict[str, Any]]:
    return [
        {"run_id": "r", "problem_id": name, "index": index, "text": text}
        for name in ("a", "b", "c")
        for index, text in enumerate(texts if name == "b" else (DOUBLE, WRONG))
    ]


def judge(rows: list[dict[str, Any]], directory: Path, actors: int = 2) -> list[dict[str, Any]]:
    from raymode.measure import score

    problems = {name: double(name, [])[0] for name in ("a", "b", "c")}
    config = Config(run_dir=str(directory), score=ScoreConfig(actors=actors))
    return score.judge_completions(rows, problems, config, Store(config.run_dir))


def test_completions_that_end_their_judge_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poison = POISON % 4
    with killer(poisoned()) as killed:
        rows = judge(completions(WRONG, poison, DOUBLE, f"# again\n{poison}"), tmp_path / "1")
    assert len(killed) == 3
    verdicts = {(row["problem_id"], row["index"]): row["verdict"] for row in rows}
    assert verdicts == {
        ("a", 0): "AC", ("a", 1): "WA", ("b", 0): "WA", ("b", 1): "SANDBOX_ERROR",
        ("b", 2): "AC", ("b", 3): "SANDBOX_ERROR", ("c", 0): "AC", ("c", 1): "WA",
    }  # fmt: skip
    assert {row["message"] for row in rows if row["verdict"] == "SANDBOX_ERROR"} == {
        "quarantined: its judge died twice while running it"
    }
    said = capsys.readouterr().err
    assert "2 programs could not be judged (table judged says why): " in said
    assert "problem 'b', completion 1; problem 'b', completion 3\n" in said


class Deadly(str):
    """A text that ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return eval, ("__import__('os').kill(__import__('os').getpid(), 9)",)


class DeadlyPartition(ListPartition):
    """Two problems, and whoever unpickles the second dies."""

    def read(self) -> Iterator[Any]:
        yield double("a", [DOUBLE])
        yield double("b", [DOUBLE], prompt=Deadly("x"))


class DeadlySource:
    def partitions(self) -> list[Any]:
        return [DeadlyPartition("list0", [])]


def test_a_judge_that_dies_without_a_program_to_blame_ends_the_stage(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"^problem 'list0#1': its judge died 6 times, and no"):
        build(sets_config(tmp_path), DeadlySource())


class Mortal:
    """Ends its own process on some pieces."""

    def work(self, piece: int) -> int:
        if piece < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece


def test_an_actor_that_always_dies_is_raymodes_own_error() -> None:
    from raymode.actors import answers

    pieces = {0: 5, 1: -1}
    with pytest.raises(RaymodeError, match=r"^Mortal: gave no answer in 2 attempts \(.*\); see"):
        list(answers(Mortal, (), {"num_cpus": 1}, 1, "work", pieces, retries=1))


class Counted(dict[int, int]):
    """Counts how many pieces were handed out."""

    given = 0

    def __getitem__(self, number: int) -> int:
        self.given += 1
        return super().__getitem__(number)


def test_an_actor_never_has_more_than_two_pieces() -> None:
    from raymode.actors import IN_FLIGHT, answers

    pieces = Counted({number: number for number in range(40)})
    most = 0
    for answered, _ in enumerate(answers(Mortal, (), {"num_cpus": 1}, 2, "work", pieces)):
        most = max(most, pieces.given - answered - 1)
        time.sleep(0.005)
    assert pieces.given == 40
    assert most == 2 * IN_FLIGHT == 4


def by_chance(seed: int, judges: int, others: int) -> Callable[[], int | None]:
    """Return a step that kills so many judges and processes of their sandboxes, at random moments."""
    chance = random.Random(seed)
    victims = ["judge"] * judges + ["sandbox"] * others
    chance.shuffle(victims)
    due = 0.0

    def step() -> int | None:
        nonlocal due
        table = processes()
        inside = {process: judge for process in table if (judge := judge_of(process, table))}
        if not inside or not victims or time.monotonic() < due:
            return None
        due = time.monotonic() + chance.uniform(0.6, 1.2)
        process = chance.choice(sorted(inside))
        return inside[process] if victims.pop() == "judge" else process

    return step


def slow_programs(problem: int) -> list[str]:
    return [SLOW % number + f"  # {problem}" for number in (0, 1, 2, 3)] + [WRONG, DOUBLE]


def test_deaths_by_chance_change_no_table(tmp_path: Path) -> None:
    tests = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in range(1, 6)]
    parts = [
        [double(f"{part}{row}", slow_programs(row), tests=tests) for row in range(4)]
        for part in range(2)
    ]
    build(sets_config(tmp_path / "calm"), ListSource(parts))
    with killer(by_chance(1, judges=1, others=1)) as killed:
        build(sets_config(tmp_path / "killed"), ListSource(parts))
    assert len(killed) == 2
    assert files(tmp_path / "calm") == files(tmp_path / "killed")


PROBLEM_BYTES = 100_000


@dataclass(frozen=True)
class Endless:
    """Problems for ever, as fast as they are asked for; every one leaves a byte in a file."""

    counter: str
    name: str = "endless"
    programs: int = 0

    def read(self) -> Iterator[Any]:
        tests = [{"input": "2\n" + " " * PROBLEM_BYTES, "output": "4\n"}]
        with open(self.counter, "ab", buffering=0) as file:
            for number in itertools.count():
                yield double(
                    f"{number}", [f"import time; time.sleep(1); print({number})"], tests=tests
                )
                file.write(b".")


@pytest.mark.slow
def test_an_endless_source_is_not_read_ahead_of_slow_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raymode.sets import build

    monkeypatch.setattr(build, "READ_AHEAD_BYTES", 40 * PROBLEM_BYTES)
    counter = tmp_path / "read"
    stream = build._stream(sets_config(tmp_path, actors=1), {0: Endless(str(counter))})
    ahead = []
    for judged, _ in zip(range(1, 21), stream, strict=False):
        ahead.append(counter.stat().st_size - judged)
    stream.close()
    print(f"problems read ahead: {ahead}")
    # a quarter of the bytes, the blocks on their way in the generator and two at the actor
    assert max(ahead) <= 20
    time.sleep(3)
    size = counter.stat().st_size
    time.sleep(2)
    assert counter.stat().st_size == size  # nobody reads on


class TestWatch:
    """The rules, without Ray."""

    def begin(self, watch: Watch, program: str = "") -> Past:
        past = watch.begin("p")
        if program:
            watch.run("p", program)
        return past

    def test_a_finished_problem_has_no_past(self) -> None:
        watch = Watch()
        self.begin(watch)
        watch.done("p")
        assert self.begin(watch) == Past()

    def test_two_deaths_at_one_program_put_it_in_quarantine_for_good(self) -> None:
        watch = Watch()
        assert [self.begin(watch, x).quarantined for x in ("", "x", "y", "x")] == [frozenset()] * 4
        assert self.begin(watch) == Past(4, frozenset("x"))
        watch.done("p")
        assert self.begin(watch).quarantined == {"x"}

    def test_every_quarantine_gives_new_patience(self) -> None:
        watch = Watch()
        for number in range(50):
            self.begin(watch, str(number // DEATHS))
        assert len(watch.begin("p").quarantined) == 50 // DEATHS
        for number in range(PATIENCE - 1):
            self.begin(watch, f"other {number}")
        with pytest.raises(SandboxError, match=r"'p': its judge died 56 times"):
            self.begin(watch)
