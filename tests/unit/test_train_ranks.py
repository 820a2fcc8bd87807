"""Two ranks give the gradient of one, with sharded weights; a checkpoint of two is resumed by one."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_train_exact import reference_of, whole
from training_cases import CASES, Caught, configured, make, random_groups

from raymode.store import Store
from raymode.train.build import shard
from raymode.train.checkpoint import Checkpoints
from raymode.train.step import update

TOKENS = (0, 64, 30)
CUT = ("nll", "eco", "label_smoothing")


def _rank(rank: int, directory: str) -> None:
    """Run every case on two ranks; rank 0 keeps the gradients."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/meet", rank=rank, world_size=2)
    found = {}
    for loss, weight, reduction in CASES:
        for tokens in TOKENS if loss in CUT else TOKENS[:1]:
            groups = random_groups(1 if tokens == 30 else 5)
            config = configured(loss, weight, reduction, tokens_per_batch=tokens)
            model, objective = make(config)
            shard(model, torch.device("cpu"), reduced=False)
            optimizer = Caught(model.parameters(), lr=0.0)
            metrics = update(model, optimizer, groups, objective, config, reference_of(groups))
            found[loss, weight, reduction, tokens] = optimizer.gradient, metrics["loss"]
    model, _ = make(configured())
    shard(model, torch.device("cpu"), reduced=False)
    checkpoints = Checkpoints(Store(directory), model, torch.optim.AdamW(model.parameters()))
    checkpoints.save(3)
    checkpoints.wait()
    if rank == 0:
        torch.save(found, f"{directory}/found.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ranks")
    mp.spawn(_rank, (str(directory),), nprocs=2)  # type: ignore[no-untyped-call]
    return directory


def test_two_ranks_give_the_gradient_of_one(two_ranks: Path) -> None:
    found = torch.load(two_ranks / "found.pt")
    assert len(found) == len(CASES) + 2 * sum(case[0] in CUT for case in CASES)
    for (loss, weight, reduction, tokens), (gradient, value) in found.items():
        groups = random_groups(1 if tokens == 30 else 5)
        config = configured(loss, weight, reduction, tokens_per_batch=tokens)
        model, objective = make(config)
        total, expected = whole(model, objective, groups)
        assert value == pytest.approx(total / sum(len(g.responses) for g in groups), rel=1e-12)
        error = (gradient - expected).abs().max() / expected.abs().max()
        assert error <= 1e-10, (loss, weight, reduction, tokens, error)


def test_one_rank_resumes_what_two_have_saved(two_ranks: Path) -> None:
    model, _ = make(configured(), seed=1)
    expected, _ = make(configured())
    checkpoints = Checkpoints(Store(str(two_ranks)), model, torch.optim.AdamW(model.parameters()))
    assert checkpoints.load() == 3
    for (name, found), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(found, wanted), name
