"""Listing files, and slices of Parquet, JSON Lines and data sets: all rows, each once, little memory."""

import gzip
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources_data import problem_row, real_data, write_contests, write_lines

from raymode.errors import ConfigError, DataError, StorageError
from raymode.sources import jsonl, parquet
from raymode.sources.files import list_files, slices
from raymode.sources.slices import BadRow, Slice, choose_split, first_rows, said_split


def rows(parts: Sequence[Slice], columns: Sequence[str] = ("n",)) -> list[Any]:
    return [row for part in parts for row in part.rows(columns)]


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"n": number, "text": "x" * (number % 7)} for number in range(count)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/train-1.jsonl", "a/train-0.jsonl", "a/test-0.jsonl", "c.jsonl.gz"):
        write_lines(tmp_path / name, [{"n": name}])
    for name in ("README.md", "_SUCCESS.jsonl", ".hidden/x.jsonl"):
        write_lines(tmp_path / name, [{"n": name}])
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["a/test-0.jsonl", "a/train-0.jsonl", "b/train-1.jsonl", "c.jsonl.gz"]),
        ("/c.jsonl.gz", ["c.jsonl.gz"]),
        ("/*", ["c.jsonl.gz"]),
        ("/*/train-?.jsonl", ["a/train-0.jsonl", "b/train-1.jsonl"]),
        ("/**/*.jsonl", ["a/test-0.jsonl", "a/train-0.jsonl", "b/train-1.jsonl"]),
        ("/**/[ac]*", ["c.jsonl.gz"]),
        ("/a/*", ["test-0.jsonl", "train-0.jsonl"]),
    ],
)
def test_files_directories_and_globs(tree: Path, pattern: str, expected: list[str]) -> None:
    found = list_files(f"{tree}{pattern}")
    assert [file.name for file in found] == expected
    assert all(
        Path(file.url).is_absolute() and Path(file.url).stat().st_size == file.size
        for file in found
    )


def test_a_relative_path_means_the_same_in_another_directory(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    parts = slices("a") + slices("b/*.jsonl")
    monkeypatch.chdir("/")
    assert [row["n"] for row in rows(parts)] == [
        "a/test-0.jsonl",
        "a/train-0.jsonl",
        "b/train-1.jsonl",
    ]


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "odd[1].jsonl", [{"n": 1}])
    assert rows(slices(str(path))) == [{"n": 1}]


def test_a_split_is_chosen_by_file_name(tree: Path) -> None:
    parts = slices(str(tree), "train")
    assert [(part.name, part.split) for part in parts] == [
        ("a/train-0.jsonl", "train"),
        ("b/train-1.jsonl", "train"),
    ]
    with pytest.raises(
        ConfigError, match=r"read\.split='valid': no file .* found: a/test-0\.jsonl"
    ):
        slices(str(tree), "valid")


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", ConfigError, "path: is empty"),
        ("{}/nothing", StorageError, "nothing: there is no such file or directory"),
        ("{}/nothing/*.jsonl", StorageError, "there is no directory .*nothing"),
        ("{}/*.parquet", DataError, r"no files that match; expected .*; found: none"),
        ("{}/README.md", DataError, r"README.md: unknown format; expected a name in \.parquet"),
        ("magic://somewhere", StorageError, r"^path magic://somewhere: not a usable location"),
    ],
)  # fmt: skip
def test_errors_of_a_path_are_one_line(
    tree: Path, path: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        slices(path.format(tree))
    assert "\n" not in str(caught.value)


def test_a_directory_without_data_shows_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(DataError, match=r"no files that match; .* found: notes\.md"):
        slices(str(tmp_path))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="all its files are empty"):
        slices(str(tmp_path))


def test_a_slice_of_parquet_is_a_row_group_or_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n.parquet"
    pq.write_table(pa.Table.from_pylist(numbers(100)), path, row_group_size=30)
    assert [(part.name, part.count) for part in slices(str(path))] == [("n.parquet", 100)]
    monkeypatch.setattr(parquet, "SMALL_BYTES", 0)
    parts = slices(str(path))
    assert [part.count for part in parts] == [30, 30, 30, 10]
    assert len({part.name for part in parts}) == 4
    assert rows(parts) == [{"n": number} for number in range(100)]
    assert rows(parts, ("text", "n", "absent"))[8] == {"n": 8, "text": "x"}
    assert rows(pickle.loads(pickle.dumps(parts))) == rows(parts)
    assert sum(part.values(("n",)) for part in parts) == 100


