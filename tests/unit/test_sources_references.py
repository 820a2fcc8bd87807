"""Text with many references: every shape says the same, and each prompt is in exactly one part with all its responses."""

import json
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources_data import real_data, write_lines

from raymode.errors import ConfigError, DataError
from raymode.schema import PROBLEMS
from raymode.sources import jsonl, parquet
from raymode.sources.references import ReferencesSource
from raymode.sources.shapes import render


def read(source: ReferencesSource) -> list[Any]:
    return [row for part in source.partitions() for row in part.read()]


def sets(found: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the responses of each prompt."""
    return {problem["prompt"]: [row["code"] for row in solutions] for problem, solutions in found}


def read_rows(tmp_path: Path, rows: Sequence[Any], **settings: Any) -> list[Any]:
    path = write_lines(tmp_path / "rows.jsonl", rows)
    return read(ReferencesSource(str(path), 0, **settings))


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def part(text: str) -> list[Any]:
    return [{"type": "text", "text": text}]


EXPECTED = {"Name a fruit.": ["apple", "pear", "fig"], "Name a bird.": ["owl"]}
FLAT = [(prompt, text) for prompt, texts in EXPECTED.items() for text in texts]
SHAPES: dict[str, list[dict[str, Any]]] = {
    "pairs": [{"prompt": prompt, "completion": text} for prompt, text in FLAT],
    "lists": [{"prompt": prompt, "references": texts} for prompt, texts in EXPECTED.items()],
    "questions": [{"question": prompt, "answers": texts} for prompt, texts in EXPECTED.items()],
    "chats": [{"messages": [turn("user", prompt), turn("assistant", text)]} for prompt, text in FLAT],
    "chat pairs": [
        {"prompt": [turn("user", prompt)], "completion": [turn("assistant", text)]} for prompt, text in FLAT
    ],
    "lists of chats": [
        {"prompt": [turn("user", prompt)], "completions": [[turn("assistant", text)] for text in texts]}
        for prompt, texts in EXPECTED.items()
    ],
    "parts": [
        {"messages": [turn("user", part(prompt)), turn("assistant", part(text))]}
        for prompt, text in FLAT
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "parquet", "hub"])
def test_every_shape_says_the_same(tmp_path: Path, shape: str, suffix: str) -> None:
    path = tmp_path / "ds" / f"rows.{'parquet' if suffix == 'hub' else suffix}"
    path.parent.mkdir()
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(SHAPES[shape]), path)
    else:
        write_lines(path, SHAPES[shape])
    name = f"hf:{path.parent}" if suffix == "hub" else str(path)
    found = read(ReferencesSource(name, 0))
    assert sets(found) == EXPECTED
    problem, solutions = found[0]
    assert set(problem) == set(PROBLEMS.names)
    id = problem["problem_id"]
    assert problem == {
        "problem_id": id, "prompt": "Name a fruit.", "tests": [], "checker": "none", "cpu_s": 0.0, "memory_mb": 0,
        "source": "references", "family": None, "topic": None, "split": "train",
    }  # fmt: skip
    assert id == "text-ae53951fa695da1b"  # stable: a hash of the prompt
    assert solutions[0] == {
        "problem_id": id, "code": "apple", "language": "text", "label": None, "claimed": True, "copies": 1,
    }  # fmt: skip


def test_the_turns_before_the_last_are_the_prompt(tmp_path: Path) -> None:
    turns = [
        turn("system", "Be brief."),
        turn("user", "Hi"),
        turn("assistant", "Yes?"),
        turn("user", "Name a fruit."),
    ]
    text = "System: Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Name a fruit."
    assert render(turns) == text
    assert render(turns[1:2]) == "Hi"
    found = read_rows(tmp_path, [{"messages": [*turns, turn("assistant", "fig")], "prompt": "Hi"}])
    assert sets(found) == {text: ["fig"]}


@pytest.mark.parametrize("bytes_", [1 << 20, 700, 100])
def test_scattered_pairs_meet_in_exactly_one_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_: int
) -> None:
    rows = [
        {"prompt": f"prompt {number % 40}", "completion": f"response {number}"}
        for number in range(300)
    ]
    random.Random(0).shuffle(rows)
    write_lines(tmp_path / "a.jsonl", rows[:100])
    write_lines(tmp_path / "b.jsonl.gz", rows[100:200])
    pq.write_table(pa.Table.from_pylist(rows[200:]), tmp_path / "c.parquet", row_group_size=30)
    monkeypatch.setattr(jsonl, "CHUNK_BYTES", 500)
    monkeypatch.setattr(parquet, "SMALL_BYTES", 0)
    expected: dict[str, list[str]] = {}
    for row in rows:
        expected.setdefault(row["prompt"], []).append(row["completion"])
    source = ReferencesSource(str(tmp_path), 0, bucket_bytes=bytes_)
    parts = pickle.loads(pickle.dumps(source.partitions()))
    assert (len(parts) == 1) == (bytes_ == 1 << 20)
    assert len({part.name for part in parts}) == len(parts)
    found = [row for part in parts for row in part.read()]
    assert len(found) == 40
    assert sets(found) == expected
    assert [list(part.read()) for part in parts] == [list(part.read()) for part in parts]
    assert 150 < sum(part.programs for part in parts) < 1200


def test_ids_of_lists_are_kept_and_those_of_pairs_only_if_named(tmp_path: Path) -> None:
    lists = [
        {"id": 7, "prompt": "a", "references": ["x"]},
        {"id": None, "prompt": "b", "references": []},
    ]
    found = read_rows(tmp_path, lists)
    assert [problem["problem_id"] for problem, _ in found] == ["7", "text-3e23e8160039594a"]
    hashes = read_rows(tmp_path, lists, id="prompt")
    assert hashes[0][0]["problem_id"] == "text-ca978112ca1bbdca"
    pairs = [
        {"id": number, "task": "t", "prompt": "a", "completion": str(number)} for number in range(3)
    ]
    ((problem, solutions),) = read_rows(tmp_path, pairs)
    assert problem["problem_id"] == "text-ca978112ca1bbdca" and len(solutions) == 3
    ((problem, solutions),) = read_rows(tmp_path, pairs, id="task")
    assert problem["problem_id"] == "t"
    assert {row["problem_id"] for row in solutions} == {"t"}
    found = read_rows(tmp_path, lists, id="id")
    assert found[0][0]["set_aside"]["reason"] == "no_problem_id"


def test_one_id_for_two_prompts_is_refused(tmp_path: Path) -> None:
    rows = [{"id": "same", "prompt": prompt, "references": ["x"]} for prompt in "ab"]
    with pytest.raises(
        DataError, match=r"id 'same' belongs to two prompts, 'a' and 'b'; set references\.id"
    ):
        read_rows(tmp_path, rows)


def test_labels_come_from_a_column_a_list_or_clusters(tmp_path: Path) -> None:
    def labels(rows: Sequence[Any], **settings: Any) -> list[Any]:
        ((_, solutions),) = read_rows(tmp_path, rows, **settings)
        return [(row["code"], row["label"], row["copies"]) for row in solutions]

    pairs = [
        {"prompt": "a", "completion": "x", "label": "one"},
        {"prompt": "a", "completion": "y", "label": 2},
    ]
    assert labels(pairs) == [("x", "one", 1), ("y", "2", 1)]
    lists = [
        {"prompt": "a", "references": ["x", "y"], "kinds": ["one", None], "label": "of the prompt"}
    ]
    assert labels(lists) == [("x", None, 1), ("y", None, 1)]
    assert labels(lists, label="kinds") == [("x", "one", 1), ("y", None, 1)]
    clusters = [
        {"id": "c0", "count": 9, "answers": ["z", "x"]},
        {"id": "c1", "count": 1, "answers": ["w"]},
    ]
    grouped = [
        {"prompt": "a", "references": ["x", "y", "w"], "counts": [5, 0, 1], "clusters": clusters}
    ]
    assert labels(grouped) == [("x", "c0", 5), ("y", None, 1), ("w", "c1", 1)]


def test_other_columns_of_the_row(tmp_path: Path) -> None:
    row = {
        "prompt": "a",
        "references": ["x"],
        "source": "ProtoQA",
        "category": "food",
        "split": "dev",
    }
    ((problem, _),) = read_rows(tmp_path, [row])
    assert (problem["source"], problem["topic"], problem["split"]) == ("ProtoQA", "food", "heldout")


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows = [{"prompt": "no", "ask": "a", "say": ["x"], "completion": "no"}]
    assert sets(read_rows(tmp_path, rows, prompt="ask", response="say")) == {"a": ["x"]}
    chat = [{"talk": [turn("user", "a"), turn("assistant", "x")], "messages": []}]
    assert sets(read_rows(tmp_path, chat, prompt="talk", response="talk")) == {"a": ["x"]}


@pytest.mark.parametrize(
    ("row", "settings", "error", "message"),
    [
        ({"text": "a"}, {}, DataError, r"rows\.jsonl: no column is known to hold a prompt; .* one of: text"),
        ({"prompt": "a"}, {}, DataError, r"hold a response; set references\.response to one of: prompt"),
        ({"prompt": "a", "answer": "b", "output": "c"}, {}, ConfigError, r"references\.response: .*answer and output"),
        ({"prompt": "a", "answer": "b"}, {"prompt": "ask"}, DataError, r"column 'ask' is missing; found: prompt, answer"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_told_are_named(
    tmp_path: Path, row: Any, settings: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_rows(tmp_path, [row], **settings)


def test_bad_rows_are_handed_over_once_and_good_ones_go_on(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"prompt": "a", "references": ["x", None, 3]},
        {"prompt": None, "references": ["x"]},
        "{oops",
        {"prompt": " ", "references": ["x"]},
        {"prompt": "b", "references": ["x"], "counts": [1, 2]},
        {"references": ["x"]},
        {"prompt": "c", "references": None},
        {"prompt": "d", "references": []},
    ]
    for bytes_ in (1 << 20, 20):
        found = read_rows(tmp_path, rows, bucket_bytes=bytes_)
        reasons = sorted(
            problem["set_aside"]["reason"] for problem, _ in found if "set_aside" in problem
        )
        assert reasons == ["bad_json", "no_prompt", "no_prompt", "no_prompt", "wrong_type"]
        good = [row for row in found if "set_aside" not in row[0]]
        assert sets(good) == {"a": ["x", None, 3], "c": [None], "d": []}


@pytest.mark.parametrize(
    "messages",
    [None, [], "text", [turn("user", "a")], [turn("assistant", "x")],
     [turn("user", [{"type": "image"}]), turn("assistant", "x")], [{"from": "human", "value": "a"}]],
)  # fmt: skip
def test_chats_without_a_prompt_and_a_response_are_handed_over(
    tmp_path: Path, messages: Any
) -> None:
    good = {"messages": [turn("user", "a"), turn("assistant", "x")]}
    found = read_rows(tmp_path, [{"messages": messages}, good])
    assert [problem.get("set_aside", {}).get("reason") for problem, _ in found] in (
        ["no_response", None], ["no_prompt", None],
    )  # fmt: skip


@pytest.mark.parametrize("bytes_", [1 << 20, 300])
def test_the_limit_counts_prompts_and_keeps_all_their_responses(
    tmp_path: Path, bytes_: int
) -> None:
    rows = [
        {"prompt": f"prompt {number % 50}", "completion": f"response {number}"}
        for number in range(150)
    ]
    found = read_rows(tmp_path, rows, limit=12, bucket_bytes=bytes_)
    assert len(found) <= 12 and (len(found) == 12 or bytes_ == 300)
    assert all(len(solutions) == 3 for _, solutions in found)


def test_real_text_is_read_as_it_stands() -> None:
    found = read(ReferencesSource(real_data("text", "*.jsonl"), 0))
    problems = {problem["problem_id"]: (problem, solutions) for problem, solutions in found}
    assert len(problems) == len(found) == 1385
    lines = [
        json.loads(line)
        for name in ("e2e_dev", "protoqa_crowd_dev", "noveltybench_curated_prompts")
        for line in Path(real_data("text", f"{name}.jsonl")).read_text().splitlines()
    ]
    for line in lines:
        problem, solutions = problems[line["id"]]
        assert (problem["prompt"], problem["source"]) == (line["prompt"], line["source"])
        assert [row["code"] for row in solutions] == line["references"]
        assert problem["split"] == "heldout" or line.get("split") != "dev"
        for cluster in line.get("clusters", []):
            members = {row["code"] for row in solutions if row["label"] == cluster["id"]}
            assert members == set(cluster["answers"]) & set(line["references"])
