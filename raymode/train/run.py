"""Launching the training loop on Ray Train workers."""

import os
import time
from typing import Any

import ray.train
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from raymode import errors
from raymode.cluster import JOINED, require, selector
from raymode.config import Config
from raymode.config_ray import is_in_process
from raymode.errors import RaymodeError, TrainingError
from raymode.store import Store
from raymode.train.lines import Lines
from raymode.train.loop import train

LEAVING_S = 2.0  # between questions to Ray which machines are about to go; it looks every 5


def fit(config: Config, store: Store, base: str) -> None:
    """Train on `config.train.workers` Ray Train workers; lost workers are replaced and go on from the last checkpoint.

    Raises TrainingError when the run fails more than `train.max_failures` times, or loses machines that were announced
    to go more than `train.max_preemption_failures` times.
    """
    settings = config.train
    where = selector(config.ray, "train")
    require(
        settings.workers,
        settings.workers * settings.gpu,
        f"train.workers={settings.workers}",
        where,
    )
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"config": config, "store": store.url, "base": base},
        torch_config=TorchConfig(backend="nccl" if settings.gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=_workers(config),
            use_gpu=settings.gpu,
            resources_per_worker={"CPU": 1, "GPU": int(settings.gpu)},
            label_selector=where or None,
        ),
        # Our own checkpoints are the state to resume from; Ray Train's directory is new each time and goes at the end.
        run_config=ray.train.RunConfig(
            name=f"ray-train-{time.time_ns()}",
            storage_path=store.path(),
            storage_filesystem=store.filesystem,
            failure_config=ray.train.FailureConfig(
                max_failures=settings.max_failures,
                max_preemption_failures=settings.max_preemption_failures,
            ),
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


def _workers(config: Config) -> int | tuple[int, int]:
    """Return how many workers Ray Train starts, or between which numbers; 0: it trains in this very process."""
    settings = config.train
    if is_in_process(config):
        return 0
    return (settings.min_workers, settings.workers) if settings.min_workers else settings.workers


def _worker(arguments: dict[str, Any]) -> tuple[str, str] | None:
    """Train on this rank; an error of raymode's own is returned, for trying again cannot mend it."""
    import torch

    config: Config = arguments["config"]
    if not config.train.gpu:
        # The worker's one CPU; it also makes sums independent of the machine's cores.
        torch.set_num_threads(1)
    try:
        told = os.environ.get(JOINED) == "1" and not is_in_process(config)
        leaving = _Leaving() if told else frozenset
        train(config, Store(arguments["store"]), arguments["base"], Lines(config), leaving)
    except RaymodeError as error:
        return type(error).__name__, str(error)
    return None


class _Leaving:
    """Tells which nodes of this training are about to be taken away.

    To ask Ray takes milliseconds and waits for all ranks, so it is asked every few updates: rank 0 says after how many.
    """

    def __init__(self) -> None:
        self._nodes: frozenset[str] = frozenset()
        self._apart = self._left = 1  # updates from question to question, and to the next
        self._asked = time.monotonic()

    def __call__(self) -> frozenset[str]:
        """Return the ids of the nodes, the same on every rank; called after every update."""
        self._left -= 1
        if not self._left:
            info = ray.train.get_preemption_info()
            self._nodes |= frozenset(info.preempted_node_ids if info else ())
            now = time.monotonic()
            wanted = self._apart * LEAVING_S / (now - self._asked)
            self._asked = now
            self._apart = self._left = broadcast_from_rank_zero(max(1, int(wanted)))
        return self._nodes


def _cause(error: TrainingFailedError) -> str:
    failures = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    first = next(iter(failures.values()), error)
    return " ".join(str(first).split())[-300:]
