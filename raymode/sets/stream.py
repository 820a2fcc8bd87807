"""The stream of problems: Ray Data has a source read, and its problems judged by actors, which keep what comes out.

One row of the stream is a bundle of problems of one part with their solutions, pickled into one binary cell: lists of
hundreds of programs in an Arrow cell overflow its offsets further on. Handing over a row costs Ray some 20 ms, so
small problems travel together. An actor that judged a problem writes its rows to the journal, and only a message goes
on to the driver. So no process ever holds more than a few bundles, and what is written is never done again.
"""

import contextlib
import functools
import logging
import pickle
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import ray
import ray.data
import ray.exceptions
from ray import cloudpickle
from ray.data._internal.execution import backpressure_policy as pressure

from raymode.actors import in_a_task, own_error
from raymode.cluster import capacity, may_grow, require, selector
from raymode.config import Config
from raymode.errors import StorageError, brief
from raymode.sets import journal
from raymode.sets.records import prepare
from raymode.sets.verify import Judged, judge, open_sandbox
from raymode.sources import Partition
from raymode.store import Store
from raymode.watch import WatchedSandbox, join, watching

READERS = (2, 8)
"""Tasks that read a source, at least and at most; between them one per actor. Of parts of a single bundle each, two
readers kept four actors busy for 72 % of the time, four readers for 86 %."""
READ_AHEAD_BYTES = 64 << 20
"""Per actor, what may lie in the object store between reading and writing; about a quarter of it is not yet judged."""
ACTOR_STARTS = 10  # in a row that may fail before the first work is done
BUNDLE_RUNS, BUNDLE_BYTES = 128, 1 << 20
"""A bundle is full at so many runs of a program on a test (0.2 s if they are quick) or so many bytes."""
_CHATTY = ("ray.data._internal.execution.streaming_executor", "ray.data._internal.progress")
"""Loggers that tell when a dataset starts and ends; raymode has progress lines of its own."""
_SCHEMA = pa.schema(
    [
        pa.field("part", pa.int64()),
        pa.field("size", pa.int64()),  # how many problems the part has, in its last row; else -1
        pa.field("payload", pa.large_binary()),
    ]
)


class _LittleAhead(pressure.DownstreamCapacityBackpressurePolicy):  # type: ignore[misc]  # Ray's classes have no types
    """Lets twice as much wait as actors have in hand; Ray's own policy does so only once half of all room is taken.

    Small problems never take that, and every bundle that waits costs the driver 16 KB.
    """

    OBJECT_STORE_BUDGET_UTIL_THRESHOLD = -1.0


_POLICIES = [
    _LittleAhead if policy is pressure.DownstreamCapacityBackpressurePolicy else policy
    for policy in pressure.ENABLED_BACKPRESSURE_POLICIES
]


class Done(NamedTuple):
    """A problem that is judged and kept in the journal, by its position in a part."""

    part: int
    position: int
    programs: int
    seconds: float  # that judging it took


class End(NamedTuple):
    """A part that was read to its end: how many problems it has, and the programs of those that were done before."""

    part: int
    size: int
    skipped: int


class _Item(NamedTuple):
    """A problem on its way to a judge; `place` is part and position in words, for a problem may have no id.

    content: problem and solutions, pickled by themselves: what ends the judge as it reads them is then known.
    """

    position: int
    place: str
    programs: int
    content: bytes


def judge_all(
    config: Config,
    store: Store,
    partitions: Sequence[Partition],
    done: Mapping[int, frozenset[int]],
) -> Generator[Done | End]:
    """Have the problems of the parts in `done` judged, but those at the positions it names, and kept in the journal.

    Yields what was done in any order, so that the end of a part may come before its last problem.
    """
    rows = [
        {"part": number, "partition": cloudpickle.dumps((partitions[number], positions))}
        for number, positions in done.items()
    ]
    require(1, 0, f"sets.actors={config.sets.actors}", selector(config.ray, "verify"))
    with watching() as watch:
        dataset = _dataset(config, store, rows, watch)
        try:
            with contextlib.closing(_batches(dataset)) as batches:
                for batch in batches:
                    for row in batch.to_pylist():
                        yield from _told(row)
        except ray.exceptions.RayError as error:
            raise own_error(error) or error from error


