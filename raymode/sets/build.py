"""Builds the set tables: what a stream of judged problems leaves in the journal becomes part after part of them."""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from raymode.config import Config, SandboxConfig, fingerprint
from raymode.errors import ConfigError, DataError
from raymode.lock import exclusive
from raymode.progress import Progress
from raymode.rundir import first_difference, inputs
from raymode.sandbox.verdict import UNSAFE
from raymode.sets import journal
from raymode.sets.parts import is_whole, not_judged, summarize, write_part
from raymode.sets.stream import End, elsewhere, judge_all
from raymode.sets.text_clusters import load_encoder
from raymode.sets.verify import NOT_JUDGED, pinned
from raymode.sources import Partition, Source, make_source
from raymode.store import Store
from raymode.watch import name_unjudged

MANIFEST = "manifest.json"
INPUTS = "inputs.json"
ISOLATION = "isolation.json"
FEW_MODULES = "L2"


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
        if config.references.embedding:  # what is missing is said before any actor starts
            load_encoder(config.references.embedding)
        _build_parts(config, store, partitions)
        summary = summarize(store, len(partitions), functools.partial(elsewhere, config))
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
        store.delete(journal.FOLDER)  # a driver killed after the last part left it
        return
    config = dataclasses.replace(config, sandbox=_check_isolation(store, config.sandbox))
    done = {number: journal.positions(store, number) for number in missing}
    judged = {number: len(positions) for number, positions in done.items()}
    sizes: dict[int, int] = {}
    with contextlib.closing(judge_all(config, store, partitions, done)) as stream:
        for message in stream:
            part = message.part
            if isinstance(message, End):
                sizes[part] = message.size
                progress.skip(message.skipped)
            else:
                judged[part] += 1
                progress.advance(message.programs, message.seconds)
            if judged[part] == sizes.get(part):
                write_part(store, part, sizes[part])
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
