"""Held-out log-probabilities: how likely the model finds every right response of problems it was not trained on."""

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from raymode.config import Config
from raymode.store import Store
from raymode.train.batching import collate
from raymode.train.logprob import response_logp
from raymode.train.step import rank_and_world
from raymode.train.tokens import EncodedGroup, encode, groups_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


Single = tuple[EncodedGroup, int]
"""One held-out response as a group of its own, and its place among the problem's responses."""


def load_heldout(
    store: Store, tokenizer: "PreTrainedTokenizerBase", config: Config
) -> list[Single]:
    """Return the run directory's held-out responses as tokens; DataError for one that is too long."""
    if not store.exists("heldout_groups.parquet"):
        return []
    groups = groups_of(store.rows("heldout_groups.parquet"))
    return [
        (EncodedGroup(group.problem_id, group.prompt, (response,)), index)
        for group in encode(tokenizer, groups, config.train.max_tokens)
        for index, response in enumerate(group.responses)
    ]


def heldout_rows(
    model: "PreTrainedModel",
    singles: list[Single],
    config: Config,
    pad_id: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Return rows of the `heldout` table, one per held-out response, in order.

    Every rank calls this and gets all rows.
    """
    rank, world = rank_and_world()
    chunks = _chunks(singles, config.train.responses_per_step)
    # With FSDP every rank must make the same number of passes, so the last round repeats a chunk where one is missing.
    rounds = -(-len(chunks) // world)
    model.eval()
    logps: dict[int, list[float]] = {}
    with torch.no_grad():
        for turn in range(rounds):
            place = min(turn * world + rank, len(chunks) - 1)
            batch = collate([single for single, _ in chunks[place]], pad_id).to(device)
            logps[place] = response_logp(model, batch)[0][:, 0].tolist()
    model.train()
    if world > 1:
        gathered: list[Any] = [None] * world
        dist.all_gather_object(gathered, logps)
        logps = {place: values for part in gathered for place, values in part.items()}
    flat = [logp for place in range(len(chunks)) for logp in logps[place]]
    return [
        {
            "problem_id": single.problem_id,
            "index": index,
            "logp": logp,
            "tokens": len(single.responses[0]),
        }
        for (single, index), logp in zip(singles, flat, strict=True)
    ]


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
