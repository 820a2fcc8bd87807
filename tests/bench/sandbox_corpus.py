"""What the sandbox benchmark judges: programs with tests, and the kinds of work made of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raymode.sandbox import Test

PROGRAMS, TESTS = 52, 20


@dataclass(frozen=True)
class Case:
    """One program to judge, and the truth about it."""

    source: str
    tests: tuple[Test, ...]
    accepted: bool = True
    tests_run: int = TESTS
    """How many tests there are up to the first failing one, that one included."""


def load(corpus: Path | None) -> list[Case]:
    """Read a JSON list of {"src", "inputs", "outputs"}, or take right programs of the embedded source."""
    if corpus is None:
        return embedded()
    return [
        _case(row["src"], [Test(*pair) for pair in zip(row["inputs"], row["outputs"], strict=True)])
        for row in json.loads(corpus.read_text())
    ]


def embedded() -> list[Case]:
    """Two different right programs of each of 26 problems, 20 tests each; always the same."""
    from raymode.sources.embedded import generate

    problems = generate(
        0, problems_per_family=1, tests_per_problem=TESTS, slow_every=0, families=PROGRAMS // 2
    )
    cases = []
    for problem, solutions in problems:
        tests = [Test(row["input"], row["output"]) for row in problem["tests"]]
        right = [row["code"] for row in solutions if row["claimed"]]
        cases += [_case(right[0], tests), _case(right[len(right) // 2], tests)]
    return cases


def _case(source: str, tests: Sequence[Test]) -> Case:
    return Case(source, tuple(tests), tests_run=len(tests))


def with_work(cases: list[Case], iterations: int) -> list[Case]:
    """The same programs after so many iterations of WORK."""
    work = WORK.format(iterations=iterations)
    return [replace(case, source=work + case.source) for case in cases]


WORK = """
def _work(count):
    table = {{}}
    for i in range(count):
        table[i * 7919 % 1009] = table.get(i % 1009, 0) + i
_work({iterations})
"""


def wrong_at(cases: list[Case], index: int) -> list[Case]:
    """The same programs; another output than theirs is expected of the test at `index`, 0 or -1."""
    changed = []
    for case in cases:
        tests = list(case.tests)
        tests[index] = replace(tests[index], output="something else\n")
        run = len(tests) if index == -1 else index + 1
        changed.append(replace(case, tests=tuple(tests), accepted=False, tests_run=run))
    return changed


def copies(cases: list[Case], count: int) -> list[Case]:
    """Every program `count` times, as different texts: no cache knows them."""
    return [
        replace(case, source=f"{case.source}\n# {number}\n")
        for number in range(count)
        for case in cases
    ]


@dataclass(frozen=True)
class Kind:
    """One kind of work: what becomes of the programs drawn in a round."""

    title: str
    make: Callable[[list[Case], int], list[Case]]
    """(programs drawn, iterations of WORK in a millisecond) -> what is judged"""
    share: float
    """This share of the programs is drawn, so that long kinds do not take all the time."""


KINDS = {
    "small": Kind("small programs", lambda cases, _: cases, 1),
    "5ms": Kind("the same and 5 ms of work", lambda cases, ms: with_work(cases, 5 * ms), 1 / 4),
    "20ms": Kind("the same and 20 ms of work", lambda cases, ms: with_work(cases, 20 * ms), 1 / 8),
    "wrong-first": Kind(
        "wrong on the first test", lambda cases, _: wrong_at(copies(cases, 8), 0), 1
    ),
    "wrong-last": Kind("wrong on the last test", lambda cases, _: wrong_at(cases, -1), 1 / 2),
    "duplicates": Kind("every program five times", lambda cases, _: cases * 5, 1 / 4),
}
