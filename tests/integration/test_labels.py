"""`ray.labels`: every part of a sweep runs on the nodes with its label and on no others; what has no nodes waits, saying so.

Real raylets on this machine stand for the nodes.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from raymode.cluster import JOINED, capacity, require
from raymode.errors import ConfigError

from .conftest import ROOT, SMALL

STORE = 100 << 20
PLACES = {
    "MapWorker(MapBatches(_Verifier))": "verify",
    "JudgeActor": "verify",
    "RayTrainWorker": "train",
    "EngineActor": "sample",
    "TrainController": "drive",
    "Watch": "drive",
    "ImplicitFunc": "drive",  # a trial of Tune
}
ACTORS = """
import json, ray
ray.init(log_to_driver=False, logging_level="error")
from ray._private.state import actors
print(json.dumps([[each["ActorClassName"], each["Address"]["NodeID"]] for each in actors().values()]))
"""


@pytest.fixture
def nodes(monkeypatch):
    """Start a head without CPUs; yield its address and a function that adds a node for a place, or for none."""
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster = Cluster()

    def add(place, cpus):
        labels = {f"raymode/{place}": "true"} if place else None
        return cluster.add_node(num_cpus=cpus, labels=labels, object_store_memory=STORE)

    add.head = add("drive", 0).node_id
    yield cluster.address, add
    cluster.shutdown()


def wait_for(lines, words, seconds=120):
    until = time.monotonic() + seconds
    while not any(words in line for line in lines):
        assert time.monotonic() < until, lines
        time.sleep(0.2)


@pytest.mark.slow
def test_a_sweep_keeps_to_its_nodes_and_waits_for_those_that_are_missing(nodes, tmp_path):
    address, add = nodes
    names = {add.head: "drive", add("", 2).node_id: "other", add("train", 1).node_id: "train"}
    environment = {**os.environ, "RAY_ADDRESS": address, "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(
        [
            sys.executable, "jobs/sweep_budget.py", *SMALL, f"run_dir={tmp_path / 'run'}", "sweep.responses=[2]",
            "sample.engine=transformers", "score.branching=true", "ray.labels=[drive,verify,train,sample]",
        ],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    said = []
    reader = threading.Thread(target=lambda: said.extend(job.stderr), daemon=True)
    reader.start()
    try:
        wait_for(said, "sets.actors=2: needs 1 CPUs and 0 GPUs on nodes with raymode/verify=true")
        names[add("verify", 2).node_id] = "verify"
        wait_for(said, "on nodes with raymode/sample=true, the cluster has 0 and 0 there: waiting")
        names[add("sample", 1).node_id] = "sample"
        assert job.wait(240) == 0, said[-20:]
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    seen = subprocess.run(
        [sys.executable, "-c", ACTORS], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(seen.stdout.splitlines()[-1])
    there = {kind: {names[node] for name, node in found if name.endswith(kind)} for kind in PLACES}
    assert there == {kind: {place} for kind, place in PLACES.items()}


def test_a_label_that_no_node_has_is_refused_on_a_cluster_of_our_own(cluster, monkeypatch, capfd):
    monkeypatch.setenv(JOINED, "0")
    missing = {"raymode/train": "true"}
    assert capacity(missing) is None
    with pytest.raises(
        ConfigError, match=r"raymode/train=true, the cluster has 0 and 0 there; lea"
    ):
        require(1, 0, "train.workers=1", missing)
    with pytest.raises(ConfigError, match=r"raymode/train=true"):
        require(0, 0, "what needs nothing but the node", missing)
    monkeypatch.setenv(JOINED, "1")
    require(1, 0, "train.workers=1", missing)
    assert (
        capfd.readouterr()
        .err.strip()
        .endswith("the cluster has 0 and 0 there: waiting for it to grow")
    )


def test_nodes_with_a_label_are_counted_alone(cluster, monkeypatch):
    import ray

    monkeypatch.setenv(JOINED, "0")
    (here,) = ray.nodes()
    key = "ray.io/node-id"
    assert capacity({key: here["NodeID"]})["CPU"] == capacity()["CPU"] == 2
    require(2, 0, "two", {key: here["NodeID"]})
    with pytest.raises(
        ConfigError, match=r"needs 3 CPUs and 0 GPUs on nodes with ray\.io/node-id="
    ):
        require(3, 0, "three", {key: here["NodeID"]})
