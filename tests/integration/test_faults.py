"""Real SIGKILLs of real jobs: the same command again ends with the tables of an undisturbed run."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from raymode import stages
from raymode.errors import ConfigError
from raymode.store import Store
from tests.integration.conftest import ROOT, SMALL, run_job

COSTS = ("train_core_s", "sample_core_s", "score_core_s")


def start(name, *arguments):
    """Start a job in a process group of its own and return it."""
    return subprocess.Popen(
        [sys.executable, f"jobs/{name}.py", *arguments],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the job did not get that far"
        time.sleep(0.05)


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def losses(store):
    lines = store.read_bytes("metrics.jsonl").decode().splitlines()
    return [line.split('"step_s"')[0] for line in lines]


@pytest.mark.slow
def test_a_killed_training_job_goes_on_from_its_checkpoint(small, tmp_path):
    arguments = ["train.steps=60", "train.checkpoint_every=20"]
    whole, config = small(*arguments, run_dir="whole"), small(*arguments, run_dir="cut")
    stages.train(whole)
    cut = tmp_path / "cut"
    job = start("train", *SMALL, f"sets.path={config.sets_path}", *arguments, f"run_dir={cut}")
    wait_until(lambda: any(cut.glob("checkpoints/*/manifest.json")))
    kill(job)
    assert not (cut / "checkpoint").exists()
    before = seconds(Store(str(cut)))
    assert len(before) >= 20
    with pytest.raises(
        ConfigError, match=r"train was begun with another configuration: train\.steps: 60 → 61"
    ):
        stages.train(small("train.steps=61", "train.checkpoint_every=20", run_dir="cut"))
    stages.train(config)
    assert (
        seconds(Store(str(cut)))[:20] == before[:20]
    )  # measured by the killed process: not done again
    assert losses(Store(str(cut))) == losses(Store(whole.run_dir))
    assert Store(str(cut)).rows("heldout.parquet") == Store(whole.run_dir).rows("heldout.parquet")


def seconds(store):
    return [json.loads(line)["step_s"] for line in store.read_bytes("metrics.jsonl").splitlines()]


def tables(run_dir):
    """Return everything a sweep decided, without what it cost."""
    store = Store(str(run_dir))
    runs = [
        {name: value for name, value in row.items() if name not in COSTS}
        for row in store.rows("runs.parquet")
    ]
    parts = {}
    for row in runs:
        trial = store.child(f"runs/{row['run_id']}")
        parts[row["run_id"]] = [
            trial.rows(name)
            for name in (
                "groups.parquet",
                "heldout.parquet",
                "completions",
                "judged",
                "scores.parquet",
            )
        ]
    return str(runs), str(parts)


MOMENTS = (
    "sets/parts/*.json",
    "runs/*/checkpoints/*/manifest.json",
    "runs/*/checkpoint/manifest.json",
    "runs/*/completions/*.parquet",
    "runs/*/run.json",
)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_sweep_ends_with_the_same_tables(tmp_path_factory, tmp_path, moment):
    whole = tmp_path_factory.getbasetemp() / "undisturbed"
    if not (whole / "report.html").exists():
        run_job("sweep_budget", *SMALL, f"run_dir={whole}", timeout=600)
    cut = tmp_path / "cut"
    job = start("sweep_budget", *SMALL, f"run_dir={cut}")
    wait_until(lambda: any(cut.glob(moment)))
    kill(job)
    run_job("sweep_budget", *SMALL, f"run_dir={cut}", timeout=600)
    assert tables(cut) == tables(whole)


def test_a_second_driver_says_so_and_stops(tmp_path):
    from raymode.lock import exclusive

    with exclusive(Store(str(tmp_path))):
        done = run_job("sweep_budget", *SMALL, f"run_dir={tmp_path}", check=False)
    assert done.returncode == 2
    assert f"another driver is at work here (process {os.getpid()} on" in done.stderr
