"""Launching the training loop on Ray Train workers."""

import sys
import time
from collections.abc import Callable
from typing import Any

import ray
import ray.train
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    OutOfMemoryError,
    RayActorError,
)
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from raymode.cluster import may_grow, require, selector
from raymode.config import HELDOUT_METRICS, Config
from raymode.config_ray import is_in_process
from raymode.errors import RaymodeError, TrainingError
from raymode.ray_metrics import show_progress
from raymode.store import Store
from raymode.train.fatal import OwnErrorsEnd, own_failure
from raymode.train.leaving import Leaving
from raymode.train.lines import Lines
from raymode.train.loop import train
from raymode.train.place import free_lost_workers


def fit(config: Config, store: Store, base: str, reports: bool = False) -> None:
    """Train on `config.train.workers` Ray Train workers; lost workers are replaced and go on from the last checkpoint.

    Raises what a worker raises of raymode's own, and TrainingError when the controller is lost more than
    `train.max_failures` times, or under one controller workers more often than that, or machines that were announced to
    go more than `train.max_preemption_failures` times.
    """
    settings = config.train
    require(
        settings.workers,
        settings.workers * settings.gpu,
        f"train.workers={settings.workers}",
        selector(config.ray, "train"),
    )
    try:
        error = _looked_after(config, store, base, reports)
    except TrainingFailedError as failure:
        raise own_failure(failure) or TrainingError(
            f"training in {store.url} failed: {_cause(failure)}"
        ) from failure
    finally:
        for name in store.names():
            if name.startswith("ray-train-"):
                store.delete(name)
    if error:
        raise error


def _looked_after(config: Config, store: Store, base: str, reports: bool) -> RaymodeError | None:
    """Return what rank 0 returns. Ray Train never starts its controller again, and its workers end with it."""
    lost = 0
    while True:
        free_lost_workers()
        trainer = _trainer(config, store, base, reports)
        try:
            found: RaymodeError | None = trainer.fit().return_value
            return found
        except (RayActorError, OutOfMemoryError) as error:
            lost += 1
            *_, said = str(error).strip().splitlines()
            what = f"training in {store.url}: its controller died ({said[:300]})"
            if lost > config.train.max_failures or not trainer.has_ended(error):
                raise TrainingError(f"{what}, {lost} times in all") from error
            print(f"{what}: going on from the last checkpoint", file=sys.stderr, flush=True)


class _Trainer(TorchTrainer):  # type: ignore[misc]  # Ray's classes have no types
    """Ray's trainer, which does not take Ctrl-C for itself, leaves nothing running, and knows which errors are final.

    Ray's own handler of Ctrl-C ends the process without a word, and stays after the training.
    """

    controller: Any = None
    """Known on the main thread alone; elsewhere, in a trial, it ends with the process."""

    def fit(self) -> Any:
        try:
            return super().fit()
        except BaseException:
            if self.controller is not None:
                ray.kill(self.controller)
            raise

    def has_ended(self, error: Exception) -> bool:
        """Return whether the controller was lost as it ran and is gone, so that another may take its place."""
        if isinstance(error, ActorUnavailableError):
            return self.controller is not None
        return not (isinstance(error, ActorDiedError) and error.actor_init_failed)

    def _initialize_and_run_controller(self, **given: Any) -> Any:
        policy = OwnErrorsEnd(self.run_config.failure_config)
        return super()._initialize_and_run_controller(**{**given, "failure_policy": policy})

    def _register_sigint_handler(self, controller: Any) -> None:
        self.controller = controller


def _trainer(config: Config, store: Store, base: str, reports: bool) -> _Trainer:
    settings = config.train
    return _Trainer(
        _worker,
        train_loop_config={
            "config": config,
            "store": store.url,
            "base": base,
            "reports": reports,
        },
        torch_config=TorchConfig(backend="nccl" if settings.gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=_workers(config),
            use_gpu=settings.gpu,
            resources_per_worker={"CPU": 1, "GPU": int(settings.gpu)},
            label_selector=selector(config.ray, "train") or None,
        ),
        # Our own checkpoints are the state to resume from; Ray Train's directory is new each time and goes at the end.
        run_config=ray.train.RunConfig(
            name=f"ray-train-{time.time_ns()}",
            storage_path=store.path(),
            storage_filesystem=store.filesystem,
            callbacks=_to_tune(config) if reports else [],
            failure_config=ray.train.FailureConfig(
                max_failures=settings.max_failures,
                max_preemption_failures=settings.max_preemption_failures,
            ),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
        ),
    )


def _to_tune(config: Config) -> list[Any]:
    """Return what hands on to Tune what workers report."""
    from ray.tune.integration.ray_train import TuneReportCallback

    return [] if is_in_process(config) else [TuneReportCallback()]


def _tune_report() -> Callable[[dict[str, float]], None]:
    from ray import tune  # no worker needs it

    return tune.report  # type: ignore[no-any-return]


def _workers(config: Config) -> int | tuple[int, int]:
    """Return how many workers Ray Train starts, or between which numbers; 0: it trains in this very process."""
    settings = config.train
    if is_in_process(config):
        return 0
    return (settings.min_workers, settings.workers) if settings.min_workers else settings.workers


def _worker(arguments: dict[str, Any]) -> RaymodeError | None:
    """Train on this rank; in one process an error of raymode's own is returned, so that Ray Train tidies up."""
    import torch

    config: Config = arguments["config"]
    show_progress()
    if not config.train.gpu:
        # The worker's one CPU; it also makes sums independent of the machine's cores.
        torch.set_num_threads(1)
    store = Store(arguments["store"])
    leaving = Leaving(told=may_grow() and not is_in_process(config))
    try:
        progress = _Reports(config) if arguments["reports"] else Lines(config)
        train(config, store, arguments["base"], progress, leaving)
    except RaymodeError as error:
        if is_in_process(config):
            return error
        raise  # returned it would have other workers wait for this one in a collective
    except Exception:
        leaving.wait_out()
        raise
    return None


class _Reports:
    """Progress lines, and each held-out measurement for Ray Tune."""

    def __init__(self, config: Config) -> None:
        self._lines = Lines(config)
        # Tune is told by its own trial: by this process, or by the one whose workers these are, which Ray Train tells.
        self._report = _tune_report() if is_in_process(config) else ray.train.report

    def __call__(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        self._lines(step, steps, metrics)
        measured = {name: metrics[name] for name in HELDOUT_METRICS if name in metrics}
        if measured and step < steps:  # nothing is left to be ended after the last one
            self._report({"step": step, **measured})


def _cause(error: TrainingFailedError) -> str:
    failures = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    first = next(iter(failures.values()), error)
    return " ".join(str(first).split())[-300:]
