"""Builds the set tables: Ray Data streams a source through checking, deduping, verifying, clustering.

One row of the stream is one problem with its solutions, pickled into one binary cell: lists of
hundreds of programs in an Arrow cell overflow its offsets further on. The driver gathers the
problems of a part and writes it; what is written is never done again.
"""

import functools
import logging
import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import ray
import ray.data
import ray.exceptions
from ray import cloudpickle

from raymode.actors import own_error
from raymode.config import Config, SandboxConfig, fingerprint
from raymode.errors import ConfigError, DataError
from raymode.lock import exclusive
from raymode.progress import Progress
from raymode.rundir import first_difference, inputs
from raymode.sets.parts import is_whole, not_judged, summarize, write_part
from raymode.sets.records import prepare
from raymode.sets.verify import NOT_JUDGED, Judged, judge, open_sandbox
from raymode.sources import Partition, Source, make_source
from raymode.store import Store
from raymode.watch import WatchedSandbox, name_unjudged, start_watch

MANIFEST = "manifest.json"
INPUTS = "inputs.json"
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
    wanted = inputs(config, "sets") | {"sets": {"problems_per_part": config.sets.problems_per_part}}
    if not store.exists(INPUTS):
        store.write_json(INPUTS, wanted)
        return
    difference = first_difference(store.read_json(INPUTS), wanted)
    if difference:
        raise ConfigError(
            f"{store.url}: sets were begun with another configuration: {difference}; choose another run_dir"
        )


def _build_parts(config: Config, store: Store, partitions: list[Partition]) -> None:
    missing = [number for number in range(len(partitions)) if not is_whole(store, number)]
    progress = Progress("sets", sum(part.programs for part in partitions), "programs")
    progress.skip(
        sum(part.programs for number, part in enumerate(partitions) if number not in set(missing))
    )
    if not missing:
        return
    open_sandbox(config.sandbox).close()  # a host that cannot isolate says so here, not in an actor
    gathered: dict[int, dict[int, Judged]] = defaultdict(dict)
    sizes: dict[int, int] = {}
    for number, position, content in _stream(
        config, {number: partitions[number] for number in missing}
    ):
        if position < 0:
            sizes[number] = content
        else:
            gathered[number][position], programs = content
            progress.advance(programs)
        if len(gathered[number]) == sizes.get(number):
            problems = gathered.pop(number)
            write_part(store, number, [problems[place] for place in sorted(problems)])
    progress.close()


def _stream(config: Config, partitions: Mapping[int, Partition]) -> Iterator[tuple[int, int, Any]]:
    """Yield (part, position, (judged problem, its programs)) in any order, and (part, -1, its size) per part."""
    rows = [
        {"part": number, "partition": cloudpickle.dumps(part)}
        for number, part in partitions.items()
    ]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    dataset.context.target_max_block_size = (
        1  # a problem is a block, so that actors share them evenly
    )
    actors = _actors(config)
    dataset.context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(
        object_store_memory=actors * READ_AHEAD_BYTES
    )
    dataset.context.max_consecutive_actor_init_deaths = ACTOR_STARTS
    dataset.context.enable_progress_bars = False
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    dataset = dataset.map_batches(
        _read,
        batch_format="pyarrow",
        batch_size=1,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=min(READERS, len(rows))),
    ).map_batches(
        _Verifier,
        fn_constructor_args=(config.sandbox, start_watch()),
        batch_format="pyarrow",
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )
    try:
        for batch in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            for row in batch.to_pylist():
                yield row["part"], row["position"], pickle.loads(row["payload"])
    except ray.exceptions.RayError as error:
        raise own_error(error) or error from error


def _actors(config: Config) -> int:
    """Return how many actors the cluster has CPUs for, at most `sets.actors`: more would wait for ever."""
    return max(1, min(config.sets.actors, int(ray.cluster_resources().get("CPU", 1))))


def _read(batch: pa.Table) -> Iterator[pa.Table]:
    """Read a partition, check and dedupe its problems one by one."""
    for row in batch.to_pylist():
        partition: Partition = pickle.loads(row["partition"])
        size = 0
        for problem, solutions in partition.read():
            place = f"{partition.name}#{size}"
            prepared = prepare(problem, solutions, place)
            programs = len(solutions) if isinstance(solutions, list | tuple) else 0
            yield _message(row["part"], size, place, (prepared, programs))
            size += 1
        yield _message(row["part"], -1, "", size)


class _Verifier:
    """A watched sandbox in an actor of its own."""

    def __init__(self, config: SandboxConfig, watch: Any) -> None:
        self._sandbox = WatchedSandbox(functools.partial(open_sandbox, config), watch)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        (row,) = batch.to_pylist()
        if row["position"] < 0:
            yield batch
            return
        with self._sandbox.problem(row["place"]):
            prepared, programs = pickle.loads(row["payload"])
            judged = judge(prepared, self._sandbox)
        yield _message(row["part"], row["position"], row["place"], (judged, programs))


def _message(part: int, position: int, place: str, content: Any) -> pa.Table:
    payload = pickle.dumps(content)
    row = {"part": part, "position": position, "place": place, "payload": payload}
    return pa.Table.from_pylist([row], schema=_SCHEMA)
