"""A cloud's notice on a machine of a real Ray: the listener hears it, Ray drains the node, and the node goes on working.

And what Kubernetes does to a pod that is to end: SIGTERM to `ray start --block`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.metadata_servers import Metadata, serving

from .conftest import ROOT
from .test_preemption import STORE, Job

HOLDS = """
import json, sys, time
import ray
from raymode.cluster import connect
from raymode.config import RayConfig

class Held:
    def work(self, seconds):
        time.sleep(seconds)
        return ray.get_runtime_context().get_node_id()

connect(RayConfig())
held = ray.remote(Held).options(num_cpus=1).remote()
ray.get(held.work.remote(0))
answer = held.work.remote(float(sys.argv[1]))
while True:
    draining = ray._private.state.state.get_draining_nodes()
    alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    found = ""
    if ray.wait([answer], timeout=0.5)[0]:
        try:
            found = ray.get(answer)
        except ray.exceptions.RayActorError as error:
            found = "announced" if error.preempted else "not announced"
    print(json.dumps([draining, alive, found]), flush=True)
"""
SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def head(monkeypatch):
    """A head without CPUs whose files are apart: `ray start` leaves its address among them."""
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as directory:
        cluster = Cluster()
        cluster.add_node(num_cpus=0, object_store_memory=STORE, temp_dir=directory)
        yield cluster
        cluster.shutdown()


def seen(job):
    """What the program sees last: ids of draining nodes with their deadlines, ids of living ones, the actor's end."""
    lines = [line for line in job.lines if line.startswith("[{")]
    return json.loads(lines[-1]) if lines else [{}, [], ""]


def listening(host, node_id):
    environment = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    return subprocess.Popen(
        [sys.executable, "-m", "raymode.spot", "--cloud=aws", f"--server={host}", f"--node-id={node_id}"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_notice_drains_the_node_and_lets_it_work(head):
    node = head.add_node(num_cpus=1, object_store_memory=STORE)
    metadata = Metadata()
    with serving(metadata) as host, Job(head, "-c", HOLDS, "15") as job:
        job.wait_until(lambda: node.node_id in seen(job)[1])
        with listening(host, node.node_id) as listener:
            job.wait_until(lambda: len(metadata.asked) >= 2)
            assert seen(job)[0] == {}
            metadata.interrupt(120)
            told = time.time()
            job.wait_until(lambda: seen(job)[0], 30)
            heard = time.time() - told
            assert listener.wait(30) == 0
            print(f"draining {heard:.1f} s after the notice", listener.stderr.read(), sep="\n")
        draining, alive, answer = seen(job)
        assert set(draining) == {node.node_id} and not answer
        assert told + 90 < draining[node.node_id] / 1000 < told + 110
        assert node.node_id in alive
        # The work under way is finished there.
        job.wait_until(lambda: seen(job)[2], 30)
        assert seen(job)[2] == node.node_id


@pytest.mark.slow
def test_a_pod_that_is_to_end_is_drained_first(head):
    environment = {**os.environ, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "8"}
    command = f"ulimit -c 0; {SCRIPTS}/ray start --block --address={head.address} --num-cpus=1 --object-store-memory={STORE}"
    with subprocess.Popen(["/bin/bash", "-c", "--", command], env=environment) as pod:
        try:
            with Job(head, "-c", HOLDS, "60") as job:
                job.wait_until(lambda: len(seen(job)[1]) == 2)
                pod.send_signal(signal.SIGTERM)
                told = time.time()
                job.wait_until(lambda: seen(job)[0], 8)
                ((node_id, deadline),) = seen(job)[0].items()
                assert told + 7 < deadline / 1000 < told + 10
                job.wait_until(lambda: node_id not in seen(job)[1], 30)
                took = time.time() - told
                print(f"gone {took:.1f} s after SIGTERM")
                assert 8 <= took < 20
                job.wait_until(lambda: seen(job)[2], 30)
                assert seen(job)[2] == "announced"
        finally:
            pod.kill()
