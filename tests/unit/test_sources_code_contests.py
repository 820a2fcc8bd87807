"""Rows of CodeContests become problems and programs; what cannot be used is handed over to be set aside."""

import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sources_data import io_lists, problem_row, real_data, write_contests, write_lines

from raymode.errors import DataError
from raymode.schema import PROBLEMS
from raymode.sets.records import check_problem, prepare
from raymode.sources import parquet
from raymode.sources.code_contests import FILE_IO, CodeContestsSource


def read(source: CodeContestsSource) -> list[Any]:
    return [row for part in source.partitions() for row in part.read()]


def read_row(tmp_path: Path, suffix: str = "parquet", **changes: Any) -> tuple[Any, Any]:
    """Return what a source makes of one row; settings go by their own names."""
    settings = {
        name: changes.pop(name) for name in ("cpu_s", "memory_mb", "max_tests") if name in changes
    }
    row = problem_row(0, **changes)
    path = tmp_path / f"row.{suffix}"
    if suffix == "parquet":
        write_contests(path, [row])
    else:
        write_lines(path, [row])
    ((problem, solutions),) = read(CodeContestsSource(str(path), 0, **settings))
    return problem, solutions


def test_a_problem_has_the_columns_of_the_table(tmp_path: Path) -> None:
    problem, _ = read_row(tmp_path)
    assert set(problem) == set(PROBLEMS.names)
    assert check_problem(problem) is None
    assert problem | {"tests": []} == {
        "problem_id": "0_A. Sum",
        "prompt": "Add the numbers, variant 0.",
        "tests": [],
        "checker": "tokens",
        "cpu_s": 1.5,
        "memory_mb": 244,
        "source": "code_contests/codeforces",
        "family": None,
        "topic": "implementation, math",
        "split": "train",
    }


def test_tests_are_public_then_private_then_generated_each_once(tmp_path: Path) -> None:
    pairs = [("1 2\n", "3\n"), ("5 6\n", "11\n"), ("7 8\n", "15\n")]
    expected = [{"input": given, "output": printed} for given, printed in pairs]
    for most in (0, 1, 2, 99):
        problem, _ = read_row(tmp_path, max_tests=most)
        assert problem["tests"] == expected[: most or None]


def test_a_test_with_another_answer_stays(tmp_path: Path) -> None:
    problem, _ = read_row(tmp_path, private_tests=io_lists(("1 2\n", "4\n")))
    assert [test["output"] for test in problem["tests"]][:2] == ["3\n", "4\n"]


def test_languages_are_named_and_only_python_3_becomes_a_candidate(tmp_path: Path) -> None:
    problem, solutions = read_row(tmp_path)
    found = [(row["language"], row["code"], row["claimed"], row["label"]) for row in solutions]
    assert found == [
        ("python", "print(3)", True, None),
        ("cpp", "c", True, None),
        ("python2", "p2", True, None),
        ("java", "j", True, None),
        ("unknown", "u", True, None),
        ("python", "print(4)", False, None),
    ]
    prepared = prepare(problem, solutions, "here")
    assert [row["code"] for row in prepared.candidates] == ["print(3)", "print(4)"]
    assert Counter(row["reason"] for row in prepared.rejected).total() == 4


@pytest.mark.parametrize(
    ("limit", "bytes_", "expected"),
    [
        (None, 0, (2.0, 256)),
        ({"seconds": 0, "nanos": 0}, None, (2.0, 256)),
        ({"seconds": None, "nanos": 250_000_000}, 1, (0.25, 1)),
        ({"seconds": 3, "nanos": None}, 64 << 20, (3.0, 64)),
    ],
)
def test_limits_and_their_defaults(
    tmp_path: Path, limit: Any, bytes_: Any, expected: tuple[float, int]
) -> None:
    problem, _ = read_row(tmp_path, time_limit=limit, memory_limit_bytes=bytes_)
    assert (problem["cpu_s"], problem["memory_mb"]) == expected
    assert check_problem(problem) is None
    problem, _ = read_row(tmp_path, time_limit=None, memory_limit_bytes=0, cpu_s=7.0, memory_mb=99)
    assert (problem["cpu_s"], problem["memory_mb"]) == (7.0, 99)


