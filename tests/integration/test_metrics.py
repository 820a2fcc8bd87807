"""What a job shows to whoever scrapes its Ray: how far each stage is, how fast, and what it has cost."""

import re
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from .conftest import ROOT, SMALL

METRIC = re.compile(r"^ray_(raymode_\w+)\{(.*)\} (\S+)$", re.MULTILINE)
FIND = """
import ray
ray.init(log_to_driver=False, logging_level="error")
(node,) = ray.nodes()
print(node["NodeManagerAddress"], node["MetricsExportPort"])
"""


@pytest.fixture
def address(monkeypatch):
    """Yield the address of a Ray of one node."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster.address
    cluster.shutdown()


def scraped(endpoint):
    """Return what the node tells under raymode_*: (metric, stage, run, unit) to value."""
    with urllib.request.urlopen(endpoint, timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for name, labels, value in METRIC.findall(text):
        tags = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[name, tags["stage"], tags["run"], tags["unit"]] = float(value)
    return found


@pytest.mark.slow
def test_stages_can_be_scraped(address, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FIND], capture_output=True, text=True, check=True, cwd=ROOT
    )
    host, port = done.stdout.split()[-2:]
    seen, ended = {}, threading.Event()

    def scrape():
        while not ended.wait(1):
            seen.update(scraped(f"http://{host}:{port}/metrics"))

    scraping = threading.Thread(target=scrape)
    scraping.start()
    try:
        subprocess.run(
            [
                sys.executable, "jobs/sweep_budget.py", *SMALL, f"run_dir={tmp_path / 'run'}", "sweep.responses=[2]",
                "sample.engine=transformers", "train.steps=400",
            ],
            cwd=ROOT, check=True, timeout=400, capture_output=True,
        )  # fmt: skip
        time.sleep(12)  # Ray's processes hand over what they have every ten seconds
    finally:
        ended.set()
        scraping.join()
    run = "P=6 K=2 nll seed 0"
    assert seen["raymode_total", "sets", "", "programs"] == 523
    assert 0 < seen["raymode_done", "sets", "", "programs"] <= 523
    assert seen["raymode_per_second", "sets", "", "programs"] > 0
    assert seen["raymode_work_seconds_total", "sets", "", "programs"] > 0
    assert seen["raymode_total", "train", run, "updates"] == 400
    stages = {stage for name, stage, *_ in seen if name == "raymode_done"}
    assert stages == {"sets", "train", "sample", "score"}
