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
from raymode.config import SampleConfig
from raymode.progress import Progress
from raymode.sample.engine import engine_environment, make_engine
from raymode.sample.prompts import Completion, Request, in_chunks
from raymode.store import Store

CHUNK = 512  # requests that one engine answers at once
TABLE = "completions"


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a finished checkpoint directory is, and the hash of its content."""

    checkpoint: str
    content: str


class EngineActor:
    """One engine in a process of its own."""

    def __init__(self, weights: Weights, config: SampleConfig) -> None:
        self.weights = weights
        with tempfile.TemporaryDirectory() as directory:
            local = Store(weights.checkpoint).download("", Path(directory))
            self.engine = make_engine(local, config)

    def answer(self, requests: list[Request]) -> list[Completion]:
        """Return one completion per request, in order."""
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
