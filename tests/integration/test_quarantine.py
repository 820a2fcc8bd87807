"""Programs that take their judge down are quarantined and named; deaths by chance change no table."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raymode.config import Config, ScoreConfig, SetsConfig
from raymode.errors import SandboxError
from raymode.sandbox import Question, Sandbox, Test, Verdict
from raymode.sandbox.verdict import QUARANTINED
from raymode.store import Store
from tests.integration import test_build_sets
from tests.integration.conftest import pickled_by_value
from tests.integration.killers import THREADS, by_chance, killer, poisoned
from tests.integration.test_build_sets import DOUBLE, ListPartition, ListSource, double, files

POISON = f"""
import threading, time
for _ in range({THREADS}):
    threading.Thread(target=time.sleep, args=(8,), daemon=True).start()
time.sleep(8)
print(%d)
"""
WRONG = "print(int(input()) * 3)"
SLOW = "import time\ntime.sleep(0.05)\nn = int(input())\nprint(%s)"
DOUBLED = ("2 * n", "n + n", "n << 1", "sum([n, n])", "n * 2 + 1")
"""The last one is wrong."""


@pytest.fixture(scope="module", autouse=True)
def by_value(cluster: None) -> Iterator[None]:
    with pickled_by_value(sys.modules[__name__], test_build_sets):
        yield


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
    assert line.startswith(
        "warning: sets: 2 programs could not be judged (table rejected says why): "
        + "; ".join(names)
    )


def completions(*texts: str) -> list[dict[str, Any]]:
    return [
        {"run_id": "r", "problem_id": name, "decoding": "direct", "index": index, "text": text}
        for name in ("a", "b", "c")
        for index, text in enumerate(texts if name == "b" else (DOUBLE, WRONG))
    ]


def judge(rows: list[dict[str, Any]], directory: Path, actors: int = 2) -> list[dict[str, Any]]:
    from raymode.measure.judges import judge_completions

    problems = {name: double(name, [])[0] for name in ("a", "b", "c")}
    config = Config(run_dir=str(directory), score=ScoreConfig(actors=actors))
    return judge_completions(rows, problems, [], config, Store(config.run_dir))


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
    assert "says why): problem 'b', completion 1; problem 'b', completion 3; " in said


class Death(BaseException):
    """Leaves a judge as its death would: nothing it had to say afterwards is said."""


class DyingSandbox(Sandbox):
    """Ends its judge while it runs DEADLY, and counts the other programs."""

    def __init__(self) -> None:
        super().__init__(allow_unsafe=True)
        self.ran: list[str] = []

    def judge_many(self, questions: Iterable[Question]) -> list[Verdict]:
        asked = list(questions)
        if DEADLY in asked:
            raise Death
        self.ran += [question.program for question in asked]
        return super().judge_many(asked)


DEADLY, GOOD = (Question(f"print({n})", [Test("", f"{n}")]) for n in range(2))


def test_what_is_in_quarantine_stays_there_when_its_problem_is_judged_again() -> None:
    """A piece of work has many problems: one that was finished comes again after a death at another."""
    from raymode.watch import WatchedSandbox, watching

    with watching() as watch, DyingSandbox() as sandbox:
        judge = WatchedSandbox(lambda: sandbox, watch)
        for _ in range(3):  # the first death names nobody
            with pytest.raises(Death):
                for _ in judge.problems(["a", "b"]):
                    judge.judge_many([GOOD, DEADLY])
        for _ in range(3):
            (verdicts,) = [judge.judge_many([GOOD, DEADLY]) for _ in judge.problems(["a"])]
            assert [verdict.message for verdict in verdicts] == ["", QUARANTINED]


def test_no_program_is_to_blame_for_a_death_after_all_have_ended() -> None:
    from raymode.watch import WatchedSandbox, watching

    with watching() as watch, DyingSandbox() as sandbox:
        judge = WatchedSandbox(lambda: sandbox, watch)
        for _ in range(4):
            with pytest.raises(Death):
                for _ in judge.problems(["a"]):
                    assert judge.judge_many([GOOD])[0].accepted
                    raise Death
        for _ in judge.problems(["a"]):
            assert judge.judge_many([GOOD])[0].accepted
        assert sandbox.ran == [GOOD.program] * 5


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


@pytest.mark.slow
def test_a_judge_that_dies_without_a_program_to_blame_ends_the_stage(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"^problem 'list0#1': its judge died 6 times, and no"):
        build(sets_config(tmp_path), DeadlySource())


def slow_programs(problem: int) -> list[str]:
    return [SLOW % doubled + f"  # {problem}" for doubled in DOUBLED] + [WRONG, DOUBLE]


@pytest.mark.slow
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
