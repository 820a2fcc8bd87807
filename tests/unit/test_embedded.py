"""The embedded problems: every program of every family does what its label says."""

import ast
import collections
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from raymode.errors import ConfigError
from raymode.sources.embedded import generate
from raymode.sources.embedded.family import Family, fill
from raymode.sources.embedded.generate import (
    FAMILIES,
    RICH_SETTINGS,
    heldout_family_names,
    ordered_families,
    problem_id,
)

# Runs our own programs, one after the other, in one fresh interpreter: [[code, inputs], ...] on
# stdin, [[output, "error" or "timeout" for every input], ...] on stdout.
DRIVER = """
import io, json, signal, sys
def stop(*_):
    raise TimeoutError
signal.signal(signal.SIGVTALRM, stop)
jobs, results, seconds = json.load(sys.stdin), [], float(sys.argv[1])
real = sys.stdout
for code, inputs in jobs:
    program, row = compile(code, "<program>", "exec"), []
    for text in inputs:
        sys.stdin, sys.stdout = io.StringIO(text), io.StringIO()
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            exec(program, {"__name__": "__main__"})
            row.append("output " + " ".join(sys.stdout.getvalue().split()))
        except TimeoutError:
            row.append("timeout")
        except Exception:
            row.append("error")
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    results.append(row)
json.dump(results, real)
"""
BY_NAME = {family.name: family for family in FAMILIES}
SETTINGS = {problem_id(family, at): at for family in FAMILIES for at in family.parameters}
RICH = [family for family in FAMILIES if len(family.parameters) >= RICH_SETTINGS]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
# 25 settings of each family drawn by the seed, or every setting there is
some_or_all = pytest.mark.parametrize("count", [25, pytest.param(99, marks=pytest.mark.slow)])


@cache
def problems(count: int) -> list[tuple[Any, Any]]:
    return list(generate(0, problems_per_family=count))


PROBLEMS = problems(25)


def run_programs(jobs: Sequence[tuple[str, list[str]]], seconds: float = 0.4) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", DRIVER, str(seconds)],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=True,
    )
    results: list[list[str]] = json.loads(done.stdout)
    return results


def of_family(family: Family, count: int = 25) -> list[tuple[Any, Any]]:
    pairs = [pair for pair in problems(count) if pair[0]["family"] == family.name]
    assert len(pairs) == min(count, len(family.parameters))
    return pairs


@some_or_all
@every_family
def test_every_program_earns_its_label(family: Family, count: int) -> None:
    rows = [
        (problem, solution)
        for problem, solutions in of_family(family, count)
        for solution in solutions
        if not solution["label"].startswith("slow:")
    ]
    jobs = [
        (solution["code"], [test["input"] for test in problem["tests"]])
        for problem, solution in rows
    ]
    for (problem, solution), got in zip(rows, run_programs(jobs), strict=True):
        wanted = ["output " + " ".join(test["output"].split()) for test in problem["tests"]]
        place = (problem["problem_id"], solution["label"], solution["code"])
        kind = solution["label"].partition(":")[0]
        if kind == "crash":
            assert got.count("error") > len(got) / 2, place
        elif kind == "wrong":
            assert "timeout" not in got, place
            assert got[:10] != wanted[:10], place  # caught although only ten tests are asked for
        else:
            assert got == wanted, place


@every_family
def test_slow_programs_are_slow(family: Family) -> None:
    problem, _ = of_family(family)[-1]
    setting = SETTINGS[problem["problem_id"]]
    jobs = [(fill(code, setting), [problem["tests"][0]["input"]]) for code in family.slow.values()]
    assert run_programs(jobs, seconds=0.1) == [["timeout"]] * len(jobs)


@every_family
def test_family_is_well_formed(family: Family) -> None:
    assert len(family.parameters) >= 24
    assert len(family.right) >= 6 and len(family.wrong) >= 2
    assert family.slow and family.crash
    programs = [family.right, family.wrong, family.slow, family.crash]
    for setting in family.parameters:
        statement = fill(family.statement, setting)
        assert len(statement) <= 90, statement
        for code in itertools.chain.from_iterable(group.values() for group in programs):
            assert len(fill(code, setting)) <= 200, fill(code, setting)


@some_or_all
@every_family
def test_every_setting_has_answers_of_its_own(family: Family, count: int) -> None:
    rows = [problem for problem, _ in of_family(family, count)]
    inputs = sorted({test["input"] for problem in rows for test in problem["tests"]})
    settings = [SETTINGS[problem["problem_id"]] for problem in rows]
    answers = {tuple(answer_or_none(family, text, at) for text in inputs) for at in settings}
    assert len(answers) == len(settings)


def answer_or_none(family: Family, text: str, setting: Any) -> str | None:
    """An input made for one setting may be no input for another (digits of a larger base, say)."""
    try:
        return family.answer(text, setting)
    except (ValueError, IndexError, KeyError):
        return None


@every_family
def test_strategies_differ_as_algorithms(family: Family) -> None:
    """No two right programs use the same syntax and the same functions and attributes."""
    setting = family.parameters[0]
    seen = {strategy: constructs(fill(code, setting)) for strategy, code in family.right.items()}
    for (first, left), (second, right) in itertools.combinations(seen.items(), 2):
        assert left != right, (first, second)


