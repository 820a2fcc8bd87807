"""The dataset beside the sets: what other libraries load of it, whole or not at all, always the same bytes."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from raymode.config import ModelConfig
from raymode.errors import DataError
from raymode.sets import dataset_rows
from raymode.sets.dataset import write_dataset
from raymode.store import Store
from raymode.template import prompt_ids, response_ids
from raymode.train.base import END, train_tokenizer

datasets = pytest.importorskip("datasets")
SUMMARY = {"content": "abc"}
Row = dict[str, Any]


def problem(name: str, split: str = "train", prompt: str | None = None) -> Row:
    return {
        "problem_id": name, "prompt": prompt or f"Print {name}, été.", "tests": [{"input": "", "output": name}],
        "checker": "exact", "cpu_s": 1.0, "memory_mb": 64, "source": "made", "split": split,
    }  # fmt: skip


def solution(name: str, number: int, **columns: Any) -> Row:
    row = {
        "solution_id": f"{name}/{number}", "problem_id": name, "code": f"print({number})\n", "language": "python",
        "claimed": True, "copies": 1 + number, "verdict": "AC", "message": "", "features": [],
        "cluster_id": f"c{number}",
    }  # fmt: skip
    return row | columns


def write_part(store: Store, number: int, problems: list[Row], solutions: list[Row]) -> None:
    store.write_rows(f"problems/part-{number:05d}.parquet", "problems", problems)
    store.write_rows(f"solutions/part-{number:05d}.parquet", "solutions", solutions)
    store.write_rows(f"rejected/part-{number:05d}.parquet", "rejected", [])


def small_sets(directory: Path) -> Store:
    """Two parts: p and q are trained on, h is held out, e has nothing accepted."""
    store = Store(str(directory))
    wrong = {"verdict": "WA", "cluster_id": None}
    let_through = {"claimed": False}
    write_part(
        store,
        0,
        [problem("p"), problem("e"), problem("h", "heldout")],
        [
            solution("p", 0),
            solution("p", 1, **wrong),
            solution("p", 2),
            solution("p", 3, **let_through),
            solution("e", 0, **wrong),
            solution("h", 0),
        ],
    )
    text = {"language": "text", "verdict": "reference", "code": "Yes.", "cluster_id": None}
    write_part(store, 1, [problem("q")], [solution("q", 0, **text)])
    return store


@pytest.fixture
def store(tmp_path):
    return small_sets(tmp_path / "sets")


def ids(rows: Any) -> list[str]:
    return [row["solution_id"] for row in rows]


def load(store: Store, tmp_path: Path, name: str | None = None) -> Any:
    return datasets.load_dataset(
        store.path("dataset"), name, cache_dir=str(tmp_path / f"cache-{name}")
    )


def test_only_accepted_solutions_are_rows_and_splits_are_those_of_the_problems(store, tmp_path):
    manifest = write_dataset(store, SUMMARY)
    loaded = load(store, tmp_path)
    assert ids(loaded["train"]) == ["p/0", "p/2", "q/0"]
    assert ids(loaded["heldout"]) == ["h/0"]
    assert loaded["train"][1] == {
        "prompt": "Print p, été.\n", "completion": "print(2)\n", "problem_id": "p", "solution_id": "p/2",
        "cluster_id": "c2", "copies": 3, "source": "made", "split": "train",
    }  # fmt: skip
    assert manifest["rows"]["pairs"] == {"heldout": 1, "train": 3}
    assert manifest["rows"]["sets"] == {"heldout": 1, "train": 2}


def test_messages_hold_the_prompt_as_it_is(store, tmp_path):
    write_dataset(store, SUMMARY)
    row = load(store, tmp_path, "messages")["train"][0]
    assert row["prompt"] == [{"role": "user", "content": "Print p, été."}]
    assert row["completion"] == [{"role": "assistant", "content": "print(0)\n"}]
    assert ids(load(store, tmp_path, "messages")["train"]) == ["p/0", "p/2", "q/0"]


def test_one_row_per_problem(store, tmp_path):
    write_dataset(store, SUMMARY)
    loaded = load(store, tmp_path, "sets")
    assert loaded["train"][0] == {
        "prompt": "Print p, été.", "responses": ["print(0)\n", "print(2)\n"], "solution_ids": ["p/0", "p/2"],
        "cluster_ids": ["c0", "c2"], "copies": [1, 3], "problem_id": "p", "source": "made", "split": "train",
    }  # fmt: skip
    assert [row["problem_id"] for row in loaded["train"]] == ["p", "q"]
    assert isinstance(loaded["train"].features["responses"], datasets.LargeList)  # 64-bit offsets


def test_files_load_by_name_and_from_disk_alike(store, tmp_path):
    write_dataset(store, SUMMARY)
    by_files = datasets.load_dataset(
        "parquet",
        data_files={"train": store.path("dataset/parquet/pairs/train-*.parquet")},
        cache_dir=str(tmp_path / "cache"),
    )
    from_disk = datasets.load_from_disk(store.path("dataset"))
    whole = load(store, tmp_path)
    assert sorted(from_disk) == sorted(whole) == ["heldout", "train"]
    for split in whole:
        assert from_disk[split].to_list() == whole[split].to_list()
        assert from_disk[split].features == whole[split].features
    assert by_files["train"].to_list() == whole["train"].to_list()
    assert str(from_disk["train"].split) == "train"


def test_without_arrow_there_is_no_second_copy(store, tmp_path):
    write_dataset(store, SUMMARY, arrow=False)
    assert store.names("dataset") == ["README.md", "manifest.json", "parquet"]
    assert ids(load(store, tmp_path)["train"]) == ["p/0", "p/2", "q/0"]


def files_of(store: Store) -> dict[str, bytes]:
    root = Path(store.path("dataset"))
    found = (file for file in root.rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in found}


def test_bytes_are_reproducible(store, tmp_path):
    write_dataset(store, SUMMARY)
    again = small_sets(tmp_path / "again")
    write_dataset(again, SUMMARY)
    assert files_of(store) == files_of(again) and len(files_of(store)) > 10


def break_second_part(monkeypatch: pytest.MonkeyPatch) -> None:
    write_table = Store.write_table

    def fail(self: Store, name: str, table: Any) -> None:
        if "00001-" in name:
            raise OSError("no space left")
        write_table(self, name, table)

    monkeypatch.setattr(Store, "write_table", fail)


def test_a_cut_dataset_does_not_stand_there(store, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        break_second_part(patch)
        with pytest.raises(OSError, match="space"):
            write_dataset(store, SUMMARY)
    assert not store.exists("dataset") and store.exists("dataset.partial")
    write_dataset(store, SUMMARY)
    assert ids(load(store, tmp_path)["train"]) == ["p/0", "p/2", "q/0"]
    assert not store.exists("dataset.partial")


def test_a_dataset_cut_on_an_object_store_is_not_taken_for_whole(store, monkeypatch):
    bucket = Store(store.url)
    bucket.filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(MemoryFileSystem()))
    bucket.root, bucket.is_local = "/bucket/sets", False
    pafs.copy_files(store.path(), bucket.root, destination_filesystem=bucket.filesystem)
    with monkeypatch.context() as patch:
        break_second_part(patch)
        with pytest.raises(OSError, match="space"):
            write_dataset(bucket, SUMMARY)
    assert bucket.names("dataset/parquet/pairs") and not bucket.exists("dataset/manifest.json")
    with pytest.raises(FileNotFoundError):
        datasets.load_from_disk("memory://bucket/sets/dataset")
    write_dataset(bucket, SUMMARY)
    loaded = datasets.load_from_disk("memory://bucket/sets/dataset")
    assert ids(loaded["train"]) == ["p/0", "p/2", "q/0"]


def test_a_whole_dataset_is_left_as_it_is_and_one_of_other_sets_is_replaced(store):
    first = write_dataset(store, SUMMARY)
    store.write_bytes("dataset/mark", b"")
    assert write_dataset(store, SUMMARY) == first
    assert store.exists("dataset/mark")
    assert write_dataset(store, {"content": "other"})["content"] == "other"
    assert not store.exists("dataset/mark")


def test_large_texts_are_cut_into_files_between_rows(store, tmp_path, monkeypatch):
    write_dataset(store, SUMMARY)
    expected = load(store, tmp_path)["train"].to_list()
    monkeypatch.setattr(dataset_rows, "FILE_CHARACTERS", 1)
    write_dataset(store, {"content": "cut"})
    files = store.names("dataset/parquet/pairs")
    assert [name for name in files if name.startswith("train-")] == [
        "train-00000-000.parquet", "train-00000-001.parquet", "train-00001-000.parquet",
    ]  # fmt: skip
    cut = datasets.load_dataset(store.path("dataset"), cache_dir=str(tmp_path / "cut"))
    assert cut["train"].to_list() == expected
    assert datasets.load_from_disk(store.path("dataset"))["train"].to_list() == expected


@pytest.mark.parametrize("split", ["held-out", "../up", "a/b", "parquet", "a.", "zwölf"])
def test_a_split_that_cannot_be_a_name_is_refused(tmp_path, split):
    store = Store(str(tmp_path))
    write_part(store, 0, [problem("p", split)], [solution("p", 0)])
    with pytest.raises(DataError, match=r"problem 'p': split .* letters, digits"):
        write_dataset(store, SUMMARY)
    assert not store.exists("dataset")


def test_solutions_apart_from_each_other_are_refused(tmp_path):
    store = Store(str(tmp_path))
    rows = [solution("p", 0), solution("q", 0), solution("p", 1)]
    write_part(store, 0, [problem("p"), problem("q")], rows)
    with pytest.raises(DataError, match="'p' do not stand together"):
        write_dataset(store, SUMMARY)


def many_parts(directory: Path, parts: int) -> Store:
    store = Store(str(directory))
    for number in range(parts):
        name = f"p{number}"
        rows = [solution(name, i, code=f"{i}#{os.urandom(5000).hex()}") for i in range(40)]
        write_part(store, number, [problem(name)], rows)
    return store


def test_memory_is_that_of_one_part(tmp_path):
    peaks = []
    for parts in (2, 12):
        store = many_parts(tmp_path / str(parts), parts)
        tracemalloc.start()
        write_dataset(store, SUMMARY)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks


TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}Q: {{ message['content'] }}<|answer|>"
    "{% else %}{{ message['content'] }}" + END + "{% endif %}{% endfor %}"
)


def tokenizer_with(template: str | None) -> Any:
    tokenizer = train_tokenizer(["Print p, été.\n", "print(0)\n", "Yes."], 400)
    tokenizer.chat_template = template
    return tokenizer


def trained_tokens(tokenizer: Any, store: Store) -> list[tuple[list[int], list[int]]]:
    """Return what raymode trains on: the ids before each response and the response's."""
    rows = datasets.load_from_disk(store.path("dataset"))["train"]
    prompts = {row["problem_id"]: row["prompt"] for row in store.rows("problems")}
    return [
        (
            prompt_ids(tokenizer, prompts[row["problem_id"]]),
            response_ids(tokenizer, row["completion"]),
        )
        for row in rows
    ]


