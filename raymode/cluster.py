"""Joining or starting a Ray cluster: the one place that calls ray.init."""

import os

import ray

from raymode.config import RayConfig
from raymode.errors import ConfigError

# Ray Train looks at its workers so often, seconds: a finished fit is noticed that much later.
TRAIN_POLL_S = "0.5"
ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": TRAIN_POLL_S,
    "RAY_TRAIN_V2_ENABLED": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def connect(config: RayConfig) -> None:
    """Join the cluster of `ray.address` or RAY_ADDRESS, or start a local one; do nothing if already connected."""
    if ray.is_initialized():
        return
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = config.address or os.environ.get("RAY_ADDRESS", "")
    runtime_env = {"env_vars": ENVIRONMENT}
    if address:
        ray.init(address=address, runtime_env=runtime_env, log_to_driver=True)
        return
    ray.init(
        num_cpus=config.cpus or None,
        include_dashboard=False,
        runtime_env=runtime_env,
        log_to_driver=True,
        logging_level="warning",
    )


def require(cpus: float, gpus: float, what: str) -> None:
    """Raise ConfigError if `what` needs more than the whole cluster has: it would wait for ever."""
    have = ray.cluster_resources()
    if cpus > have.get("CPU", 0) or gpus > have.get("GPU", 0):
        raise ConfigError(
            f"{what}: needs {cpus:g} CPUs and {gpus:g} GPUs, the cluster has {have.get('CPU', 0):g} and {have.get('GPU', 0):g};"
            " use fewer workers or a larger cluster"
        )
