"""Launching the training loop on Ray Train workers."""

import time
from typing import Any

import ray.train
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from raymode import errors
from raymode.cluster import require
from raymode.config import Config
from raymode.errors import RaymodeError, TrainingError
from raymode.store import Store
from raymode.train.lines import Lines
from raymode.train.loop import train


def fit(config: Config, store: Store, base: str) -> None:
    """Train on `config.train.workers` Ray Train workers; lost workers are replaced and go on from the last checkpoint.

    Raises TrainingError when the run fails more than `train.max_failures` times.
    """
    settings = config.train
    require(settings.workers, settings.workers * settings.gpu, f"train.workers={settings.workers}")
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"config": config, "store": store.url, "base": base},
        torch_config=TorchConfig(backend="nccl" if settings.gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=(settings.min_workers, settings.workers)
            if settings.min_workers
            else settings.workers,
            use_gpu=settings.gpu,
            resources_per_worker={"CPU": 1, "GPU": int(settings.gpu)},
        ),
        # Our own checkpoints are the state to resume from; Ray Train's directory is new each time and goes at the end.
        run_config=ray.train.RunConfig(
            name=f"ray-train-{time.time_ns()}",
            storage_path=store.path(),
            storage_filesystem=store.filesystem,
            failure_config=ray.train.FailureConfig(max_failures=settings.max_failures),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
        ),
    )
    try:
        failure = trainer.fit().return_value
    except TrainingFailedError as error:
        raise TrainingError(f"training in {store.url} failed: {_cause(error)}") from error
    finally:
        for name in store.names():
            if name.startswith("ray-train-"):
                store.delete(name)
    if failure:
        kind, message = failure
        raise getattr(errors, kind)(message)


def _worker(arguments: dict[str, Any]) -> tuple[str, str] | None:
    """Train on this rank; an error of raymode's own is returned, for trying again cannot mend it."""
    import torch

    config: Config = arguments["config"]
    if not config.train.gpu:
        # The worker's one CPU; it also makes sums independent of the machine's cores.
        torch.set_num_threads(1)
    try:
        train(config, Store(arguments["store"]), arguments["base"], Lines(config))
    except RaymodeError as error:
        return type(error).__name__, str(error)
    return None


def _cause(error: TrainingFailedError) -> str:
    failures = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    first = next(iter(failures.values()), error)
    return " ".join(str(first).split())[-300:]
