"""One optimiser update on whole groups, and the numbers it logs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from raymode.config import Config
from raymode.errors import TrainingError
from raymode.losses import LOSSES, variance_term
from raymode.train.batching import collate, share_of_rank
from raymode.train.logprob import response_logp
from raymode.train.tokens import EncodedGroup

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of ranks; (0, 1) without torch.distributed."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def update(
    model: "PreTrainedModel",
    optimizer: torch.optim.Optimizer,
    groups: Sequence[EncodedGroup],
    config: Config,
    pad_id: int,
    device: torch.device,
) -> dict[str, float]:
    """Make one update on the global batch `groups`; return its metrics, the same on every rank.

    The loss is the mean over all groups of the batch, in nats per response, divided by the batch's mean response
    length: a constant of the batch that keeps gradient norms comparable across lengths and changes no λ.
    Raises TrainingError, naming the problems, when the loss is not finite.
    """
    rank, world = rank_and_world()
    responses = sum(len(group.responses) for group in groups)
    tokens = sum(group.response_tokens for group in groups)
    mine = share_of_rank(
        [group.response_tokens + len(group.prompt) for group in groups], rank, world
    )
    batch = collate([groups[place] for place in mine], pad_id).to(device)

    logp_PK, tokens_PK = response_logp(model, batch)
    loss_P = LOSSES[config.train.loss](logp_PK, tokens_PK, config.eco.weight, config.eco.reduction)
    # FSDP averages gradients over ranks: times `world` makes that the sum, divided once by global counts.
    scale = world * responses / tokens / len(groups)
    torch.autograd.backward(loss_P.sum() * scale)

    sums = torch.stack(
        [
            loss_P.detach().sum().double(),
            -logp_PK.detach().sum().double(),
            variance_term(logp_PK.detach(), tokens_PK, "sum").sum().double(),
            variance_term(logp_PK.detach(), tokens_PK, config.eco.reduction).sum().double(),
        ]
    )
    if world > 1:
        dist.all_reduce(sums)
    loss, nll, variance, eco_term = sums.tolist()
    if not torch.isfinite(sums).all():
        raise TrainingError(
            f"loss is not finite on problems {', '.join(sorted({g.problem_id for g in groups}))}"
        )
    metrics = {
        "loss": loss / len(groups),  # nats per response
        "nll": nll / responses,  # nats per response
        "nll_per_token": nll / tokens,
        "within_prompt_variance": variance
        / len(groups),  # Var_i(log P(y_i|x)), nats²: V_{y|x} of the loss
        "eco_term": eco_term / len(groups),
        "tokens": float(tokens),
        "grad_norm": _clip(model, config.train.clip_norm),
    }
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return metrics


def learning_rate(step: int, config: Mapping[str, float]) -> float:
    """Return the learning rate of update `step` (from 0): linear warm-up, then cosine to a tenth of the peak."""
    peak, warmup, total = config["peak"], config["warmup"], config["total"]
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1.0, total - warmup)
    return float(peak * (0.55 + 0.45 * torch.cos(torch.tensor(progress * torch.pi)).item()))


def _clip(model: "PreTrainedModel", clip_norm: float) -> float:
    """Scale gradients down to `clip_norm` (0 = do not) and return the norm they had."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm or float("inf"))
    full = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return float(full)
