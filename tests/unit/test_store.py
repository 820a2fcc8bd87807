"""Storage: whole files or none, clear errors, reproducible bytes, object storage."""

import os
import pickle
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from raymode.errors import DataError, StorageError
from raymode.schema import SCHEMAS, table_of
from raymode.store import Store, content_hash, table_hash

GROUP = {
    "prompt_rank": 0, "problem_id": "p", "prompt": "é", "response_rank": 0,
    "solution_id": "s", "response": "x", "cluster_id": None,
    "right": True, "mode": None,
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "run"))


@pytest.mark.skipif(os.geteuid() != 0, reason="to mount a small disk takes root")
def test_a_full_disk_is_said_in_one_line_and_leaves_no_half_file(tmp_path):
    place = str(tmp_path / "disk")
    os.mkdir(place)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place])
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(StorageError, match=r"disk/a/b: no space is left on the disk"):
            Store(place).write_bytes("a/b", os.urandom(200_000))
        assert os.listdir(f"{place}/a") == []
    finally:
        subprocess.run(["umount", place], check=True)


def test_rows_come_back_and_bytes_are_reproducible(store):
    store.write_rows("a.parquet", "groups", [GROUP])
    store.write_rows("b.parquet", "groups", [GROUP])
    assert store.rows("a.parquet") == [GROUP]
    assert store.read_bytes("a.parquet") == store.read_bytes("b.parquet")


def test_parts_of_a_directory_are_one_table_in_order(store):
    for number in (1, 0, 2):
        store.write_rows(
            f"groups/part-{number:05d}.parquet", "groups", [{**GROUP, "prompt_rank": number}]
        )
    assert [row["prompt_rank"] for row in store.rows("groups")] == [0, 1, 2]


def test_a_failed_write_leaves_the_old_file_and_no_rest(store):
    store.write_bytes("x", b"old")
    with pytest.raises(RuntimeError, match="cut"), store._atomic("x") as target:
        Path(target).write_bytes(b"half")
        raise RuntimeError("cut")
    assert store.read_bytes("x") == b"old"
    assert os.listdir(store.path()) == ["x"]


def test_a_copied_directory_is_whole_only_with_its_manifest(store, tmp_path):
    local = tmp_path / "checkpoint"
    (local / "inner").mkdir(parents=True)
    (local / "inner" / "w").write_bytes(b"1")
    store.upload(local, "checkpoint")
    assert store.download("checkpoint", tmp_path / "unused") == Path(store.path("checkpoint"))
    assert store.read_json("checkpoint/manifest.json")["content"] == content_hash(
        local, ["inner/w"]
    )
    store.delete("checkpoint/manifest.json")
    with pytest.raises(StorageError, match=r"manifest\.json"):
        store.download("checkpoint", tmp_path / "unused")


@pytest.mark.parametrize("name", ["nothing.parquet", "nothing"])
def test_a_missing_table_is_named(store, name):
    with pytest.raises(StorageError, match=f"run/{name}: there is no such table"):
        store.read_table(name)


def test_a_broken_table_is_named(store):
    store.write_bytes("t.parquet", b"not parquet")
    with pytest.raises(StorageError, match=r"t\.parquet: not a readable Parquet file"):
        store.read_table("t.parquet")


def test_storage_that_cannot_be_written_is_found_out_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Store(str(tmp_path / "file" / "run")).probe()


def test_an_unknown_scheme_is_refused():
    with pytest.raises(StorageError, match="not a usable location"):
        Store("nfs4://host/x")


def test_a_store_survives_pickling(store):
    assert pickle.loads(pickle.dumps(store)).path("x") == store.path("x")


def test_table_hash_ignores_chunks_and_sees_values():
    rows = [{**GROUP, "prompt_rank": rank} for rank in range(4)]
    whole = table_of("groups", rows)
    parts = pa.concat_tables([table_of("groups", rows[:1]), table_of("groups", rows[1:])])
    assert table_hash(whole) == table_hash(parts)
    assert table_hash(whole) != table_hash(
        table_of("groups", [*rows[:3], {**rows[3], "prompt": "other"}])
    )


def test_a_row_that_does_not_fit_is_named():
    with pytest.raises(DataError, match="row 1: column 'prompt' is missing"):
        table_of("groups", [GROUP, {**GROUP, "prompt": None}])
    with pytest.raises(DataError, match="unknown column 'promt'"):
        table_of("groups", [{**GROUP, "promt": 1}])
    with pytest.raises(DataError, match="wrong type"):
        table_of("groups", [{**GROUP, "prompt_rank": "first"}])


def test_every_table_holds_no_rows_too():
    for name in SCHEMAS:
        assert table_of(name, []).num_rows == 0


def test_what_killed_writers_left_is_removed_once_it_is_old(tmp_path):
    store = Store(str(tmp_path))
    store.write_json("runs/a/run.json", {})
    left = [tmp_path / "runs/a/.run.json.abc.partial", tmp_path / ".probe-abc"]
    young = tmp_path / ".run.json.def.partial"
    for place in [*left, young]:
        place.write_text("half")
    for place in left:
        os.utime(place, (0, 0))
    store.remove_partials()
    assert [place.exists() for place in left] == [False, False]
    assert young.exists() and store.exists("runs/a/run.json")