def constructs(code: str) -> frozenset[str]:
    tree = ast.parse(code)
    bound = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and is_store(node.ctx)
    }
    found = {type(node).__name__ for node in ast.walk(tree)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - bound
    return frozenset(found)


def is_store(context: ast.expr_context) -> bool:
    return isinstance(context, ast.Store)


def test_defaults_give_enough_of_everything() -> None:
    labels = collections.Counter(
        solution["label"].partition(":")[0]
        for _, solutions in PROBLEMS
        for solution in solutions
        if ":" in solution["label"]
    )
    assert len(FAMILIES) == len(BY_NAME) >= 24
    assert len(PROBLEMS) >= 600
    assert len({problem["problem_id"] for problem, _ in PROBLEMS}) == len(PROBLEMS)
    assert labels["wrong"] >= 2 * len(PROBLEMS)
    assert len(PROBLEMS) <= labels["renamed"] <= 2 * len(PROBLEMS)
    assert labels["crash"] == len(PROBLEMS)
    assert len(PROBLEMS) / 24 < labels["slow"] < len(PROBLEMS) / 6
    for problem, solutions in PROBLEMS:
        inputs = [test["input"] for test in problem["tests"]]
        right = [row for row in solutions if ":" not in row["label"]]
        assert len(inputs) == len(set(inputs)) == 12, problem["problem_id"]
        assert len(right) >= 6
        assert all(
            row["claimed"] == (row["label"].partition(":")[0] not in {"wrong", "slow", "crash"})
            for row in solutions
        )
        assert len({row["code"] for row in solutions}) == len(solutions), problem["problem_id"]


def test_splits() -> None:
    splits = collections.defaultdict(set)
    for problem, _ in PROBLEMS:
        splits[problem["family"]].add(problem["split"])
    heldout = {name for name, kinds in splits.items() if kinds == {"heldout_families"}}
    assert len(heldout) == 4
    rest = [kinds for name, kinds in splits.items() if name not in heldout]
    assert all(kinds == {"train", "heldout_parameters"} for kinds in rest)
    counts = collections.Counter(problem["split"] for problem, _ in PROBLEMS)
    assert counts["heldout_parameters"] / (counts["heldout_parameters"] + counts["train"]) == (
        pytest.approx(0.2, abs=0.02)
    )
    assert {BY_NAME[name].topic for name in heldout} <= {
        BY_NAME[name].topic for name in splits.keys() - heldout
    }
    assert heldout == heldout_family_names(0, FAMILIES, 4)
    assert len({frozenset(heldout_family_names(seed, FAMILIES, 4)) for seed in range(9)}) > 4


def test_only_the_seed_matters() -> None:
    again = list(generate(0))
    assert again == PROBLEMS
    other = {problem["problem_id"]: problem["tests"] for problem, _ in generate(1)}
    shared = [problem for problem, _ in PROBLEMS if problem["problem_id"] in other]
    assert sum(problem["tests"] == other[problem["problem_id"]] for problem in shared) < 30


def test_the_hash_seed_of_the_interpreter_does_not_matter() -> None:
    code = (
        "import json\nfrom raymode.sources.embedded import generate\n"
        "print(json.dumps(list(generate(0, problems_per_family=2))))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(printed) == 1
    assert json.loads(printed.pop()) == [list(pair) for pair in generate(0, problems_per_family=2)]


def test_a_smaller_choice_is_a_part_of_the_whole() -> None:
    whole = {problem["problem_id"]: (problem, rows) for problem, rows in PROBLEMS}
    few = list(generate(0, families=9, problems_per_family=6, tests_per_problem=10))
    assert len(few) == 9 * 6
    for problem, rows in few:
        whole_problem, whole_rows = whole[problem["problem_id"]]
        assert rows == whole_rows
        assert problem["tests"] == whole_problem["tests"][:10]


def test_the_families_with_many_settings_come_first() -> None:
    ordered = ordered_families()
    assert sorted(family.name for family in ordered) == sorted(BY_NAME)
    assert len(RICH) >= 14
    assert {family.name for family in ordered[: len(RICH)]} == {family.name for family in RICH}
    assert all(len(family.parameters) >= 60 for family in ordered[:12])


def test_the_first_families_cover_the_topics() -> None:
    ordered = ordered_families()
    for part in (ordered[: len(RICH)], ordered[len(RICH) :]):
        topics = [family.topic for family in part]
        assert len(set(topics[: len(set(topics))])) == len(set(topics))


@pytest.mark.parametrize("family", RICH, ids=lambda family: family.name)
def test_the_settings_drawn_spread_over_all(family: Family) -> None:
    """A model trained on the drawn ones is to have seen small, middling and large parameters."""
    names = [problem_id(family, setting) for setting in family.parameters]
    drawn = [names.index(problem["problem_id"]) for problem, _ in of_family(family)]
    in_quarters = collections.Counter(4 * place // len(names) for place in drawn)
    assert len(in_quarters) == 4 and max(in_quarters.values()) <= 15


def test_slow_every_zero_gives_no_slow_program() -> None:
    labels = [row["label"] for _, rows in generate(0, families=5, slow_every=0) for row in rows]
    assert labels and not any(label.startswith("slow:") for label in labels)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"families": 99}, "families=99"),
        ({"problems_per_family": 0}, "problems_per_family=0"),
        ({"tests_per_problem": 0}, "tests_per_problem=0"),
        ({"slow_every": -1}, "slow_every=-1"),
        ({"families": 3, "heldout_families": 3}, "heldout_families=3"),
        ({"heldout_fraction": 1.0}, "heldout_fraction=1.0"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        generate(0, **arguments)
