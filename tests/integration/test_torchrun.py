"""Training by torchrun, without Ray: two ranks as one, again after a kill, and what is said where something is missing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raymode.config import ModelConfig
from raymode.store import Store

KEYS = [
    "train.steps=12", "train.responses=2", "train.responses_per_step=8", "train.checkpoint_every=3",
    "train.warmup_steps=2", "train.max_tokens=128", "train.heldout_every=6",
]  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    from raymode.train.base import make_base

    directory = tmp_path_factory.mktemp("base")
    texts = [row["prompt"] + row["response"] for row in rows(16)]
    make_base(texts, ModelConfig(vocabulary=320, width=64, layers=2), 0, directory)
    return str(directory)


def rows(prompts: int) -> list[dict[str, object]]:
    return [
        {
            "prompt_rank": rank, "problem_id": f"add/{rank}", "prompt": f"Read n. Print n + {rank}.",
            "response_rank": place, "solution_id": f"{rank}/{place}", "response": response, "cluster_id": str(place),
            "right": True, "mode": None,
        }
        for rank in range(prompts)
        for place, response in enumerate(
            (f"n = int(input())\nprint(n + {rank})", f"print(int(input()) + {rank})")
        )
    ]  # fmt: skip


def prepared(directory: Path, base: str) -> Store:
    store = Store(str(directory))
    store.write_rows("groups.parquet", "groups", rows(16))
    store.write_rows("heldout_groups.parquet", "groups", rows(4))
    store.write_json("base.json", {"base": base})
    return store


def command(store: Store, ranks: int, *more: str) -> list[str]:
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--standalone"]
    launcher = launcher if ranks > 1 else []
    return [
        sys.executable, *launcher, "-m", "raymode.train.loop", f"run_dir={store.url}", f"train.workers={ranks}",
        *KEYS, *more,
    ]  # fmt: skip


def run(store: Store, ranks: int, *more: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command(store, ranks, *more), capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def metrics(store: Store) -> list[dict[str, float]]:
    return [json.loads(line) for line in store.read_bytes("metrics.jsonl").splitlines()]


@pytest.mark.slow
def test_two_ranks_learn_what_one_does(tmp_path: Path, base: str) -> None:
    one, two = prepared(tmp_path / "one", base), prepared(tmp_path / "two", base)
    assert "update 12/12" in run(one, 1)
    assert "update 12/12" in run(two, 2)
    assert "is trained already" in run(two, 2)
    assert [row["loss"] for row in metrics(two)] == pytest.approx(
        [row["loss"] for row in metrics(one)], rel=1e-4
    )
    assert metrics(one)[11]["heldout_nll"] < metrics(one)[5]["heldout_nll"]
    assert two.read_json("train.json")["summary"]["pairs"] == 32
    assert metrics(one)[-1]["loss"] < metrics(one)[0]["loss"]


@pytest.mark.slow
def test_the_same_command_goes_on_after_a_kill(tmp_path: Path, base: str) -> None:
    whole, cut = prepared(tmp_path / "whole", base), prepared(tmp_path / "cut", base)
    run(whole, 1, "train.steps=60")
    with subprocess.Popen(
        command(cut, 1, "train.steps=60"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not cut.exists("checkpoints/step-000012/manifest.json"):
            if cut.exists("train.json") or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    if cut.exists("checkpoint/manifest.json"):
        pytest.skip("it had finished before it could be killed")
    run(cut, 1, "train.steps=60")
    assert [row["loss"] for row in metrics(cut)] == [row["loss"] for row in metrics(whole)]
    assert cut.rows("heldout.parquet") == whole.rows("heldout.parquet")


def test_preparing_a_finished_run_again_leaves_it_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raymode import stages
    from raymode.config import Config
    from raymode.errors import ConfigError
    from raymode.rundir import begin, finish, finished

    monkeypatch.setattr(stages, "_select", lambda config: ([], []))
    config = Config(run_dir=str(tmp_path), model=ModelConfig(name="given"))
    store = Store(config.run_dir)
    assert stages.prepare_training(config) == "given"
    begin(store, "train", config)
    finish(store, "train", config, {"prompts": 1})
    assert stages.prepare_training(config) == "given"
    assert finished(store, "train", config) == {"prompts": 1}
    with pytest.raises(ConfigError, match="train was begun with another configuration"):
        stages.prepare_training(Config(run_dir=str(tmp_path), model=ModelConfig(name="other")))


def test_a_directory_that_is_not_prepared_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        command(Store(str(tmp_path)), 1), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert f"{tmp_path}: is not prepared; run jobs/prepare.py" in done.stderr


def test_a_run_directory_that_another_is_at_work_in_is_left_alone(
    tmp_path: Path, base: str
) -> None:
    from raymode.lock import exclusive

    store = prepared(tmp_path, base)
    with exclusive(store):  # as jobs/train.py and torchrun hold it
        done = subprocess.run(
            command(store, 2), capture_output=True, text=True, timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    assert done.returncode == 1
    assert (
        f"run_dir {store.url}: another driver is at work here (process {os.getpid()}" in done.stderr
    )
    assert not store.exists("metrics.jsonl") and not store.exists("checkpoints")