def test_text_prompts_are_those_of_the_template(store):
    write_dataset(store, SUMMARY)
    tokenizer = tokenizer_with(None)
    rows = datasets.load_from_disk(store.path("dataset"))["train"]
    for row, (prompt, response) in zip(rows, trained_tokens(tokenizer, store), strict=True):
        assert tokenizer(row["prompt"]).input_ids == prompt
        assert tokenizer(row["prompt"] + row["completion"] + END).input_ids == prompt + response


def test_messages_are_those_of_the_chat_template(store, tmp_path):
    write_dataset(store, SUMMARY)
    tokenizer = tokenizer_with(TEMPLATE)
    rows = load(store, tmp_path, "messages")["train"]
    for row, (prompt, response) in zip(rows, trained_tokens(tokenizer, store), strict=True):
        whole = row["prompt"] + row["completion"]
        assert tokenizer.apply_chat_template(whole, return_dict=False) == prompt + response


@pytest.mark.parametrize(("name", "template"), [(None, None), ("messages", TEMPLATE)])
def test_trl_trains_on_what_raymode_trains_on(store, tmp_path, name, template):
    trl = pytest.importorskip("trl", reason="trl is not installed")
    from raymode.train.base import tiny_llama

    write_dataset(store, SUMMARY)
    tokenizer = tokenizer_with(template)
    model = tiny_llama(ModelConfig(vocabulary=400, width=64, layers=1), tokenizer, 0)
    settings = trl.SFTConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, max_length=None,
                             report_to=[], max_steps=1)  # fmt: skip
    trainer = trl.SFTTrainer(
        model,
        settings,
        train_dataset=load(store, tmp_path, name)["train"],
        processing_class=tokenizer,
    )
    expected = trained_tokens(tokenizer, store)
    for row, (prompt, response) in zip(trainer.train_dataset, expected, strict=True):
        assert list(row["input_ids"]) == prompt + response
        trained = [each for each in row["labels"] if each != -100] if "labels" in row else response
        assert trained == response
    trainer.train()
