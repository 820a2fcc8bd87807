"""Set tables as a source: the problems and solutions that were written come back, claims and splits kept."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from raymode.errors import ConfigError, DataError, StorageError
from raymode.sets.records import prepare
from raymode.sources.tables import TablesSource
from raymode.store import Store


def problem(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "problem_id": f"p{number}",
        "prompt": f"Prompt {number}",
        "tests": [{"input": "1", "output": "2"}],
        "checker": "tokens",
        "cpu_s": 1.0,
        "memory_mb": 64,
        "source": "somewhere",
        "family": None,
        "topic": "sums",
        "split": "heldout_families",
    } | changes


def solution(number: int, index: int) -> dict[str, Any]:
    return {
        "solution_id": f"p{number}/{index}",
        "problem_id": f"p{number}",
        "code": f"print({index})",
        "language": "python",
        "label": f"way {index}" if index else None,
        "claimed": index != 1,
        "copies": index + 1,
        "verdict": "AC",
        "failing_test": None,
        "message": "",
        "cluster_id": "c",
        "features": ["loop"],
        "reward": 1.0,
    }


def write(root: Path, problems: list[list[int]], solutions: list[list[tuple[int, int]]]) -> str:
    """Write one file of both tables per item."""
    store = Store(str(root))
    for part, numbers in enumerate(problems):
        store.write_rows(f"problems/part-{part:05d}.parquet", "problems", map(problem, numbers))
    for part, pairs in enumerate(solutions):
        rows = [solution(number, index) for number, index in pairs]
        store.write_rows(f"solutions/part-{part:05d}.parquet", "solutions", rows)
    return str(root)


def read(source: TablesSource) -> list[Any]:
    return [row for part in source.partitions() for row in part.read()]


PROBLEMS = [[0, 1, 2], [3], []]
SOLUTIONS = [[(0, 0), (0, 1), (2, 0)], [(3, 0), (3, 1), (3, 2)], []]


def test_problems_come_with_their_solutions_and_claims(tmp_path: Path) -> None:
    found = read(TablesSource(write(tmp_path, PROBLEMS, SOLUTIONS)))
    assert [row for row, _ in found] == [problem(number) for number in range(4)]
    expected = [[0, 1], [], [0], [0, 1, 2]]
    columns = ("problem_id", "code", "language", "label", "claimed", "copies")
    for number, indices in enumerate(expected):
        rows = [solution(number, index) for index in indices]
        assert found[number][1] == [{name: row[name] for name in columns} for row in rows]
    prepared = prepare(*found[3], "here")
    assert [row["claimed"] for row in prepared.candidates] == [True, False, True]


def test_parts_are_files_and_can_be_read_twice_elsewhere(tmp_path: Path) -> None:
    parts = TablesSource(write(tmp_path, PROBLEMS, SOLUTIONS)).partitions()
    assert [part.programs for part in parts] == [3, 3, 0]
    assert len({part.name for part in parts}) == 3
    copies = pickle.loads(pickle.dumps(parts))
    assert [list(part.read()) for part in copies] == [list(part.read()) for part in parts]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_the_limit_counts_problems(tmp_path: Path, limit: int) -> None:
    source = TablesSource(write(tmp_path, PROBLEMS, SOLUTIONS), limit)
    assert [row["problem_id"] for row, _ in read(source)] == [f"p{n}" for n in range(min(limit, 4))]


def test_text_sets_are_tables_like_others(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    text = problem(0, tests=[], checker="none", cpu_s=0.0, memory_mb=0)
    answer = solution(0, 0) | {"language": "text", "code": "An answer."}
    store.write_rows("problems/part-00000.parquet", "problems", [text])
    store.write_rows("solutions/part-00000.parquet", "solutions", [answer])
    ((found, solutions),) = read(TablesSource(str(tmp_path)))
    assert found == text
    assert (solutions[0]["language"], solutions[0]["code"]) == ("text", "An answer.")


def test_solutions_without_a_problem_are_handed_over(tmp_path: Path) -> None:
    path = write(tmp_path, [[0, 1]], [[(0, 0), (1, 0), (7, 0), (7, 1)]])
    found = read(TablesSource(path))
    assert [len(solutions) for _, solutions in found] == [1, 1, 2]
    prepared = prepare(*found[2], "here")
    assert found[2][0]["set_aside"]["reason"] == "no_problem"
    assert prepared.problem is None and len(prepared.rejected) == 3


def test_solutions_in_another_order_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [[0, 1]], [[(1, 0), (0, 0)]])
    with pytest.raises(DataError, match=r"part-00000\.parquet: problem 'p0' is not in the order"):
        read(TablesSource(path))


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="path: is empty"):
        TablesSource("").partitions()
    with pytest.raises(StorageError, match="there is no such directory"):
        TablesSource(str(tmp_path / "nothing")).partitions()
    with pytest.raises(StorageError, match=r"^path magic://x: not a usable location"):
        TablesSource("magic://x").partitions()
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(DataError, match=r"expected set tables, .* found: notes\.md"):
        TablesSource(str(tmp_path)).partitions()
    with pytest.raises(StorageError, match="there is no such directory"):
        TablesSource(str(tmp_path / "notes.md")).partitions()
    path = write(tmp_path / "cut", [[0], [1]], [[(0, 0)]])
    with pytest.raises(DataError, match=r"part-00001\.parquet stands in only one"):
        TablesSource(path).partitions()
    other = Store(str(tmp_path / "other"))
    for table in ("problems", "solutions"):
        other.write_rows(f"{table}/part-00000.parquet", "solutions", [solution(0, 0)])
    with pytest.raises(DataError, match=r"^problems/part-00000\.parquet: column 'prompt', 'tests'"):
        TablesSource(str(tmp_path / "other")).partitions()
