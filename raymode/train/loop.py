"""The training loop: plain torch, the same file on one process or many ranks, CPU or GPU.

Reads `groups.parquet` and `heldout_groups.parquet` of the run directory; writes `metrics.jsonl`, checkpoints to resume
from, the finished `checkpoint` and `heldout.parquet`. Started again, it goes on from the newest whole checkpoint, and
its metrics equal those of a run that was never stopped.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from raymode.config import Config
from raymode.errors import DataError, TrainingError, brief
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.template import end_id
from raymode.train.batching import group_indices
from raymode.train.checkpoint import load_progress, save_final, save_progress
from raymode.train.heldout import heldout_rows, load_heldout
from raymode.train.step import learning_rate, rank_and_world, update
from raymode.train.tokens import EncodedGroup, encode, groups_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

METRICS = "metrics.jsonl"


def train(
    config: Config, store: Store, base: str, progress: Callable[[int, dict[str, float]], None]
) -> None:
    """Fine-tune the model in `base` on the run directory's groups; every rank calls this.

    `progress(step, metrics)` is called after every update on rank 0. Raises DataError before the first update for
    data that cannot be trained on, TrainingError when the loss stops being finite.
    """
    rank, _ = rank_and_world()
    device = (
        torch.device("cuda", torch.cuda.current_device())
        if config.train.gpu
        else torch.device("cpu")
    )
    tokenizer, model = load_base(base)
    groups = load_groups(store, tokenizer, config)
    heldout = load_heldout(store, tokenizer, config)
    model = place(model, device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
        betas=(0.9, 0.95),
    )
    done = load_progress(store, model, optimizer)
    history = _read_metrics(store, done)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_id(tokenizer)
    model.train()
    for step in range(done, config.train.steps):
        metrics = _one_step(model, optimizer, groups, config, step, pad_id, device, store)
        history.append({"step": step + 1, **metrics})
        if rank == 0:
            progress(step + 1, metrics)
        if (step + 1) % config.train.checkpoint_every == 0 and step + 1 < config.train.steps:
            # Metrics first: a resumed run cuts what its checkpoint has not seen, but cannot invent a gap.
            _write_metrics(store, history, rank)
            save_progress(store, step + 1, model, optimizer, rank)
    _write_metrics(store, history, rank)
    rows = heldout_rows(model, heldout, config, pad_id, device)
    if rank == 0:
        store.write_rows("heldout.parquet", "heldout", rows)
    save_final(store, model, tokenizer, rank)


def load_base(base: str) -> "tuple[PreTrainedTokenizerBase, PreTrainedModel]":
    """Return tokenizer and model, weights in float32, of a local directory, a stored checkpoint or a hub id."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as directory:
        place = (
            base
            if Path(base).is_dir() or "://" not in base
            else Store(base).download("", Path(directory))
        )
        try:
            tokenizer = AutoTokenizer.from_pretrained(place)
            model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise DataError(
                f"model.name={base}: cannot be loaded as a causal language model ({brief(error)})"
            ) from error
    end_id(tokenizer)
    return tokenizer, model


def load_groups(
    store: Store, tokenizer: "PreTrainedTokenizerBase", config: Config
) -> list[EncodedGroup]:
    """Return the run directory's training groups as tokens; DataError if there are none or K differs."""
    groups = encode(tokenizer, groups_of(store.rows("groups.parquet")), config.train.max_tokens)
    if not groups:
        raise DataError(f"{store.url}/groups.parquet: holds no group to train on")
    sizes = {len(group.responses) for group in groups}
    if sizes != {config.train.responses}:
        raise DataError(
            f"{store.url}/groups.parquet: groups have {sorted(sizes)} responses, train.responses={config.train.responses}"
        )
    return groups


def place(model: "PreTrainedModel", device: torch.device) -> "PreTrainedModel":
    """Return the model on `device`, sharded over the ranks with FSDP2 when there are several."""
    model = model.to(device)
    _, world = rank_and_world()
    if world > 1:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device.type, (world,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model


def _one_step(
    model: "PreTrainedModel",
    optimizer: torch.optim.Optimizer,
    groups: list[EncodedGroup],
    config: Config,
    step: int,
    pad_id: int,
    device: torch.device,
    store: Store,
) -> dict[str, float]:
    """Make update `step` and return its metrics; a diverged update leaves its problem ids in `diverged.json`."""
    train = config.train
    schedule = {"peak": train.learning_rate, "warmup": train.warmup_steps, "total": train.steps}
    rate = learning_rate(step, schedule)
    for parameters in optimizer.param_groups:
        parameters["lr"] = rate
    seed = derive_seed(config.seed, "train", train.seed)
    chosen = group_indices(step, len(groups), train.responses_per_step // train.responses, seed)
    batch = [groups[index] for index in chosen]
    started = time.perf_counter()
    try:
        metrics = update(model, optimizer, batch, config, pad_id, device)
    except TrainingError as error:
        store.write_json(
            "diverged.json", {"step": step + 1, "problems": [group.problem_id for group in batch]}
        )
        raise TrainingError(
            f"update {step + 1}: {error}; see {store.url}/diverged.json; try a lower train.learning_rate"
        ) from error
    seconds = time.perf_counter() - started
    return {**metrics, "learning_rate": rate, "eco_weight": config.eco.weight, "step_s": seconds}


def _read_metrics(store: Store, done: int) -> list[dict[str, Any]]:
    """Return the metrics of the first `done` updates, as the checkpoint's run wrote them."""
    if done == 0 or not store.exists(METRICS):
        return []
    rows = [json.loads(line) for line in store.read_bytes(METRICS).splitlines()]
    return [row for row in rows if row["step"] <= done]


def _write_metrics(store: Store, history: list[dict[str, Any]], rank: int) -> None:
    if rank == 0:
        store.write_bytes(METRICS, "".join(json.dumps(row) + "\n" for row in history).encode())
