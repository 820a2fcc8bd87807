"""A pool of engine actors that answers requests chunk by chunk and writes each chunk as it comes.

A chunk is answered whole by one engine, so its answers do not depend on the pool's size. An engine that dies is
replaced by Ray from the same checkpoint and its chunk is asked again; so is, of another engine, one that is late. A
finished chunk is a part file and is never asked twice, also when the same command is given again.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raymode.actors import Timed, answers
from raymode.cluster import ANYWHERE, require
from raymode.config import SampleConfig
from raymode.errors import StorageError
from raymode.progress import Progress
from raymode.rundir import Clock
from raymode.sample.engine import Engine, engine_environment, make_engine
from raymode.sample.prompts import Completion, Request, cost, in_chunks, places
from raymode.sample.strategies import converse
from raymode.store import Store, content_hash

TABLE = "completions"


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a finished checkpoint directory is, and the hash of its content."""

    checkpoint: str
    content: str


@dataclass(frozen=True, slots=True)
class Model:
    """What the engines of a run hold."""

    weights: Weights
    base: str = ""  # strategy handoff: where the model that begins the answers is
    modes: int = 0  # M of a model trained with mode tokens


def weights_of(directory: Store) -> Weights:
    """Return the weights in a checkpoint directory: one of ours, or any local `save_pretrained` directory.

    Raises StorageError if there is none.
    """
    if directory.exists("manifest.json"):
        return Weights(directory.url, directory.read_json("manifest.json")["content"])
    if directory.is_local and directory.exists("config.json"):
        return Weights(directory.url, _content(Path(directory.path())))
    raise StorageError(f"{directory.url}: holds no finished checkpoint; run jobs/train.py first")


class EngineActor:
    """One engine in a process of its own, made when the first chunk comes."""

    def __init__(self, model: Model, config: SampleConfig) -> None:
        self.model, self.config = model, config
        self.engine: Engine | None = None
        self.base: Engine | None = None

    def answer(self, requests: list[Request]) -> Timed:
        """Return for each request, in order, the completions that its answer holds.

        Raises StorageError if the checkpoint is not the one that `model.weights` tells.
        """
        if self.engine is None:
            two = self.config.strategy == "handoff"
            self.base = self._begins() if two else None
            self.engine = self._goes_on(0.5 if two else 1.0)
        began = time.perf_counter()
        held = converse(self.engine, requests, self.config, self.base, self.model.modes)
        return Timed(held, time.perf_counter() - began)

    def close(self) -> None:
        """Drop the engine and give its memory back."""
        engines = [engine for engine in (self.engine, self.base) if engine]
        self.engine = self.base = None
        for engine in engines:
            engine.close()

    def _goes_on(self, share: float) -> Engine:
        """Return the engine of the tuned model, with a share of the GPU's memory."""
        weights = self.model.weights
        place = Store(weights.checkpoint)
        with tempfile.TemporaryDirectory() as directory:
            local = place.path() if place.is_local else place.download("", Path(directory))
            try:
                return make_engine(local, self.config, share)
            finally:  # after it was read; also where that failed, for this may be why
                if _content(Path(local)) != weights.content:
                    raise StorageError(
                        f"{weights.checkpoint}: its content has changed since sampling began ({weights.content[:12]});"
                        " sample it in a new run_dir"
                    )

    def _begins(self) -> Engine:
        """Return the engine of the base model, which may be a directory anywhere or a model's name."""
        config = replace(self.config, max_tokens=self.config.handoff_tokens)
        if "://" not in self.model.base:
            return make_engine(self.model.base, config, share=0.5)
        with tempfile.TemporaryDirectory() as directory:
            local = Store(self.model.base).download("", Path(directory))
            return make_engine(local, config, share=0.5)


def _content(directory: Path) -> str:
    """Return the hash of a local checkpoint directory, over the files its manifest names or else all in it."""
    here = Store(str(directory))
    if here.exists("manifest.json"):
        return content_hash(directory, here.read_json("manifest.json")["files"])
    return content_hash(directory, [name for name in here.names() if (directory / name).is_file()])


def sample_all(
    requests: list[Request],
    model: Model,
    config: SampleConfig,
    store: Store,
    run_id: str,
    label: str,
    clock: Clock | None = None,
    where: Mapping[str, str] = ANYWHERE,
    here: bool = False,
) -> None:
    """Answer `requests` and write them as the `completions` table of `store`, one part per chunk.

    clock: of the stage; where: the labels of the nodes that may hold engines; here: one engine in this process instead.
    """
    clock = clock or Clock(store, "sample")
    chunks = in_chunks(requests, config.chunk, config.max_tokens)
    missing = [number for number in range(len(chunks)) if not store.exists(_part(number))]
    if not missing:
        return
    progress = Progress(f"sample {label}", _completions(requests, config), "completions")
    progress.skip(progress.total - sum(_completions(chunks[n], config) for n in missing))
    engines = min(config.min_engines or config.engines, len(missing))
    require(engines, engines * config.gpu_per_engine, f"sample.engines={engines}", where)
    environment = engine_environment(config)
    options = {
        "num_cpus": 1,
        "num_gpus": config.gpu_per_engine,
        "label_selector": dict(where),
        "runtime_env": {"env_vars": environment},
    }
    # Chunks cost about the same, so the dearest request tells them apart: a prompt too long is found out at once.
    dearest_first = sorted(
        missing, key=lambda n: -max(cost(request, config.max_tokens) for request in chunks[n])
    )
    pieces = {number: chunks[number] for number in dearest_first}
    with _as_in_an_engine(environment) if here else contextlib.nullcontext():
        for number, answered in answers(
            EngineActor, (model, config), options, config.engines, "answer", pieces, hedged=True, here=here
        ):  # fmt: skip
            rows = [
                _row(run_id, asked, index, got, model.weights, config)
                for asked, held in zip(chunks[number], answered.result, strict=True)
                for index, got in zip(places(config, asked.answer), held, strict=True)
            ]
            store.write_rows(_part(number), TABLE, rows)
            clock.work(answered.seconds)
            progress.advance(len(rows), answered.seconds)
    progress.close()


@contextlib.contextmanager
def _as_in_an_engine(environment: Mapping[str, str]) -> Iterator[None]:
    """Give this process the environment of an engine's process, and its one thread, for a while."""
    import torch

    before = {name: os.environ.get(name) for name in environment}
    threads = torch.get_num_threads()
    os.environ.update(environment)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _completions(requests: list[Request], config: SampleConfig) -> int:
    return sum(len(places(config, request.answer)) for request in requests)


def _row(
    run_id: str, asked: Request, index: int, got: Completion, weights: Weights, config: SampleConfig
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "problem_id": asked.problem_id,
        "decoding": asked.decoding.name,
        "index": index,
        "answer": asked.answer,
        "text": got.text,
        "logprob": got.logprob,
        "tokens": got.tokens,
        "probability": got.probability,
        "seed": asked.seed,
        "finish_reason": got.finish_reason,
        "weights": weights.content,
        "engine": config.engine,
    }


def _part(number: int) -> str:
    return f"{TABLE}/part-{number:05d}.parquet"
