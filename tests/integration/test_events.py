"""events.jsonl on an object store, where nothing can be added to a file."""

import json

from raymode.events import NAME, record
from raymode.store import Store

from .test_storage import bucket

__all__ = ["bucket"]


def test_lines_are_added_on_an_object_store_too(bucket):
    store = Store(f"{bucket}/run")
    record(store, "started", "train", run="K=2")
    record(store, "finished", "train", run="K=2", wall_s=1.5, word="für")
    first, second = map(json.loads, store.read_bytes(NAME).decode().splitlines())
    assert (first["event"], first["stage"], first["run_dir"]) == ("started", "train", store.url)
    assert (second["event"], second["wall_s"], second["word"]) == ("finished", 1.5, "für")
    assert first["time"] < second["time"]
