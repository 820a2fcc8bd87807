"""Checkpoints to resume from, and the finished model as a `save_pretrained` directory.

A checkpoint is a directory `checkpoints/step-000100` in the run directory, whole once its manifest stands; the newest
whole one is resumed from, with any number of ranks, and older ones are deleted. The finished model is `checkpoint`,
which transformers and vLLM open unchanged.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from raymode.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DIRECTORY = "checkpoints"
FINAL = "checkpoint"
_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


def save_progress(
    store: Store, step: int, model: "PreTrainedModel", optimizer: torch.optim.Optimizer, rank: int
) -> None:
    """Save model and optimizer after update `step` (all ranks call; rank 0 writes), then drop older checkpoints."""
    model_state, optimizer_state = get_state_dict(model, optimizer, options=_FULL)
    if rank != 0:
        return
    name = f"step-{step:06d}"
    with tempfile.TemporaryDirectory() as directory:
        torch.save(
            {"model": model_state, "optimizer": optimizer_state, "step": step},
            Path(directory) / "state.pt",
        )
        store.upload(Path(directory), f"{DIRECTORY}/{name}")
    for other in store.names(DIRECTORY):
        if (
            other != name
        ):  # one that a killed run left half-written under this name has just been made whole
            store.delete(f"{DIRECTORY}/{other}")


def load_progress(store: Store, model: "PreTrainedModel", optimizer: torch.optim.Optimizer) -> int:
    """Load the newest whole checkpoint into `model` and `optimizer`; return how many updates it has seen (0 = none)."""
    whole = [
        name for name in store.names(DIRECTORY) if store.exists(f"{DIRECTORY}/{name}/manifest.json")
    ]
    if not whole:
        return 0
    with tempfile.TemporaryDirectory() as directory:
        local = store.download(f"{DIRECTORY}/{whole[-1]}", Path(directory))
        state: dict[str, Any] = torch.load(local / "state.pt", weights_only=True)
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
        options=_FULL,
    )
    return int(state["step"])


def save_final(
    store: Store, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", rank: int
) -> None:
    """Write the finished model and its tokenizer as `checkpoint` (all ranks call; rank 0 writes)."""
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    state = get_model_state_dict(model, options=_FULL)
    if rank != 0:
        return
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory, state_dict=state)
        tokenizer.save_pretrained(directory)
        store.delete(FINAL)
        store.upload(Path(directory), FINAL)
