"""The road in its smallest form, stage by stage, what its stages leave behind, and whether two runs left the same."""

import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from raymode.store import Store
from tests.background import repeating
from tests.integration.conftest import SMALL
from tests.integration.test_faults import losses, tables

LIMIT_S = 240
"""The longest that a job may take after all that is done to it."""
SMALLER = (
    *SMALL, "sweep.responses=[2]", "sets.dataset=false", "sets.actors=2", "train.workers=2", "train.steps=40",
    "train.checkpoint_every=5", "sample.engine=transformers", "sample.engines=2", "sample.chunk=2",
    "sample.completions=12", "sample.max_tokens=96", "score.actors=2",
)  # fmt: skip
SETS = ("problems", "solutions", "rejected")
LEFT_BY = {
    "verify": (),
    "train": ("sets",),
    "sample": ("sets", "train.json", "base.json", "groups.parquet", "heldout_groups.parquet", "heldout.parquet",
               "metrics.jsonl", "checkpoint"),
}  # fmt: skip
"""What stands in a run directory before a stage begins."""
LEFT_BY["score"] = (*LEFT_BY["sample"], "sample.json", "completions")
LEFT_BY["sweep"] = ()
Rows = Any


@dataclass(frozen=True)
class Stage:
    """A job, the files that are its results one by one, and the titles of the processes that make them."""

    job: str
    results: str
    actors: tuple[str, ...]
    others: tuple[str, ...]
    most: int
    """Results after which there is still work to be disturbed."""

    def command(self, address: str, run_dir: str, *more: str) -> list[str]:
        return [
            sys.executable, f"jobs/{self.job}.py", *SMALLER, *more, f"ray.address={address}", f"run_dir={run_dir}"
        ]  # fmt: skip


STAGES = {
    "verify": Stage("build_sets", r"sets/(journal|parts)/", ("ray::MapWorker",), ("ray::MapBatches",), 30),
    "train": Stage(
        "train", r"checkpoints/.*manifest|metrics", ("ray::RayTrainWorker",), ("ray::TrainController",), 4
    ),
    "sample": Stage("sample", r"completions/", ("ray::EngineActor",), (), 40),
    "score": Stage("score", r"judged/", ("ray::JudgeActor",), ("ray::Watch",), 0),
}  # fmt: skip
SWEEP = Stage(
    "sweep_budget",
    "|".join(stage.results for stage in STAGES.values()),
    (),
    ("ray::ImplicitFunc",),
    60,
)


def outcome(name: str, run_dir: str) -> Rows:
    """Return what a stage decided, without what it cost."""
    store = Store(run_dir)
    if name == "sweep":
        return tables(run_dir)
    if name == "verify":
        return [str(store.rows(f"sets/{table}")) for table in SETS]
    if name == "train":
        content = store.read_json("checkpoint/manifest.json")["content"]
        return losses(store), str(store.rows("heldout.parquet")), content
    if name == "sample":
        return str(store.rows("completions"))
    return [str(store.rows(table)) for table in ("judged", "scores.parquet", "summary.parquet")]


def begin_at(name: str, whole: Path, run_dir: str) -> None:
    """Fill a run directory with what stands before a stage begins, from one where all is finished."""
    place = Store(run_dir)
    for part in LEFT_BY[name]:
        if place.is_local:
            copy = shutil.copytree if (whole / part).is_dir() else shutil.copy2
            (Path(run_dir) / part).parent.mkdir(parents=True, exist_ok=True)
            copy(whole / part, Path(run_dir) / part)
        else:
            _upload(whole / part, whole, place)


def _upload(part: Path, whole: Path, place: Store) -> None:
    for file in part.rglob("*") if part.is_dir() else [part]:
        if file.is_file():
            place.write_bytes(str(file.relative_to(whole)), file.read_bytes())


@dataclass
class Seen:
    """When the results of a stage were written, and how often, as a look at the directory every 50 ms shows."""

    store: Store
    results: str
    written: dict[str, list[int]] = field(default_factory=dict)
    when: list[float] = field(default_factory=list)
    """Seconds of the monotonic clock at which results were seen."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        with self.lock:
            for file in _files(self.store):
                name = file.path.removeprefix(self.store.root).lstrip("/")
                if re.search(self.results, name) and "/." not in f"/{name}":
                    times = self.written.setdefault(name, [])
                    if not times or times[-1] != file.mtime_ns:
                        times.append(file.mtime_ns)
                        self.when.append(time.monotonic())

    def count(self) -> int:
        """Return how many results stand or stood."""
        return len(self.written)

    def again(self) -> int:
        """Return how many results were written more than once; those that are meant to grow are not counted."""
        return sum(len(times) > 1 for name, times in self.written.items() if "metrics" not in name)

    def silence(self, moment: float) -> float:
        """Return the longest time without a result from a moment on, in seconds, to the last result."""
        times = [moment, *(when for when in self.when if when > moment)]
        return max((after - before for before, after in pairwise(times)), default=0.0)


def _files(store: Store) -> list[pafs.FileInfo]:
    try:
        found = store.filesystem.get_file_info(
            pafs.FileSelector(store.root, allow_not_found=True, recursive=True)
        )
    except OSError:  # a directory went while it was read
        return []
    return [file for file in found if file.type == pafs.FileType.File]


@contextmanager
def seen(run_dir: str, stage: Stage) -> Iterator[Seen]:
    """Look at a directory while the block runs."""
    record = Seen(Store(run_dir), stage.results)
    with repeating(record.look, 0.05):
        yield record


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait until something is true; AssertionError if it does not become so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