def test_sizes_of_parquet_count_list_elements_but_not_empty_lists(tmp_path: Path) -> None:
    filled = {"language": [3, 3, 3], "solution": ["a", "b", "c"]}
    empty: dict[str, list[Any]] = {"language": [], "solution": []}
    path = write_contests(
        tmp_path / "c.parquet",
        [problem_row(0, solutions=filled), problem_row(1, solutions=empty)],
    )
    (part,) = slices(str(path))
    assert part.values(("solutions",)) == 3
    assert part.values(("solutions", "incorrect_solutions")) == 5
    assert 0 < part.bytes(("solutions",)) < part.bytes(part.columns)


def test_broken_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"PAR1 nothing here")
    with pytest.raises(DataError, match=r"^bad\.parquet: not a readable Parquet file"):
        slices(str(path))
    text = "".join(chr(33 + number % 90) for number in range(200_000))
    pq.write_table(
        pa.table({"n": [text[number:] for number in range(20)]}), path, use_dictionary=False
    )
    part = slices(str(path))[0]
    data = bytearray(path.read_bytes())
    data[100:50_000] = bytes(49_900)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"^bad\.parquet.*: not a readable Parquet file"):
        rows([part])


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("ending", ["\n", ""])
def test_ranges_of_bytes_hold_every_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, ending: str
) -> None:
    path = write_lines(tmp_path / "n.jsonl", [*numbers(50), "", "   ", {"n": "é" * 99}])
    path.write_bytes(path.read_bytes().rstrip(b"\n") + ending.encode())
    monkeypatch.setattr(jsonl, "CHUNK_BYTES", chunk)
    parts = slices(str(path))
    assert len(parts) == -(-path.stat().st_size // chunk)
    assert [row["n"] for row in rows(parts)] == [*range(50), "é" * 99]
    assert len({part.name for part in parts}) == len(parts)
    # Each line is read by the slice in which it begins, and by no other.
    assert sum(len(rows([part])) for part in parts) == 51


def test_gzipped_lines_are_one_slice_and_a_cut_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "n.jsonl.gz", numbers(5000))
    monkeypatch.setattr(jsonl, "CHUNK_BYTES", 10)
    parts = slices(str(path))
    assert len(parts) == 1
    assert [row["n"] for row in rows(parts)] == list(range(5000))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"^n\.jsonl\.gz: cannot be read"):
        rows(parts)
    path.write_bytes(gzip.compress(b'{"n": 0}\n') + gzip.compress(b'{"n": 1}\n'))
    assert rows(slices(str(path))) == [{"n": 0}, {"n": 1}]


def test_lines_that_are_no_objects_are_bad_rows_between_good_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = "[" * 100_000
    lines = ['\ufeff{"n": 0}', '{"n": 1', "[1]", deep, '{"n": "' + "y" * 300_000 + '"}', {"n": 2}]
    path = write_lines(tmp_path / "n.jsonl", lines)
    with path.open("ab") as stream:
        stream.write(b'{"n": "\xff"}\n')
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 200_000)
    found = rows(slices(str(path)))
    assert [row for row in found if not isinstance(row, BadRow)] == [{"n": 0}, {"n": 2}]
    bad = [row for row in found if isinstance(row, BadRow)]
    assert [row.reason for row in bad] == ["bad_json"] * 3 + ["too_long", "bad_json"]
    assert bad[0].detail.startswith("n.jsonl, byte 12: ")
    assert bad[1].detail == "n.jsonl, byte 20: expected an object, found list"


def test_a_file_that_is_not_json_lines_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "list.json", ["[", '"a",', '"b"', "]"])
    with pytest.raises(DataError, match=r"list\.json: none of its first 4 lines is a JSON object"):
        slices(str(path))


def test_missing_columns_are_named_with_what_was_found(tmp_path: Path) -> None:
    (part,) = slices(str(write_lines(tmp_path / "n.jsonl", numbers(3))))
    with pytest.raises(DataError, match=r"^n\.jsonl: column 'a', 'b' is missing; found: n, text$"):
        part.require(("n", "a", "b"))


