"""`ray job submit`: what goes up, the exit code and the logs, and what `ray job stop` and Ctrl-C leave."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from raymode.store import Store
from tests.faults.road import wait_for
from tests.integration.conftest import ROOT, SMALL
from tests.integration.test_sweep_faults import assert_whole, members

pytestmark = pytest.mark.slow
MOST_BYTES = 5 << 20
WORKERS = ("MapWorker", "Watch", "EngineActor", "JudgeActor", "RayTrainWorker", "ImplicitFunc")
"""Actors of a job; Ray Data has a few of its own that stay with the cluster."""
Head = tuple[Path, str, dict[str, str]]


def test_what_goes_up_is_small(tmp_path: Path) -> None:
    from ray._private.runtime_env.packaging import create_package

    excludes = yaml.safe_load((ROOT / "cluster" / "runtime_env.yaml").read_text())["excludes"]
    package = tmp_path / "package.zip"
    create_package(str(ROOT), package, include_gitignore=True, excludes=excludes)
    names = zipfile.ZipFile(io.BytesIO(package.read_bytes())).namelist()
    print(f"{package.stat().st_size / 2**20:.2f} MiB in {len(names)} files")
    assert package.stat().st_size < MOST_BYTES
    assert "jobs/sweep_budget.py" in names and "raymode/configs/laptop.yaml" in names
    assert not [name for name in names if name.startswith((".git/", "tests/", "docs/", "runs/"))]


def submit(to: Head, *words: str) -> list[str]:
    ray, address, _ = to
    return [
        str(ray), "job", "submit", "--address", address, "--working-dir", str(ROOT), "--runtime-env",
        "cluster/runtime_env.yaml", *words,
    ]  # fmt: skip


def test_a_job_that_fails_says_so(head: Head, tmp_path: Path) -> None:
    command = submit(
        head, "--", sys.executable, "jobs/sweep_budget.py", "train.stpes=3", f"run_dir={tmp_path}"
    )
    done = subprocess.run(
        command, cwd=ROOT, env=head[2], capture_output=True, text=True, timeout=200
    )
    assert done.returncode != 0
    assert (
        "error: unknown key 'train.stpes'; did you mean 'train.steps'?" in done.stdout + done.stderr
    )
    assert not list(tmp_path.iterdir())


def test_a_job_that_is_stopped_leaves_no_process_and_no_half_table(
    head: Head,
    tmp_path: Path,
) -> None:
    from ray.util.state import list_actors

    ray, address, environment = head
    run_dir = tmp_path / "run"
    job = [
        sys.executable,
        "jobs/sweep_budget.py",
        f"run_dir={run_dir}",
        *SMALL,
        "sample.engine=transformers",
    ]
    command = submit(head, "--submission-id", "cut", "--no-wait", "--", *job)
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=200)
    wait_for(lambda: any(run_dir.glob("sets/parts/*.json")), "a part of the sets", 200)
    stop = [str(ray), "job", "stop", "--address", address, "cut"]
    stopped = subprocess.run(
        stop, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    wait_for(lambda: not naming(str(run_dir)), f"no process of {run_dir}", 60)
    alive = [("state", "=", "ALIVE")]
    wait_for(
        lambda: not [
            actor for actor in list_actors(address=address, filters=alive)
            if actor.class_name.startswith(WORKERS)
        ],
        "no actor", 60,
    )  # fmt: skip
    assert_nothing_is_half_written(run_dir)
    again = subprocess.run(
        submit(head, "--", *job),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert again.returncode == 0 and "report:" in again.stdout, again.stdout[-3000:]
    rows = Store(str(run_dir)).rows("runs.parquet")
    assert [row["status"] for row in rows] == ["finished"] * len(rows)


@pytest.mark.parametrize("moment", ["sets/parts/*.json", "runs/*/train.json"])
def test_ctrl_c_leaves_no_process_and_no_half_table(tmp_path: Path, moment: str) -> None:
    run_dir = tmp_path / "run"
    job = subprocess.Popen(
        [sys.executable, "jobs/sweep_budget.py", f"run_dir={run_dir}", *SMALL, "sample.engine=transformers"],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: any(run_dir.glob(moment)) or job.poll() is not None, moment, 200)
        os.killpg(job.pid, signal.SIGINT)
        _, said = job.communicate(timeout=120)
        assert job.returncode == 130, said[-3000:]
        assert "stopped; give the same command again to go on" in said
        wait_for(lambda: not members(job.pid), "no process of the session", 30)
        assert_nothing_is_half_written(run_dir)
    finally:
        for process in members(job.pid):
            os.kill(process, signal.SIGKILL)


def assert_nothing_is_half_written(run_dir: Path) -> None:
    assert_whole(run_dir)
    assert not list(run_dir.rglob("*.partial"))


def naming(mark: str) -> list[int]:
    """Return the processes whose command names something."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile
    return found