@pytest.mark.parametrize("files", [("a.in", "a.out"), ("a.in", ""), ("", "output.txt")])
def test_a_problem_with_files_keeps_its_tests_and_is_set_aside(
    tmp_path: Path, files: tuple[str, str]
) -> None:
    problem, solutions = read_row(tmp_path, input_file=files[0], output_file=files[1])
    assert len(problem["tests"]) == 3 and len(solutions) == 6
    assert problem["set_aside"]["reason"] == FILE_IO
    assert next(filter(None, files)) in problem["set_aside"]["detail"]
    assert prepare(problem, solutions, "here").problem is None


def test_lists_of_structs_and_enums_by_name_are_read_alike(tmp_path: Path) -> None:
    usual = read_row(tmp_path)
    row = problem_row(0)
    names = ["UNKNOWN_LANGUAGE", "PYTHON", "CPP", "PYTHON3", "JAVA"]
    programs = {
        column: [
            {"language": names[language], "solution": code}
            for language, code in zip(row[column]["language"], row[column]["solution"], strict=True)
        ]
        for column in ("solutions", "incorrect_solutions")
    }
    cells = {
        column: [
            {"input": given, "output": printed}
            for given, printed in zip(row[column]["input"], row[column]["output"], strict=True)
        ]
        for column in ("public_tests", "private_tests", "generated_tests")
    }
    assert read_row(tmp_path, "jsonl", **programs, **cells, source="CODEFORCES") == usual
    assert read_row(tmp_path, "jsonl.gz") == usual


