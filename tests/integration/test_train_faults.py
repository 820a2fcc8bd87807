"""A training that loses a process goes on from the last checkpoint, with the losses of an undisturbed run."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from raymode import stages
from raymode.config import Config
from raymode.errors import StorageError
from raymode.store import Store
from tests.integration.killers import processes

ARGUMENTS = ("train.steps=80", "train.checkpoint_every=10", "train.workers=2")


def losses(config: Config) -> list[float]:
    lines = Store(config.run_dir).read_bytes("metrics.jsonl").splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "count"), [("ray::RayTrainWorker", 2), ("ray::TrainController", 1)]
)
def test_a_lost_process_costs_only_the_updates_since_the_last_checkpoint(
    small: Callable[..., Config], title: str, count: int
) -> None:
    whole, cut = small(*ARGUMENTS, run_dir="whole"), small(*ARGUMENTS, run_dir="cut")
    stages.train(whole)
    store, failure = Store(cut.run_dir), list[BaseException]()

    def run() -> None:
        try:
            stages.train(cut)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 240
    while not any(
        store.exists(f"checkpoints/{name}/manifest.json") for name in store.names("checkpoints")
    ):
        assert time.monotonic() < deadline and not failure
        time.sleep(0.01)
    victims = [each for each, (_, _, name) in processes().items() if name.startswith(title)]
    assert len(victims) == count
    os.kill(victims[0], signal.SIGKILL)
    thread.join(300)
    assert not failure and not thread.is_alive()
    assert len(losses(cut)) == 80
    assert losses(cut) == pytest.approx(losses(whole), rel=1e-9)


def one_rank_fails(logp: Tensor) -> Tensor:
    """A loss of one's own, which meets an error on one of two workers; the other waits for it in a collective."""
    if torch.distributed.get_rank() == 1:
        raise StorageError("the disk of this worker alone is gone")
    return -logp.mean()


def test_an_error_of_one_worker_ends_all_at_once(small: Callable[..., Config]) -> None:
    loss = f"train.loss={__name__}:one_rank_fails"
    began = time.monotonic()
    with pytest.raises(StorageError, match="the disk of this worker alone is gone"):
        stages.train(small("train.workers=2", loss, run_dir="one"))
    assert time.monotonic() - began < 120  # not the half hour that a collective waits
