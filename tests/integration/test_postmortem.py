"""What a job that fails leaves, and events.jsonl: real jobs that fail for real reasons."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from .conftest import ROOT, SMALL, run_job

FAILING = "train.learning_rate=1e30"


def arguments(directory, sets, *more):
    return [*SMALL, f"run_dir={directory}", f"sets.path={sets}", "train.steps=4", *more]


def in_code(code, run_dir, cpus=1):
    """Return the command of a job that is written out here."""
    return [sys.executable, "-c", code, f"run_dir={run_dir}", f"ray.cpus={cpus}"]


def run_code(code, run_dir, cpus=1):
    command = in_code(code, run_dir, cpus)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def events(directory):
    return [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_failed_training_tells_what_where_what_is_safe_and_how_to_go_on(sets, tmp_path):
    run = tmp_path / "a run"
    given = arguments(run, sets, FAILING, "train.checkpoint_every=1")
    done = run_job("train", *given, check=False)
    assert done.returncode == 2
    *_, error, told = done.stderr.splitlines()
    assert error.startswith("error: update 3: ") and "train.learning_rate" in error
    assert told == f"post-mortem: {run}/report/failure.html"
    record = json.loads((run / "failure.json").read_text())
    assert record["job"] == record["stage"] == "train"
    assert record["what"] == "TrainingError: " + error.removeprefix("error: ")
    assert record["where"].startswith("raymode/train/run.py:")
    standing = {row["stage"]: (row["status"], row["safe"]) for row in record["stages"]}
    assert standing == {
        "sets": ("finished", ""),
        "train": ("begun", "checkpoints/step-000002"),
        "sample": ("not begun", ""),
        "score": ("not begun", ""),
    }
    assert shlex.split(record["go_on"]) == ["python", "jobs/train.py", *given]
    page = (run / "report" / "failure.html").read_text()
    assert "checkpoints/step-000002" in page and "Content-Security-Policy" in page
    assert len(page) < 20_000
    started, failed = events(run)
    assert (started["event"], started["stage"]) == ("started", "train")
    assert (failed["event"], failed["stage"]) == ("failed", "train")
    assert failed["run_dir"] == str(run) and failed["error"].startswith("TrainingError: update 3")
    assert run_job("train", *given, check=False).returncode == 2
    assert [line["event"] for line in events(run)] == ["started", "failed", "resumed", "failed"]


@pytest.mark.slow
def test_the_post_mortem_goes_when_the_job_ends_well(sets, tmp_path):
    run = tmp_path / "run"
    given = arguments(run, sets, "sample.engine=transformers")
    early = run_job("sample", *given, check=False)
    assert early.returncode == 2 and "post-mortem" not in early.stderr
    assert not (run / "failure.json").exists()  # there is no run yet
    run_job("train", *given)
    shutil.move(run / "checkpoint", tmp_path / "elsewhere")
    failed = run_job("sample", *given, check=False)
    assert "holds no finished checkpoint" in failed.stderr and "post-mortem: " in failed.stderr
    assert json.loads((run / "failure.json").read_text())["stage"] == "sample"
    run_job("train", *given)  # another job ends well: that mends nothing
    assert (run / "failure.json").exists()
    shutil.move(tmp_path / "elsewhere", run / "checkpoint")
    run_job("sample", *given)
    assert not (run / "failure.json").exists() and not (run / "report" / "failure.html").exists()
    last = events(run)[-1]
    assert (last["event"], last["stage"], last["completions"]) == ("finished", "sample", 48)
    assert last["wall_s"] > 0


@pytest.mark.slow
def test_storage_that_refuses_the_post_mortem_hides_nothing(sets, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "report").write_text("in the way")
    done = run_job("train", *arguments(run, sets, FAILING), check=False)
    assert done.returncode == 2
    *_, error, told = done.stderr.splitlines()
    assert error.startswith("error: update 3: ")
    assert told.startswith("post-mortem: could not be written: ")


def test_an_error_that_nobody_foresaw_keeps_its_traceback_and_exit_code(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    code = "from raymode.job import main; main('Divide.', lambda config: 1 // 0)"
    done = run_code(code, tmp_path)
    assert done.returncode == 1
    *_, error, told = done.stderr.splitlines()
    assert error == "ZeroDivisionError: integer division or modulo by zero"
    assert told == f"post-mortem: {tmp_path}/report/failure.html"
    assert json.loads((tmp_path / "failure.json").read_text())["what"] == error


REPEATING = """
import ray, sys, time
from raymode.errors import DataError
from raymode.job import main

def work(config):
    @ray.remote
    class Worker:
        def say(self):
            print("the same line", file=sys.stderr)
    workers = [Worker.remote() for _ in range(2)]
    ray.get([worker.say.remote() for worker in workers * 4])
    time.sleep(2)  # Ray holds back what it has shown before, and counts it
    raise DataError("the last word")

main("Repeat.", work)
"""


def test_no_workers_line_comes_after_the_last_word(tmp_path):
    done = run_code(REPEATING, tmp_path, cpus=2)
    assert done.returncode == 2
    *said, error = done.stderr.splitlines()
    assert error == "error: the last word"
    assert any("the same line" in line and "repeated" in line for line in said)


HEADLESS = """
import os, signal, ray
from raymode.errors import DataError
from raymode.job import main

def work(config):
    (head,) = ray._private.worker._global_node.all_processes["gcs_server"]
    print(head.process.pid, flush=True)
    os.kill(head.process.pid, signal.SIGSTOP)
    raise DataError("the last word")

main("Lose the head.", work)
"""


@pytest.mark.slow
def test_an_error_is_not_lost_to_a_head_that_does_not_answer(tmp_path):
    job = subprocess.Popen(
        in_code(HEADLESS, tmp_path),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    head = int(job.stdout.readline())
    began = time.monotonic()
    try:
        assert job.stderr.readline() == "error: the last word\n"
        assert time.monotonic() - began < 30
    finally:
        os.kill(head, signal.SIGCONT)
    assert job.wait(60) == 2


INTERRUPTED = """
import os, signal, threading
from raymode.errors import DataError
from raymode.job import main

def work(config):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()  # as Ray is being left
    raise DataError("the last word")

main("Fail.", work)
"""


@pytest.mark.slow
def test_an_error_is_not_lost_to_ctrl_c(tmp_path):
    done = run_code(INTERRUPTED, tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: the last word\n")


@pytest.mark.slow
def test_cells_that_fail_are_told_of(sets, tmp_path):
    run = tmp_path / "run"
    given = arguments(run, sets, "sample.engine=transformers", "sweep.responses=[2]")
    space = f'sweep.space=["train.learning_rate=[{FAILING.partition("=")[2]},0.001]"]'
    done = run_job("sweep_budget", *given, space, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("post-mortem: ")
    record = json.loads((run / "failure.json").read_text())
    assert record["what"] == "cells of the sweep failed"
    assert record["cells"]["ended"] == {"failed": 1, "finished": 1}
    (failed,) = record["cells"]["failed"]
    assert "TrainingError: update 3" in failed["error"] and failed["run_dir"].startswith(str(run))
    told = [(line["event"], line["stage"]) for line in events(run)]
    assert sorted(told) == [
        ("failed", "cell"),
        ("finished", "cell"),
        ("started", "cell"),
        ("started", "cell"),
    ]
