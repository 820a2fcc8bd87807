"""Machines whose loss is announced: training leaves a checkpoint at once, sampling goes on elsewhere.

Real raylets on this machine stand for the machines; they are drained as a cloud's notice would, and then killed.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from .conftest import ROOT, SMALL

STORE = 100 << 20


@pytest.fixture
def machines(monkeypatch):
    """Start a head without CPUs; yield its cluster."""
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster = Cluster()
    cluster.add_node(num_cpus=0, object_store_memory=STORE)
    yield cluster
    cluster.shutdown()


def add(cluster, cpus=1):
    return cluster.add_node(num_cpus=cpus, object_store_memory=STORE)


def drain(cluster, node, seconds):
    """Announce that a node will be gone in so many seconds: what `ray drain-node` does."""
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    deadline = time.time_ns() // 10**6 + seconds * 1000
    reason = autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION
    client = GcsClient(address=cluster.address)
    is_accepted, why = client.drain_node(node.node_id, reason, "spot", deadline)
    assert is_accepted, why


class Job:
    """A Python program in a process of its own on a cluster, with what it has said so far."""

    def __init__(self, cluster, *arguments):
        environment = {**os.environ, "RAY_ADDRESS": cluster.address, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait_until(self, is_so, seconds=120):
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until and self.process.poll() is None, self.lines[-20:]
            time.sleep(0.1)

    def wait_for(self, words, seconds=120):
        self.wait_until(lambda: any(words in line for line in self.lines), seconds)
        return next(line for line in self.lines if words in line)


def metrics(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_training_leaves_a_checkpoint_when_a_machine_is_announced_to_go(machines, small, tmp_path):
    from raymode.stages import train

    arguments = ["train.workers=2", "train.steps=1000", "train.checkpoint_every=10000"]
    first, _ = add(machines), add(machines)
    given = small(*arguments, run_dir="drained")
    with Job(
        machines, "jobs/train.py", f"run_dir={given.run_dir}", f"sets.path={given.sets.path}",
        *SMALL, *arguments, "train.max_failures=0",
    ) as job:  # fmt: skip
        job.wait_for("update ")
        drain(machines, first, 12)
        kept = job.wait_for("a machine is being taken away; checkpoint after update ", 30)
        add(machines)
        time.sleep(12)
        machines.remove_node(first, allow_graceful=False)
        assert job.process.wait(240) == 0, job.lines[-20:]
    update = int(kept.split("after update ")[1].split("/")[0])
    found = metrics(tmp_path / "drained")
    assert [row["step"] for row in found] == list(range(1, 1001))
    began = [
        after["step"]
        for before, after in itertools.pairwise(found)
        if after["elapsed_s"] < before["elapsed_s"]
    ]
    assert began == [update + 1]
    train(small(*arguments, run_dir="undisturbed"))
    undisturbed = metrics(tmp_path / "undisturbed")
    assert [row["nll_per_token"] for row in found] == pytest.approx(
        [row["nll_per_token"] for row in undisturbed], rel=1e-5
    )


ANSWERS = """
import json, sys, time
import ray
from raymode.actors import answers
from raymode.cluster import connect
from raymode.config import RayConfig

class Slow:
    def __init__(self, directory):
        self.directory = directory

    def work(self, piece):
        began, node = time.time(), ray.get_runtime_context().get_node_id()
        open(f"{self.directory}/{node}", "w").close()
        time.sleep(piece)
        return node, began

connect(RayConfig())
pieces = dict.fromkeys(range(int(sys.argv[1])), float(sys.argv[2]))
options = {"num_cpus": 1}
for number, (node, began) in answers(Slow, (sys.argv[4],), options, 2, "work", pieces, hedged=sys.argv[3] == "hedged"):
    print(json.dumps([number, node, began]), flush=True)
"""


def answered(job):
    return [json.loads(line) for line in job.lines if line.startswith("[")]


def test_an_actor_on_a_machine_that_is_to_go_gets_no_further_piece(machines, tmp_path):
    leaving, staying = add(machines), add(machines)
    with Job(machines, "-c", ANSWERS, "30", "1", "each", str(tmp_path)) as job:
        job.wait_for("[0,")
        drain(machines, leaving, 60)
        drained = time.time()
        coming = add(machines)
        assert job.process.wait(90) == 0, job.lines[-20:]
    found = answered(job)
    assert sorted(number for number, _, _ in found) == list(range(30))
    # What was handed out before: two pieces, of which one may have begun; and one look later.
    late = [began for _, node, began in found if node == leaving.node_id and began > drained + 2.5]
    assert len(late) <= 1
    assert {node for _, node, _ in found} >= {staying.node_id, coming.node_id}


@pytest.mark.slow
def test_what_an_engine_on_a_machine_that_is_to_go_has_is_asked_elsewhere_too(machines, tmp_path):
    leaving = add(machines)
    with Job(machines, "-c", ANSWERS, "1", "25", "hedged", str(tmp_path)) as job:
        job.wait_until((tmp_path / leaving.node_id).exists)
        drain(machines, leaving, 60)
        coming = add(machines)
        job.wait_until((tmp_path / coming.node_id).exists)
        assert not answered(job)
        assert job.process.wait(60) == 0, job.lines[-20:]
    ((number, node, _),) = answered(job)
    assert (number, node) == (0, leaving.node_id)
