"""Builds the set tables: Ray Data streams a source through checking, deduping, verifying, clustering.

One row of the stream is one problem with its solutions, pickled into one binary cell: lists of
hundreds of programs in an Arrow cell overflow its offsets further on. An actor that judged a problem writes its
rows to the journal, and only a message goes on to the driver, which makes a part of them when all are there. So
no process ever holds more than a few problems, and what is written is never done again.
"""

import contextlib
import dataclasses
import functools
import logging
import pickle
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.data
import ray.exceptions
from ray import cloudpickle

from raymode.actors import own_error
from raymode.config import Config, SandboxConfig, fingerprint
from raymode.errors import ConfigError, DataError, StorageError, brief
from raymode.lock import exclusive
from raymode.progress import Progress
from raymode.rundir import first_difference, inputs
from raymode.sandbox.verdict import UNSAFE
from raymode.sets import journal
from raymode.sets.parts import is_whole, not_judged, summarize, write_part
from raymode.sets.records import prepare
from raymode.sets.verify import NOT_JUDGED, judge, open_sandbox, pinned
from raymode.sources import Partition, Source, make_source
from raymode.store import Store
from raymode.watch import WatchedSandbox, join, name_unjudged, watching

MANIFEST = "manifest.json"
INPUTS = "inputs.json"
ISOLATION = "isolation.json"
FEW_MODULES = "L2"
READERS = 2
READ_AHEAD_BYTES = 64 << 20
"""Per actor, what may lie in the object store between reading and writing; about a quarter of it is not yet judged."""
ACTOR_STARTS = 10  # in a row that may fail before the first work is done
_CHATTY = ("ray.data._internal.execution.streaming_executor", "ray.data._internal.progress")
"""Loggers that tell when a dataset starts and ends; raymode has progress lines of its own."""
_SCHEMA = pa.schema(
    [
        pa.field("part", pa.int64()),
        pa.field(
            "position", pa.int64()
        ),  # of the problem in its part; -1 for the row after the last
        pa.field("place", pa.string()),  # both in words, for a problem may have no id
        pa.field("payload", pa.large_binary()),
    ]
)


def build_sets(config: Config, source: Source | None = None) -> dict[str, Any]:
    """Return the summary of the set tables in `config.sets_path`, building what is not there yet.

    source: where the problems come from, if not from the one that `config.source` names.
    Finished sets are returned at once. Raises ConfigError if other sets stand there, DataError if
    the source gives no accepted solution, BusyError if another driver is at work there.
    """
    store = Store(config.sets_path)
    if store.exists(MANIFEST):  # before the lock: finished sets may be shared and read-only
        _check_inputs(store, config)
        summary: dict[str, Any] = store.read_json(MANIFEST)["summary"]
        return summary
    with exclusive(store):
        _check_inputs(store, config)
        partitions = (source or make_source(config)).partitions()
        _build_parts(config, store, partitions)
        summary = summarize(store, len(partitions))
        if f"solutions: {NOT_JUDGED}" in summary["rejected"]:
            name_unjudged("sets", "rejected", not_judged(store))
        if not summary["accepted"]:
            raise DataError(
                f"source {config.source!r}: gives no accepted solution ({summary['problems']} problems, "
                f"rejected: {summary['rejected'] or 'none'}, verdicts: {summary['verdicts']})"
            )
        manifest = {
            "parts": len(partitions),
            "config": fingerprint(inputs(config, "sets")),
            "summary": summary,
        }
        store.write_json(MANIFEST, manifest)
        return summary


def _check_inputs(store: Store, config: Config) -> None:
    """Note what the sets are made from, or raise ConfigError if they are begun with something else."""
    wanted = inputs(config, "sets")
    wanted["sets"] |= {"problems_per_part": config.sets.problems_per_part}
    if not store.exists(INPUTS):
        store.write_json(INPUTS, wanted)
        return
    difference = first_difference(store.read_json(INPUTS), wanted)
    if difference:
        raise ConfigError(
            f"{store.url}: sets were begun with another configuration: {difference}; choose another run_dir"
        )


def _build_parts(config: Config, store: Store, partitions: Sequence[Partition]) -> None:
    missing = [number for number in range(len(partitions)) if not is_whole(store, number)]
    progress = Progress("sets", sum(part.programs for part in partitions), "programs")
    progress.skip(
        sum(part.programs for number, part in enumerate(partitions) if number not in set(missing))
    )
    if not missing:
        return
    config = dataclasses.replace(config, sandbox=_check_isolation(store, config.sandbox))
    done = {number: journal.positions(store, number) for number in missing}
    judged = {number: len(positions) for number, positions in done.items()}
    sizes: dict[int, int] = {}
    with contextlib.closing(_stream(config, store, partitions, done)) as stream:
        for number, position, count, skipped in stream:
            if position < 0:
                sizes[number] = count
                progress.skip(skipped)
            else:
                judged[number] += 1
                progress.advance(count)
            if judged[number] == sizes.get(number):
                write_part(store, number, sizes[number])
    progress.close()
    store.delete(journal.FOLDER)