@pytest.mark.parametrize("limit", [1, 30, 31, 100, 1000])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_first_rows_are_cut_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, suffix: str
) -> None:
    path = tmp_path / f"n.{suffix}"
    if suffix == "jsonl":
        write_lines(path, numbers(100))
    else:
        pq.write_table(pa.Table.from_pylist(numbers(100)), path, row_group_size=30)
    monkeypatch.setattr(jsonl, "CHUNK_BYTES", 300)
    monkeypatch.setattr(parquet, "SMALL_BYTES", 0)
    parts = first_rows(slices(str(path)), limit)
    assert [row["n"] for row in rows(parts)] == list(range(min(limit, 100)))
    assert rows(first_rows(slices(str(path)), 0)) == rows(slices(str(path)))


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="tells a process its peak memory"
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A reader in a process of its own: four times the rows in one row group, nearly the same peak."""
    program = (
        "import sys\n"
        "from raymode.sources.code_contests import CodeContestsSource as S\n"
        "n = sum(len(sols) for p in S(sys.argv[1], 0).partitions() for _, sols in p.read())\n"
        "print(n, next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    )
    codes = [f"# {number} " + "word " * 200 for number in range(500)]
    peaks = []
    for copies in (1, 4):
        row = problem_row(0, solutions={"language": [3] * 500, "solution": codes})
        path = write_contests(tmp_path / f"{copies}.parquet", [row] * 50 * copies, 10_000)
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
        )
        count, peak = map(int, done.stdout.split())
        assert count == 50 * copies * 501
        peaks.append(peak >> 10)
    assert peaks[1] - peaks[0] < 25, peaks  # MiB; all rows at once would be 75 more


def test_hub_shards_hold_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        rows_ = [problem_row(10 * number + i) for i in range(4)]
        write_contests(tmp_path / "ds" / "data" / f"train-{number}.parquet", rows_)
    write_contests(tmp_path / "ds" / "data" / "test-0.parquet", [problem_row(99)])
    path = f"hf:{tmp_path / 'ds'}"
    parts = slices(path)
    assert [(part.split, len(rows([part], ("name",)))) for part in parts] == [("train", 4)] * 3 + [
        ("test", 1)
    ]
    assert len({row["name"] for row in rows(parts, ("name",))}) == 13
    assert set(rows(parts, ("name", "solutions"))[0]) == {"name", "solutions"}
    assert {part.split for part in slices(path, "test")} == {"test"}
    assert len(rows(first_rows(parts, 5), ("name",))) == 5
    with pytest.raises(ConfigError, match=r"no such split; found: train, test"):
        slices(path, "dev")
    with pytest.raises(DataError, match=r"^hf:.*: .*nothing"):
        slices(f"{path}:nothing")


def test_a_hub_data_set_of_json_lines(tmp_path: Path) -> None:
    write_lines(tmp_path / "ds" / "train.jsonl", numbers(9))
    parts = slices(f"hf:{tmp_path / 'ds'}")
    assert rows(parts) == [{"n": number} for number in range(9)]
    assert parts[0].columns == ["n", "text"]


def test_a_hub_that_cannot_be_reached_is_said_in_one_line() -> None:
    program = (
        "from raymode.errors import StorageError\n"
        "from raymode.sources.files import slices\n"
        "try: slices('hf:nobody/nothing')\n"
        "except StorageError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("hf:nobody/nothing: the Hugging Face hub cannot be reached")
    assert done.stdout.count("\n") == 1


def test_data_sets_are_imported_only_for_the_hub(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "n.jsonl", numbers(3))
    program = (
        "import sys\nfrom raymode.sources.files import slices\n"
        f"list(slices({str(path)!r})[0].rows(('n',)))\nprint('datasets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-00000-of-00039.parquet", "train"), ("data/valid.jsonl", "valid"), ("protoqa_crowd_dev.jsonl", "valid"),
        ("validation", "valid"), ("test_sft", "test"), ("held_out.parquet", "heldout"), ("test_data/train-0", "train"),
        ("trained.jsonl", ""), ("contest.parquet", ""), ("leetcode_public.parquet", ""),
    ],
)  # fmt: skip
def test_what_a_name_says_of_its_split(name: str, expected: str) -> None:
    assert said_split(name) == expected


def test_splits_are_said_or_drawn_by_a_seeded_hash() -> None:
    assert choose_split(("dev", "train"), "x", 0, 0.0) == "heldout"
    assert choose_split((None, "train"), "x", 0, 1.0) == "train"
    assert choose_split(("heldout_families", "train"), "x", 0, 1.0) == "heldout_families"
    drawn = [choose_split((None, ""), str(number), 3, 0.25) for number in range(2000)]
    assert 0.22 < drawn.count("heldout") / 2000 < 0.28
    assert drawn == [choose_split(("public", ""), str(number), 3, 0.25) for number in range(2000)]
    assert drawn != [choose_split((None, ""), str(number), 4, 0.25) for number in range(2000)]


def test_real_files_are_listed() -> None:
    names = [file.name for file in list_files(real_data("code"))]
    assert "leetcode_public.parquet" in names and "exercism_public.jsonl.gz" in names
