"""The base model's copy on a machine: fetched once, whole, and only what its manifest tells."""

import json

import pytest

from raymode.errors import StorageError
from raymode.store import Store
from raymode.train.fetched import fetched


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A stored model of one file, seen as an object store would show it, and the reads of its files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"12345")
    Store(str(tmp_path / "kept")).upload(tmp_path / "model", "base")
    reads, begin = [], Store.__init__

    def far(self, url):
        begin(self, url)
        self.is_local = False

    monkeypatch.setattr(Store, "__init__", far)
    read = Store.read_bytes

    def noted(self, name):
        reads.append(name)
        return read(self, name)

    monkeypatch.setattr(Store, "read_bytes", noted)
    return f"file://{tmp_path}/kept/base", reads


def test_a_model_is_fetched_once(stored, tmp_path):
    url, reads = stored
    place = fetched(url)
    assert fetched(url) == place
    assert reads.count("weights") == 1
    assert (tmp_path / "cache").as_posix() in place
    with open(f"{place}/weights", "rb") as file:
        assert file.read() == b"12345"
    assert not list((tmp_path / "cache").rglob(".arriving-*"))


def test_another_content_than_the_manifest_tells_is_not_kept(stored, tmp_path):
    url, _ = stored
    (tmp_path / "kept" / "base" / "weights").write_bytes(b"54321")
    with pytest.raises(StorageError, match="not what its manifest tells"):
        fetched(url)
    assert not [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]


def test_a_local_directory_and_a_hub_id_are_left_as_they_are(tmp_path):
    assert fetched(str(tmp_path)) == str(tmp_path)
    assert fetched("org/model") == "org/model"


def test_a_half_fetched_copy_is_none(stored, tmp_path):
    url, _ = stored
    content = json.loads((tmp_path / "kept/base/manifest.json").read_bytes())["content"]
    left = tmp_path / "cache" / "raymode" / "base" / ".arriving-x"
    left.mkdir(parents=True)
    assert fetched(url).endswith(content)
