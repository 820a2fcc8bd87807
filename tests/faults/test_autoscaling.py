"""A cluster that starts and ends its nodes by itself: the stages call them, and they go when nothing is left to do."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.background import repeating
from tests.faults.conftest import run
from tests.faults.nodes import Nodes
from tests.faults.road import STAGES, outcome, wait_for

pytestmark = pytest.mark.slow
MOST = 2
HEAD_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
"""The one that Ray's fake provider gives the head."""
AUTOSCALING: dict[str, Any] = {
    "cluster_name": "raymode-faults",
    "max_workers": MOST,
    "idle_timeout_minutes": 0.1,
    "upscaling_speed": 100,
    "provider": {
        "type": "external",
        # By its class: by name Ray looks for defaults that its package does not hold.
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider", 
        "use_node_id_as_ip": True, "disable_node_updaters": True,
        "disable_launch_config_check": True, "launch_multiple": True, "head_node_id": HEAD_ID,
    },
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {
            "resources": {"CPU": 1, "object_store_memory": 90 << 20}, "labels": {"raymode/verify": "true"},
            "node_config": {}, "min_workers": 0, "max_workers": MOST,
        },
    },
    "auth": {}, "docker": {}, "file_mounts": {}, "cluster_synced_files": [], "initialization_commands": [],
    "setup_commands": [], "head_setup_commands": [], "worker_setup_commands": [],
    "head_start_ray_commands": [], "worker_start_ray_commands": [],
}  # fmt: skip
ENVIRONMENT = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
}  # fmt: skip


@pytest.fixture(scope="module")
def growing() -> Iterator[Nodes]:
    with Nodes(autoscaling=AUTOSCALING, **ENVIRONMENT) as nodes:
        yield nodes


def test_nodes_come_for_each_stage_and_go_after_it(
    growing: Nodes, whole: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    for name, stage in STAGES.items():
        wait_for(lambda: not growing.known(), f"no node before {name}")
        counts: list[int] = []
        began = time.monotonic()
        with repeating(partial(_count, growing, counts), 0.5):
            run(growing, stage.command(growing.address, str(run_dir)), tmp_path / f"{name}.log")
        first = next(index for index, count in enumerate(counts) if count) * 0.5
        print(
            f"{name}: {max(counts)} nodes, first after {first:.0f} s of {time.monotonic() - began:.0f} s"
        )
        assert max(counts) == MOST, name
        assert outcome(name, str(run_dir)) == outcome(name, str(whole)), name
    wait_for(lambda: not growing.known(), "no node at the end")


def _count(nodes: Nodes, counts: list[int]) -> None:
    counts.append(len(nodes.known()))