def elsewhere(config: Config, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` as a task does it where problems are judged: the driver's memory stays as it is."""
    where = selector(config.ray, "verify")
    require(1, 0, "a task beside the driver", where)
    return in_a_task(function, num_cpus=1, label_selector=where)


def _told(row: Mapping[str, Any]) -> Iterator[Done | End]:
    content = pickle.loads(row["payload"])
    if row["size"] >= 0:
        yield End(row["part"], row["size"], content)
        return
    for position, programs, seconds in content:
        yield Done(row["part"], position, programs, seconds)


def _dataset(
    config: Config, store: Store, rows: Sequence[Mapping[str, Any]], watch: Any
) -> ray.data.Dataset:
    dataset = ray.data.from_items(list(rows), override_num_blocks=len(rows))
    # A bundle is a block, so that actors share them evenly.
    dataset.context.target_max_block_size = 1
    fewest, most = _actors(config)
    dataset.context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(
        object_store_memory=most * READ_AHEAD_BYTES
    )
    dataset.context.set_config(pressure.ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY, _POLICIES)
    dataset.context.max_consecutive_actor_init_deaths = ACTOR_STARTS
    dataset.context.enable_progress_bars = False
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    where = selector(config.ray, "verify")
    return dataset.map_batches(
        _read,
        batch_format="pyarrow",
        batch_size=1,
        num_cpus=0,
        label_selector=where,
        compute=ray.data.TaskPoolStrategy(size=_readers(most, len(rows))),
    ).map_batches(
        _Verifier,
        fn_constructor_args=(config, store, watch),
        batch_format="pyarrow",
        batch_size=1,
        num_cpus=1,
        label_selector=where,
        compute=ray.data.ActorPoolStrategy(min_size=fewest, max_size=most),
    )


def _batches(dataset: ray.data.Dataset) -> Generator[pa.Table]:
    """Return the results, to be closed at once: left to the garbage collector, the dataset would read on."""
    batches = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    generator: Generator[pa.Table] = iter(batches)
    return generator


def _actors(config: Config) -> tuple[int, int]:
    """Return for how many actors there are CPUs, at most `sets.actors`, and how many it may become: a cluster grows.

    More than there are CPUs from the beginning would be waited for.
    """
    have = capacity(selector(config.ray, "verify")) or {}
    now = max(1, min(config.sets.actors, int(have.get("CPU", 1))))
    return now, config.sets.actors if may_grow() else now


def _readers(actors: int, parts: int) -> int:
    fewest, most = READERS
    return min(parts, max(fewest, min(actors, most)))


def _read(batch: pa.Table) -> Iterator[pa.Table]:
    """Read a partition and hand on, in bundles, its problems that are not judged yet."""
    for row in batch.to_pylist():
        partition: Partition
        partition, done = pickle.loads(row["partition"])
        size = skipped = 0
        bundle = _Bundle()
        for problem, solutions in partition.read():
            programs = len(solutions) if isinstance(solutions, list | tuple) else 0
            if size in done:
                skipped += programs
            else:
                content = pickle.dumps((problem, solutions))
                item = _Item(size, f"{partition.name}#{size}", programs, content)
                bundle.add(item, programs * _tests(problem))
            size += 1
            if bundle.is_full:
                yield _message(row["part"], bundle.items)
                bundle = _Bundle()
        if bundle.items:
            yield _message(row["part"], bundle.items)
        yield _message(row["part"], skipped, size)


@dataclass(slots=True)
class _Bundle:
    """Problems that travel together, with about what they cost."""

    items: list[_Item] = field(default_factory=list)
    runs: int = 0
    size: int = 0

    def add(self, item: _Item, runs: int) -> None:
        self.items.append(item)
        self.runs += max(1, runs)
        self.size += len(item.content)

    @property
    def is_full(self) -> bool:
        return self.runs >= BUNDLE_RUNS or self.size >= BUNDLE_BYTES


def _tests(problem: Any) -> int:
    """Return how many tests a problem has, if it has what a problem should: nothing is checked yet."""
    tests = problem.get("tests") if isinstance(problem, Mapping) else None
    return len(tests) if isinstance(tests, list | tuple) else 0


class _Verifier:
    """Checks and dedupes problems, judges their programs in a watched sandbox, and keeps what comes out."""

    def __init__(self, config: Config, store: Store, watch: Any) -> None:
        join(watch)
        self._min_pass_share = config.sets.min_pass_share
        self._embedding = config.references.embedding
        self._store = store
        self._sandbox = WatchedSandbox(functools.partial(open_sandbox, config.sandbox), watch)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        (row,) = batch.to_pylist()
        if row["size"] >= 0:
            yield batch
            return
        items: list[_Item] = pickle.loads(row["payload"])
        problems = zip(self._sandbox.problems([item.place for item in items]), items, strict=True)
        # A problem is kept while the next is judged: an object store takes longer than a small program.
        done, kept = [], []
        with ThreadPoolExecutor(1) as pool:
            for _, item in problems:
                began = time.perf_counter()
                kept.append(pool.submit(self._keep, row["part"], item, self._judge(item)))
                done.append((item.position, item.programs, time.perf_counter() - began))
        for each in kept:
            each.result()
        yield _message(row["part"], done)

    def _judge(self, item: _Item) -> Judged:
        problem, solutions = pickle.loads(item.content)
        prepared = prepare(problem, solutions, item.place)
        return judge(prepared, self._sandbox, self._min_pass_share, self._embedding)

    def _keep(self, part: int, item: _Item, judged: Judged) -> None:
        try:
            journal.save(self._store, part, item.position, judged)
        except OSError as error:
            raise StorageError(
                f"{self._store.url}: an actor cannot write there ({brief(error)}); actors need"
                " room and the same access as the driver: credentials, AWS_* variables, a shared file system"
            ) from error


def _message(part: int, content: Any, size: int = -1) -> pa.Table:
    row = {"part": part, "size": size, "payload": pickle.dumps(content)}
    return pa.Table.from_pylist([row], schema=_SCHEMA)
