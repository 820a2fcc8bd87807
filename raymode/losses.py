"""Losses of a group of responses as pure functions of their log-probabilities.

Shapes: P prompts, K responses each. `logp_PK` is log P(y|x) in nats, summed over a response's tokens (end of sequence
included); `tokens_PK` is how many tokens that is. Every loss returns `loss_P`, one value per prompt in nats per
response: the caller averages over the prompts of a global batch, so accumulation and ranks change nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor

GroupLoss = Callable[[Tensor, Tensor, float, str], Tensor]


def nll(logp_PK: Tensor, tokens_PK: Tensor, weight: float = 0.0, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood: −mean_i ℓ_i.

    Equals −log Z + KL(u‖q) + log K with Z = Σ_i P(y_i|x), q_i = P(y_i|x)/Z and u uniform, so over a whole group it
    already pulls towards uniform over the right responses. Weights w_i = 1/K. `weight` and `reduction` have no effect.
    """
    return -logp_PK.mean(dim=1)


def eco(logp_PK: Tensor, tokens_PK: Tensor, weight: float, reduction: str = "mean") -> Tensor:
    """Equivalence coverage optimisation: −mean_i ℓ_i + λ·Var_i(r_i), λ = `weight`, population variance.

    r_i is ℓ_i ("sum"), ℓ_i per token ("mean"), or ℓ_i minus its least-squares fit on length within the group, slope
    detached ("residual"). K = 1 gives variance 0. Weights for "sum": 1/K − (2λ/K)(ℓ_i − mean ℓ), negative once
    ℓ_i − mean ℓ > 1/(2λ): a likely right response is then un-learned. With "sum" and responses of unequal length,
    λ ≥ 0.1 collapses on the longest response; "residual" is 0 for K = 2 and unequal lengths.
    """
    return nll(logp_PK, tokens_PK) + weight * variance_term(logp_PK, tokens_PK, reduction)


def variance_term(logp_PK: Tensor, tokens_PK: Tensor, reduction: str) -> Tensor:
    """Return Var_i(r_i) per prompt, shape (P,): ECO's penalty, and with "sum" the within-prompt variance of the loss."""
    if reduction == "sum":
        reduced_PK = logp_PK
    elif reduction == "mean":
        reduced_PK = logp_PK / tokens_PK
    elif reduction == "residual":
        reduced_PK = logp_PK - _length_fit(logp_PK.detach(), tokens_PK)
    else:
        raise ValueError(f"reduction {reduction!r}: must be 'sum', 'mean' or 'residual'")
    return reduced_PK.var(dim=1, correction=0)


def _length_fit(logp_PK: Tensor, tokens_PK: Tensor) -> Tensor:
    """Return slope·(tokens − mean tokens) of the least-squares fit of ℓ on length in each group."""
    centred_PK = tokens_PK.to(logp_PK.dtype) - tokens_PK.to(logp_PK.dtype).mean(dim=1, keepdim=True)
    spread_P = centred_PK.square().sum(dim=1)
    slope_P = (centred_PK * logp_PK).sum(dim=1) / torch.where(spread_P > 0, spread_P, 1.0)
    return slope_P[:, None] * centred_PK


LOSSES: dict[str, GroupLoss] = {"nll": nll, "eco": eco}
