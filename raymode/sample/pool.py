"""A pool of engine actors that answers requests chunk by chunk and writes each answer as it comes.

A chunk is answered whole by one engine, so its answers do not depend on the pool's size. An engine that dies is
replaced by Ray from the same checkpoint and its unanswered chunks are asked again; a finished chunk is a part file and
is never asked twice, also when the same command is given again.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raymode.actors import answers
from raymode.cluster import require
from raymode.config import SampleConfig
from raymode.errors import StorageError
from raymode.progress import Progress
from raymode.sample.engine import Engine, engine_environment, make_engine
from raymode.sample.prompts import Completion, Request, in_chunks
from raymode.store import Store, content_hash

CHUNK = 512  # requests that one engine answers at once
TABLE = "completions"


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a finished checkpoint directory is, and the hash of its content."""

    checkpoint: str
    content: str


def weights_of(directory: Store) -> Weights:
    """Return the weights in a checkpoint directory: one of ours, or any local `save_pretrained` directory.

    Raises StorageError if there is none.
    """
    if directory.exists("manifest.json"):
        return Weights(directory.url, directory.read_json("manifest.json")["content"])
    if directory.is_local and directory.exists("config.json"):
        names = [name for name in directory.names() if Path(directory.path(name)).is_file()]
        return Weights(directory.url, content_hash(Path(directory.path()), names))
    raise StorageError(f"{directory.url}: holds no finished checkpoint; run jobs/train.py first")


class EngineActor:
    """One engine in a process of its own, made when the first chunk comes."""

    def __init__(self, weights: Weights, config: SampleConfig) -> None:
        self.weights, self.config = weights, config
        self.engine: Engine | None = None

    def answer(self, requests: list[Request]) -> list[Completion]:
        """Return one completion per request, in order."""
        if self.engine is None:
            place = Store(self.weights.checkpoint)
            with tempfile.TemporaryDirectory() as directory:
                local = place.path() if place.is_local else place.download("", Path(directory))
                self.engine = make_engine(Path(local), self.config)
        return self.engine.generate(requests)


def sample_all(
    requests: list[Request],
    weights: Weights,
    config: SampleConfig,
    store: Store,
    run_id: str,
    label: str,
) -> None:
    """Answer `requests` and write them as the `completions` table of `store`, one part per chunk."""
    chunks = in_chunks(requests, CHUNK)
    missing = [number for number in range(len(chunks)) if not store.exists(_part(number))]
    if not missing:
        return
    progress = Progress(f"sample {label}", len(requests), "completions")
    progress.skip(len(requests) - sum(len(chunks[number]) for number in missing))
    options = {
        "num_cpus": 1,
        "num_gpus": config.gpu_per_engine,
        "runtime_env": {"env_vars": engine_environment(config)},
    }
    pieces = {number: chunks[number] for number in missing}
    engines = min(config.engines, len(pieces))
    require(engines, engines * config.gpu_per_engine, f"sample.engines={config.engines}")
    for number, completions in answers(
        EngineActor, (weights, config), options, config.engines, "answer", pieces
    ):
        rows = [
            _row(run_id, asked, got, weights, config)
            for asked, got in zip(chunks[number], completions, strict=True)
        ]
        store.write_rows(_part(number), TABLE, rows)
        progress.advance(len(rows))
    progress.close()


def _row(
    run_id: str, asked: Request, got: Completion, weights: Weights, config: SampleConfig
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "problem_id": asked.problem_id,
        "index": asked.index,
        "text": got.text,
        "logprob": got.logprob,
        "tokens": got.tokens,
        "seed": asked.seed,
        "finish_reason": got.finish_reason,
        "weights": weights.content,
        "engine": config.engine,
    }


def _part(number: int) -> str:
    return f"{TABLE}/part-{number:05d}.parquet"