def _check_isolation(store: Store, config: SandboxConfig) -> SandboxConfig:
    """Return the configuration with the isolation level for all actors; a host without any says so here.

    Raises ConfigError if the sets were begun at a level where programs can import more, or less.
    """
    config = pinned(config)
    if not store.exists(ISOLATION):
        store.write_json(ISOLATION, {"level": config.level or UNSAFE})
    before = store.read_json(ISOLATION)["level"]
    if (before == FEW_MODULES) != (config.level == FEW_MODULES):
        raise ConfigError(
            f"{store.url}: sets were begun at isolation level {before}, here it is {config.level or UNSAFE}: at"
            f" {FEW_MODULES} programs can import less; set sandbox.level, or choose another run_dir"
        )
    return config


def _stream(
    config: Config,
    store: Store,
    partitions: Sequence[Partition],
    done: Mapping[int, frozenset[int]],
) -> Generator[tuple[int, int, int, int]]:
    """Have all problems judged that are not `done` yet, by part and position, and kept in the journal.

    Yields, in any order, (part, position, its programs, 0) per problem judged, and (part, -1, problems in it,
    programs of those done before) per part read to its end.
    """
    rows = [
        {"part": number, "partition": cloudpickle.dumps((partitions[number], positions))}
        for number, positions in done.items()
    ]
    with watching() as watch:
        dataset = _dataset(config, store, rows, watch)
        try:
            with contextlib.closing(_batches(dataset)) as batches:
                for batch in batches:
                    for row in batch.to_pylist():
                        yield row["part"], row["position"], *pickle.loads(row["payload"])
        except ray.exceptions.RayError as error:
            raise own_error(error) or error from error


def _dataset(
    config: Config, store: Store, rows: Sequence[Mapping[str, Any]], watch: Any
) -> ray.data.Dataset:
    dataset = ray.data.from_items(list(rows), override_num_blocks=len(rows))
    # A problem is a block, so that actors share them evenly.
    dataset.context.target_max_block_size = 1
    actors = _actors(config)
    dataset.context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(
        object_store_memory=actors * READ_AHEAD_BYTES
    )
    dataset.context.max_consecutive_actor_init_deaths = ACTOR_STARTS
    dataset.context.enable_progress_bars = False
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    return dataset.map_batches(
        _read,
        batch_format="pyarrow",
        batch_size=1,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=min(READERS, len(rows))),
    ).map_batches(
        _Verifier,
        fn_constructor_args=(config, store, watch),
        batch_format="pyarrow",
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )


def _batches(dataset: ray.data.Dataset) -> Generator[pa.Table]:
    """Return the results, to be closed at once: left to the garbage collector, the dataset would read on."""
    batches = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    generator: Generator[pa.Table] = iter(batches)
    return generator


def _actors(config: Config) -> int:
    """Return how many actors the cluster has CPUs for, at most `sets.actors`: more would wait for ever."""
    return max(1, min(config.sets.actors, int(ray.cluster_resources().get("CPU", 1))))


def _read(batch: pa.Table) -> Iterator[pa.Table]:
    """Read a partition and hand on, one by one, its problems that are not judged yet."""
    for row in batch.to_pylist():
        partition: Partition
        partition, done = pickle.loads(row["partition"])
        size = skipped = 0
        for problem, solutions in partition.read():
            programs = len(solutions) if isinstance(solutions, list | tuple) else 0
            if size in done:
                skipped += programs
            else:
                content = (problem, solutions, programs)
                yield _message(row["part"], size, f"{partition.name}#{size}", content)
            size += 1
        yield _message(row["part"], -1, "", (size, skipped))


class _Verifier:
    """Checks and dedupes problems, judges their programs in a watched sandbox, and keeps what comes out."""

    def __init__(self, config: Config, store: Store, watch: Any) -> None:
        join(watch)
        self._min_pass_share = config.sets.min_pass_share
        self._store = store
        self._sandbox = WatchedSandbox(functools.partial(open_sandbox, config.sandbox), watch)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        (row,) = batch.to_pylist()
        if row["position"] < 0:
            yield batch
            return
        with self._sandbox.problem(row["place"]):
            problem, solutions, programs = pickle.loads(row["payload"])
            prepared = prepare(problem, solutions, row["place"])
            judged = judge(prepared, self._sandbox, self._min_pass_share)
        try:
            journal.save(self._store, row["part"], row["position"], judged)
        except OSError as error:
            raise StorageError(
                f"{self._store.url}: an actor cannot write there ({brief(error)}); actors need"
                " the same access as the driver: credentials, AWS_* variables, a shared file system"
            ) from error
        yield _message(row["part"], row["position"], "", (programs, 0))


def _message(part: int, position: int, place: str, content: Any) -> pa.Table:
    payload = pickle.dumps(content)
    row = {"part": part, "position": position, "place": place, "payload": payload}
    return pa.Table.from_pylist([row], schema=_SCHEMA)
