"""Joining or starting a Ray cluster: the one place that calls ray.init."""

import os
from typing import Any

import ray

from raymode.config import RayConfig
from raymode.errors import ConfigError

# Ray Train looks at its workers so often, seconds: a finished fit is noticed that much later.
TRAIN_POLL_S = "0.5"
ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": TRAIN_POLL_S,
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",  # a node may have to be started first
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it would show every progress line twice
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def connect(config: RayConfig) -> None:
    """Join the cluster of `ray.address` or RAY_ADDRESS, or start a local one; do nothing if already connected."""
    if ray.is_initialized():
        return
    address = config.address or os.environ.get("RAY_ADDRESS", "")
    # Nothing takes a local machine away: one process less to start for every fit.
    local = {} if address else {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    variables = {**ENVIRONMENT, **local}
    os.environ.update(variables)
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": variables},
        # Ray's own warnings would bury our progress lines; they stand in its log files.
        "logging_config": ray.LoggingConfig(log_level="ERROR"),
        "logging_level": "error",
    }
    if address:
        ray.init(address=address, **options)
    else:
        ray.init(num_cpus=config.cpus or None, include_dashboard=False, **options)


def require(cpus: float, gpus: float, what: str) -> None:
    """Raise ConfigError if `what` needs more than the whole cluster has: it would wait for ever."""
    have = ray.cluster_resources()
    if cpus > have.get("CPU", 0) or gpus > have.get("GPU", 0):
        raise ConfigError(
            f"{what}: needs {cpus:g} CPUs and {gpus:g} GPUs, the cluster has {have.get('CPU', 0):g} and {have.get('GPU', 0):g};"
            " use fewer workers or a larger cluster"
        )