def test_absent_columns_that_may_be_absent_are_defaults(tmp_path: Path) -> None:
    row = problem_row(0)
    few = {name: row[name] for name in ("name", "description", "public_tests", "solutions")}
    ((problem, solutions),) = read(
        CodeContestsSource(str(write_lines(tmp_path / "few.jsonl", [few])), 0)
    )
    assert check_problem(problem) is None and len(solutions) == 5
    assert problem["source"] == "code_contests/unknown"


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"name": "x", "prompt": "y"}])
    with pytest.raises(DataError, match=r"^a\.jsonl: column 'description', .* found: name, prompt"):
        CodeContestsSource(str(path), 0).partitions()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": None}, "no_problem_id"),
        ({"description": ""}, "no_prompt"),
        ({"public_tests": None, "private_tests": None, "generated_tests": None}, "no_tests"),
        ({"public_tests": {"input": ["1"], "output": []}}, "bad_test"),
        ({"public_tests": {"input": [[1]], "output": [{}]}}, "bad_test"),
        ({"public_tests": {"input": "1", "output": "2"}}, "no_tests"),
        ({"public_tests": "1"}, "no_tests"),
        ({"public_tests": 7}, "no_tests"),
        ({"time_limit": {"seconds": -1, "nanos": 0}}, "bad_limits"),
        ({"time_limit": {"seconds": "two", "nanos": 0}}, "bad_limits"),
        ({"time_limit": "two"}, "bad_limits"),
        ({"memory_limit_bytes": -5}, "bad_limits"),
        ({"memory_limit_bytes": "much"}, "bad_limits"),
    ],
)
def test_bad_problems_are_handed_over(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    problem, solutions = read_row(tmp_path, "jsonl", **changes)
    prepared = prepare(problem, solutions, "here")
    assert prepared.problem is None
    assert prepared.rejected[0]["reason"] == reason
    assert len(prepared.rejected) == 1 + len(solutions)


def test_bad_programs_are_handed_over(tmp_path: Path) -> None:
    odd = {"language": [3, 3, "COBOL", None], "solution": [None, "", "x"]}
    problem, solutions = read_row(tmp_path, "jsonl", solutions=odd)
    assert len(solutions) == 5
    prepared = prepare(problem, solutions, "here")
    assert [row["code"] for row in prepared.candidates] == ["print(4)"]
    assert len(prepared.rejected) == 4
    problem, solutions = read_row(tmp_path, "jsonl", solutions="print(3)")
    assert problem["set_aside"]["reason"] == "wrong_type"


def test_a_line_that_is_not_json_is_handed_over_between_good_rows(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [problem_row(0), "{oops", problem_row(1)])
    found = read(CodeContestsSource(str(path), 0))
    assert [problem["problem_id"] for problem, _ in found] == ["0_A. Sum", None, "1_A. Sum"]
    assert found[1][0]["set_aside"]["reason"] == "bad_json"
    assert prepare(*found[1], "here").rejected[0]["row"] == "here"


def test_splits_come_from_file_names_or_a_hash(tmp_path: Path) -> None:
    for name, expected in [("train", "train"), ("valid", "heldout"), ("test", "heldout")]:
        path = write_contests(tmp_path / name / f"{name}-00000-of-00001.parquet", [problem_row(0)])
        ((problem, _),) = read(CodeContestsSource(str(path), 0, heldout_fraction=0.5))
        assert problem["split"] == expected
    path = write_contests(tmp_path / "all.parquet", [problem_row(number) for number in range(400)])
    drawn = [problem["split"] for problem, _ in read(CodeContestsSource(str(path), 5))]
    assert 20 < drawn.count("heldout") < 65
    assert Counter(drawn).keys() == {"train", "heldout"}
    only = read(CodeContestsSource(str(tmp_path / "*" / "*.parquet"), 5, split="valid"))
    assert len(only) == 1


def test_parts_are_row_groups_that_can_be_read_twice_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_contests(
        tmp_path / "all.parquet", [problem_row(number) for number in range(25)], row_group_size=10
    )
    whole = read(CodeContestsSource(str(path), 0))
    monkeypatch.setattr(parquet, "SMALL_BYTES", 0)
    parts = CodeContestsSource(str(path), 0).partitions()
    assert [part.programs for part in parts] == [60, 60, 30]
    assert [row for part in parts for row in part.read()] == whole
    copies = pickle.loads(pickle.dumps(parts))
    assert [row for part in copies for row in part.read()] == whole
    assert len({part.name for part in parts}) == 3


@pytest.mark.parametrize("limit", [1, 10, 14])
def test_the_limit_counts_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    path = write_contests(
        tmp_path / "all.parquet", [problem_row(number) for number in range(25)], row_group_size=10
    )
    monkeypatch.setattr(parquet, "SMALL_BYTES", 0)
    source = CodeContestsSource(str(path), 0, limit=limit)
    assert [problem["problem_id"] for problem, _ in read(source)] == [
        f"{n}_A. Sum" for n in range(limit)
    ]
    assert sum(part.programs for part in source.partitions()) == 6 * limit


def test_a_data_set_by_name_gives_the_same_rows_as_its_files(tmp_path: Path) -> None:
    rows = [problem_row(number) for number in range(7)]
    write_contests(tmp_path / "ds" / "train-00000-of-00001.parquet", rows)
    by_name = read(CodeContestsSource(f"hf:{tmp_path / 'ds'}", 0))
    assert by_name == read(CodeContestsSource(str(tmp_path / "ds"), 0))
    assert len(by_name) == 7


def test_giant_rows_pass(tmp_path: Path) -> None:
    codes = [f"print({number})" for number in range(5000)]
    problem, solutions = read_row(
        tmp_path,
        solutions={"language": [3] * 5000, "solution": codes},
        public_tests=io_lists(("9" * (20 << 20), "1")),
    )
    assert len(solutions) == 5001
    assert len(problem["tests"][0]["input"]) == 20 << 20


@pytest.mark.parametrize(
    ("file", "problems", "right"),
    [
        ("leetcode_public", 1673, 9873),
        ("codecontests_real_public", 207, 207),
        ("codejam_public", 42, 57),
    ],
)
def test_real_rows_are_all_accepted_by_the_check(file: str, problems: int, right: int) -> None:
    found = read(CodeContestsSource(real_data("code", f"{file}.parquet"), 0))
    assert len({problem["problem_id"] for problem, _ in found}) == len(found) == problems
    assert all(check_problem(problem) is None for problem, _ in found)
    programs: Sequence[Any] = [row for _, solutions in found for row in solutions]
    assert sum(row["claimed"] for row in programs) == right
    assert {row["language"] for row in programs} == {"python"}
