"""Bad rows are set aside with a reason; equal programs become one candidate; verdicts become rows."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from raymode.errors import DataError
from raymode.sandbox import Question, Sandbox, Status, Verdict, runner
from raymode.schema import table_of
from raymode.sets import journal, parts
from raymode.sets.parts import TABLES, file_name, is_whole, summarize, write_part
from raymode.sets.records import prepare
from raymode.sets.verify import Judged, judge, may_vary
from raymode.store import Store

TESTS = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in (1, 5, 0, 7)]
RIGHT = "n = int(input())\nprint(n + n)\n"
COPY = "# the same\nnumber = int( input() )\nprint(number+number)"
SORTED = "print(sum(sorted([int(input())] * 2)))"
WRONG = "print(int(input()) + 1)"
CRASH = "raise ValueError(object())"


def problem(**changes: Any) -> dict[str, Any]:
    row = {
        "problem_id": "double",
        "prompt": "Read n. Print 2n.",
        "tests": TESTS,
        "checker": "tokens",
        "cpu_s": 2.0,
        "memory_mb": 256,
        "source": "test",
        "family": None,
        "topic": None,
        "split": "train",
    }
    return {**row, **changes}


def solution(code: Any, claimed: Any = True, **changes: Any) -> dict[str, Any]:
    row = {
        "problem_id": "double",
        "code": code,
        "language": "python",
        "label": None,
        "claimed": claimed,
    }
    return {**row, **changes}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(allow_unsafe=True) as made:
        yield made


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("no dict", "wrong_type"),
        (None, "wrong_type"),
        (problem(problem_id=""), "no_problem_id"),
        (problem(problem_id=7), "no_problem_id"),
        (problem(prompt=None), "no_prompt"),
        (problem(prompt="\ud800"), "no_prompt"),
        (problem(tests=[]), "no_tests"),
        (problem(tests=None), "no_tests"),
        (problem(tests="text"), "no_tests"),
        (problem(tests=[{"input": "1"}]), "bad_test"),
        (problem(tests=[*TESTS, ("1", "2")]), "bad_test"),
        (problem(cpu_s=0), "bad_limits"),
        (problem(cpu_s=float("nan")), "bad_limits"),
        (problem(memory_mb="256"), "bad_limits"),
        (problem(memory_mb=1.5), "bad_limits"),
        (problem(cpu_s=1e8), "bad_limits"),
        (problem(cpu_s=10**400), "bad_limits"),
        (problem(memory_mb=1 << 40), "bad_limits"),
        (problem(checker="magic"), "bad_checker"),
        (problem(topic=3), "wrong_type"),
        ({}, "no_problem_id"),
    ],
)
def test_a_bad_problem_is_set_aside_with_its_solutions(row: Any, reason: str) -> None:
    prepared = prepare(row, [solution(RIGHT), solution(WRONG)], "part[0:9]#4")
    assert prepared.problem is None
    assert prepared.candidates == []
    assert [bad["reason"] for bad in prepared.rejected] == [
        reason,
        "problem_rejected",
        "problem_rejected",
    ]
    assert [bad["table"] for bad in prepared.rejected] == ["problems", "solutions", "solutions"]
    name = prepared.rejected[0]["problem_id"]
    assert all(bad["row"].startswith(name or "part[0:9]#4") for bad in prepared.rejected)
    assert table_of("rejected", prepared.rejected).num_rows == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("no dict", "wrong_type"),
        (solution(None), "wrong_type"),
        (solution(b"print(1)"), "wrong_type"),
        (solution("print('\ud800')"), "wrong_type"),
        (solution(" \n"), "no_code"),
        (solution("print 1"), "python2"),
        (solution("def f(:"), "syntax"),
        (solution("\0"), "syntax"),
        (solution("x = " + "[" * 999), "syntax"),
        (solution("x = " + "-" * 99_999 + "1"), "too_nested"),
        (solution(RIGHT, language="c++"), "language"),
        (solution(RIGHT, problem_id="other"), "wrong_problem"),
        (solution(RIGHT, claimed=None), "wrong_type"),
        (solution(RIGHT, label=3), "wrong_type"),
    ],
)
def test_a_bad_solution_is_set_aside_alone(row: Any, reason: str) -> None:
    prepared = prepare(problem(), [solution(SORTED), row, solution(RIGHT)], "here")
    assert [bad["reason"] for bad in prepared.rejected] == [reason]
    assert prepared.rejected[0]["row"] == "double#1"
    assert len(prepared.candidates) == 2
    assert table_of("rejected", prepared.rejected).num_rows == 1


def test_equal_programs_are_one_candidate_with_a_count() -> None:
    rows = [
        solution(RIGHT, label="first"),
        solution(SORTED, claimed=False),
        solution(COPY, claimed=False),
    ]
    prepared = prepare(problem(), [*rows, solution(RIGHT)], "here")
    assert [(row["code"], row["copies"], row["claimed"]) for row in prepared.candidates] == [
        (RIGHT, 3, True),
        (SORTED, 1, False),
    ]
    assert prepared.candidates[0]["label"] == "first"
    assert len({row["solution_id"] for row in prepared.candidates}) == 2
    assert prepare(problem(), "no list", "here").candidates == []


def test_rows_say_when_nothing_isolated_the_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "breaches", lambda output: ["read a file"])
    with Sandbox(allow_unsafe=True) as unsafe:
        judged = judge(prepare(problem(), [solution(RIGHT)], "here"), unsafe)
    assert [row["isolated"] for row in judged.solutions] == [False]
    assert [row["level"] for row in judged.executions] == ["unsafe"]
    assert "WITHOUT isolation" in capsys.readouterr().err


def test_verdicts_become_rows(sandbox: Sandbox) -> None:
    codes = [
        solution(RIGHT),
        solution(COPY),
        solution(SORTED),
        solution(WRONG, False),
        solution(CRASH, False),
    ]
    judged = judge(prepare(problem(), codes, "here"), sandbox)
    assert [row["verdict"] for row in judged.solutions] == ["AC", "AC", "WA", "RE"]
    assert [row["failing_test"] for row in judged.solutions] == [None, None, 1, 0]
    right, by_sorting, wrong, crash = judged.solutions
    assert right["cluster_id"] != by_sorting["cluster_id"]
    assert "call:sorted" in by_sorting["features"]
    assert wrong["cluster_id"] is None
    assert wrong["features"] == []
    assert "object at 0x…" in crash["message"]
    assert [row["solution_id"] for row in judged.executions] == [
        row["solution_id"] for row in judged.solutions
    ]
    for name in TABLES:
        table_of(name, getattr(judged, name))


class BrokenSandbox(Sandbox):
    """A sandbox whose kernel gives up on one program."""

    def judge_many(self, questions: Iterable[Question]) -> list[Verdict]:
        asked = list(questions)
        broken = Verdict(
            Status.SANDBOX_ERROR, None, 0.0, 0.0, 0.0, 0.0, "the zygote died", self.level, 0
        )
        return [
            broken if question.program == SORTED else verdict
            for question, verdict in zip(asked, super().judge_many(asked), strict=True)
        ]


def test_a_failure_of_the_sandbox_is_not_a_wrong_answer() -> None:
    with BrokenSandbox(allow_unsafe=True) as broken:
        judged = judge(prepare(problem(), [solution(RIGHT), solution(SORTED)], "here"), broken)
    assert [row["verdict"] for row in judged.solutions] == ["AC"]
    assert len(judged.executions) == 1
    (bad,) = judged.rejected
    assert (bad["reason"], bad["detail"]) == (
        "sandbox_error",
        "the sandbox failed twice; the log says how",
    )


def write(store: Store, number: int, *judged: Judged) -> None:
    for position, one in enumerate(judged):
        journal.save(store, number, position, one)
    assert journal.positions(store, number) == set(range(len(judged)))
    write_part(store, number, len(judged))
    assert journal.positions(store, number) == set()


def test_parts_and_their_summary(sandbox: Sandbox, tmp_path: Any) -> None:
    store = Store(str(tmp_path))
    codes = [
        solution(RIGHT),
        solution(COPY),
        solution(SORTED),
        solution(WRONG, False),
        solution("x = (", True),
    ]
    first = judge(prepare(problem(), codes, "here"), sandbox)
    known_wrong = [{**row, "problem_id": "second", "claimed": False} for row in codes[2:4]]
    second = judge(prepare(problem(problem_id="second"), known_wrong, "here"), sandbox)
    bad = judge(prepare(problem(problem_id="third", tests=[]), codes[:1], "here"), sandbox)
    assert not is_whole(store, 0)
    write(store, 0, first, bad)
    write(store, 1, second)
    assert is_whole(store, 0)
    summary = summarize(store, 2)
    expected = {
        "problems": 2, "programs": 8, "copies": 1, "solutions": 5, "accepted": 2, "problems_with_accepted": 1,
        "accepted_per_problem": 2.0, "clusters_per_problem": 2.0, "known_wrong": 3, "false_positives": 1,
        "rejected": {"problems: no_tests": 1, "solutions: problem_rejected": 1, "solutions: syntax": 1},
        "verdicts": {"claimed_right": {"AC": 2}, "known_wrong": {"AC": 1, "WA": 2}},
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    assert summary["false_positive_share"] == pytest.approx(1 / 3)
    assert summary["sources"] == {
        "test": {
            "known_wrong": 3,
            "false_positives": 1,
            "false_positive_share": pytest.approx(1 / 3),
        }
    }
    rows = {name: store.rows(name) for name in TABLES}
    assert [row["problem_id"] for row in rows["problems"]] == ["double", "second"]
    assert len(rows["solutions"]) == len(rows["executions"]) == 5
    assert len(rows["rejected"]) == sum(summary["rejected"].values())


def test_content_depends_on_what_is_kept_and_not_on_what_was_measured(
    sandbox: Sandbox, tmp_path: Any
) -> None:
    def content(name: str, judged: Judged) -> tuple[str, bytes, bytes]:
        store = Store(str(tmp_path / name))
        write(store, 0, judged)
        files = (store.read_bytes(file_name(table, 0)) for table in ("solutions", "executions"))
        return summarize(store, 1)["content"], *files

    one = judge(prepare(problem(), [solution(RIGHT), solution(SORTED)], "here"), sandbox)
    again = judge(prepare(problem(), [solution(RIGHT), solution(SORTED)], "here"), sandbox)
    other = judge(prepare(problem(), [solution(RIGHT), solution(WRONG)], "here"), sandbox)
    again.executions[0]["cpu_s"] += 1.0
    first, second, third = content("one", one), content("again", again), content("other", other)
    assert first[:2] == second[:2]
    assert first[2] != second[2]
    assert first[0] != third[0]


def test_many_prompts_are_compared_elsewhere_and_too_many_not_at_all(
    sandbox: Sandbox, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    write(store, 0, judge(prepare(problem(), [solution(RIGHT)], "here"), sandbox))
    elsewhere: list[Any] = []

    def noted(compare: parts.Compare) -> parts.Compare:
        elsewhere.append(compare)
        return compare

    assert summarize(store, 1, noted)["implicit_k"] == 1 and not elsewhere
    monkeypatch.setattr(parts, "COMPARED_HERE", 0)
    assert summarize(store, 1, noted)["implicit_k"] == 1 and elsewhere
    monkeypatch.setattr(parts, "MOST_COMPARED", 0)
    assert summarize(store, 1, noted)["implicit_k"] is None


def test_a_repeated_problem_id_is_named(sandbox: Sandbox, tmp_path: Any) -> None:
    store = Store(str(tmp_path))
    judged = judge(prepare(problem(), [solution(RIGHT)], "here"), sandbox)
    write(store, 0, judged)
    write(store, 1, judged)
    with pytest.raises(DataError, match=r"'double' stands more than once"):
        summarize(store, 2)


CLOCK = "import time\nprint(int(input()) * 2 if time.time_ns() // 1000 % 2 else 'odd')"
"""Right or wrong by the microsecond: two runs on four tests agree on all verdicts once in dozens of times."""


def test_a_program_that_varies_is_judged_twice_and_set_aside(sandbox: Sandbox) -> None:
    many = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in range(20)]
    fixed = "import time\nbegin = time.time()\nprint(2 * int(input()))"
    codes = [solution(RIGHT), solution(fixed), *(solution(f"{CLOCK}\nx = {n}") for n in range(8))]
    judged = judge(prepare(problem(tests=many), codes, "here"), sandbox, min_pass_share=0.0)
    assert {row["code"] for row in judged.solutions if row["verdict"] == "AC"} == {RIGHT, fixed}
    reasons = {row["reason"] for row in judged.rejected}
    assert reasons == {"nondeterministic"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("time = int(input())", False), ("import time", False), ("t = time.time()", True), ("id = 3", False),
        ("from datetime import *", False), ("datetime.now()", True), ("import random", False),
        ("time.perf_counter()", True), ("print(id(x))", True), ("import os\nos.urandom(4)", True),
    ],
)  # fmt: skip
def test_what_may_vary_is_seen(code: str, expected: bool) -> None:
    assert may_vary(code) == expected


def test_a_problem_whose_tests_refuse_right_solutions_is_set_aside(sandbox: Sandbox) -> None:
    codes = [solution(RIGHT), solution(WRONG), solution(CRASH), solution(SORTED, False)]
    judged = judge(prepare(problem(), codes, "here"), sandbox)
    assert not judged.problems and not judged.solutions and not judged.executions
    first, *others = judged.rejected
    assert (first["table"], first["reason"]) == ("problems", "unreliable_tests")
    assert (
        "1 of 3 solutions claimed to be right pass its tests (AC 1, RE 1, WA 1)" in first["detail"]
    )
    assert [row["reason"] for row in others] == ["problem_rejected"] * 4
    assert "AC: the problem was set aside" in others[0]["detail"]
    kept = judge(prepare(problem(), codes, "here"), sandbox, min_pass_share=0.3)
    assert len(kept.solutions) == 4
