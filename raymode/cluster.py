"""Joining, starting and leaving a Ray cluster, the one place that calls ray.init; and what a part of the work finds there."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import ray
import ray._private.state

from raymode.config import RayConfig
from raymode.config_ray import labels_of
from raymode.errors import ConfigError
from raymode.ray_metrics import show_progress
from raymode.signs import forget_all

# Ray Train looks at its workers so often, seconds: a finished fit is noticed that much later.
TRAIN_POLL_S = "0.5"
# A training worker that does not answer for so long, seconds, hangs: all go on from the last checkpoint.
TRAIN_SILENT_S = "120"
# A worker's lines reach its driver so much later, seconds: as long as Ray itself waits when an interpreter ends.
LAST_LINES_S = 0.5
LEAVE_S = 10.0
ANYWHERE: Mapping[str, str] = MappingProxyType({})
JOINED = "RAYMODE_JOINED_CLUSTER"  # "1" on a cluster that was there before: it may grow
ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": TRAIN_POLL_S,
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": TRAIN_SILENT_S,
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",  # a node may have to be started first
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "2",  # some clouds announce 30 s before they take a machine
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it would show every progress line twice
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore::FutureWarning",
}


def connect(config: RayConfig) -> None:
    """Join the cluster of `ray.address` or RAY_ADDRESS, or start a local one; do nothing if already connected."""
    if ray.is_initialized():
        show_progress()
        return
    address = config.address or os.environ.get("RAY_ADDRESS", "")
    # Nothing takes a local machine away: one process less to start for every fit.
    joined = str(int(bool(address)))
    variables = {**ENVIRONMENT, "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": joined, JOINED: joined}
    os.environ.update(variables)
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": variables},
        # Ray's own warnings would bury our progress lines; they stand in its log files.
        "logging_config": ray.LoggingConfig(log_level="ERROR"),
        "logging_level": "error",
    }
    if address:
        _join(address, options)
    else:
        # "local": another cluster that was started on this machine is none of ours.
        ray.init("local", num_cpus=config.cpus or None, include_dashboard=False, **options)
    show_progress()


def disconnect() -> None:
    """Leave the cluster, or end the local one, once what the workers said last is shown; do nothing if not connected.

    A head that does not answer is waited for `LEAVE_S` seconds.
    """
    if ray.is_initialized():
        time.sleep(LAST_LINES_S)
        leaving = threading.Thread(target=_leave, daemon=True)
        leaving.start()
        leaving.join(LEAVE_S)


def _leave() -> None:
    forget_all()
    ray.shutdown()


def _join(address: str, options: dict[str, Any]) -> None:
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise ConfigError(
            f"ray.address={address}: no Ray cluster answers there; check it, or start one"
        ) from error


def selector(config: RayConfig, place: str) -> dict[str, str]:
    """Return the labels of the nodes that may do the work of `place`, as Ray's label_selector; none: all nodes may."""
    return labels_of(config).get(place, {})


def capacity(where: Mapping[str, str] = ANYWHERE) -> dict[str, float] | None:
    """Return the resources in sum, used or free, of the living nodes with these labels; None if there is no such node."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"] and _has(node, where)]
    if not found:
        return None
    return {name: sum(each.get(name, 0.0) for each in found) for name in set().union(*found)}


def may_grow() -> bool:
    """Return whether this cluster was there before, and may have an autoscaler."""
    return os.environ.get(JOINED) == "1"


def leaving_nodes() -> frozenset[str]:
    """Return the ids of the living nodes that are announced to be taken away.

    Ray says so nowhere else; its own training asks here too.
    """
    return frozenset(ray._private.state.state.get_draining_nodes())


def node_of(actor: Any) -> str:
    """Return the id of the node where an actor lives; "" if it is not alive."""
    found = ray._private.state.actors(actor._actor_id.hex())
    return str(found["Address"]["NodeID"]) if found.get("State") == "ALIVE" else ""


def _has(node: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    return all(node["Labels"].get(key) == value for key, value in where.items())


def require(cpus: float, gpus: float, what: str, where: Mapping[str, str] = ANYWHERE) -> None:
    """Check that `what` fits the nodes with the labels `where`, taken together: it would wait for ever.

    On a cluster of our own that is a ConfigError. One that was joined may be scaling up: a line says what is waited for.
    """
    have = capacity(where) or {}
    if have and cpus <= have.get("CPU", 0) and gpus <= have.get("GPU", 0):
        return
    nodes = "".join(f" on nodes with {key}={value}" for key, value in where.items())
    message = (
        f"{what}: needs {cpus:g} CPUs and {gpus:g} GPUs{nodes}, the cluster has {have.get('CPU', 0):g} and"
        f" {have.get('GPU', 0):g}{' there' if where else ''}"
    )
    if not may_grow():
        remedy = "leave out ray.labels" if where and not have else "use fewer workers"
        raise ConfigError(f"{message}; {remedy} or a larger cluster")
    print(f"{message}: waiting for it to grow", file=sys.stderr, flush=True)
