"""Losses of single tokens as pure functions of the logits: the diversity-preserving alternatives to cross-entropy.

Every token loss is `f(logits_NV, targets_N, *, settings) -> loss_N`: N predicted tokens, V tokens in the vocabulary, in
nats per token, differentiable in the logits. Logits must be finite. The rows do not depend on each other, so a caller
may cut N as memory asks. Losses over whole groups of responses are in `losses`.

Words of the docstrings: z the logits, p = softmax(z), y the target, sg(·) a constant for the gradient (detached). "Read
in the repository" means that the formula was read in the authors' code, else it is the standard one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

TokenLoss = Callable[..., Tensor]
"""f(logits_NV, targets_N, *, settings with defaults) -> loss_N."""

SMALLEST = 1e-12  # least 1 − p: keeps powers of it and their gradients finite at p = 1


def cross_entropy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Cross-entropy: −log p_y. Gradient p − 1[y]. Summed over a response's tokens it is the NLL of `losses.nll`."""
    return -_target_logp(logits_NV, targets_N)


def label_smoothing(logits_NV: Tensor, targets_N: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Label smoothing: −(1 − ε) log p_y − (ε/V) Σ_v log p_v. Gradient p − (1 − ε) 1[y] − ε/V.

    ε = `smoothing`, 0 to 1. Source: Szegedy et al. 2016 (arXiv 1512.00567). Fails on text: the share ε goes to all
    tokens alike, nearly all of them wrong, so validity falls with the length of a response.
    """
    target_N = _target_logp(logits_NV, targets_N)
    every_N = logits_NV.mean(dim=1) - logits_NV.logsumexp(dim=1)
    return -(1 - smoothing) * target_N - smoothing * every_N


def focal(logits_NV: Tensor, targets_N: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss: −(1 − p_y)^γ log p_y. Gradient g(p_y, γ)(p − 1[y]), g as in `tofu`.

    γ ≥ 0; 0 is cross-entropy. Source: Lin et al. 2017 (arXiv 1708.02002). Fails where data is noisy: tokens that cannot
    be predicted keep all their weight while the learned ones lose theirs.
    """
    logp_N = _target_logp(logits_NV, targets_N)
    return -_one_minus(logp_N).pow(gamma) * logp_N


def entropy_bonus(logits_NV: Tensor, targets_N: Tensor, *, entropy_weight: float = 0.01) -> Tensor:
    """Cross-entropy less a share of the entropy: −log p_y − α H(p), α = `entropy_weight` ≥ 0.

    Gradient p − 1[y] + α p (log p + H). Source: confidence penalty, Pereyra et al. 2017 (arXiv 1701.06548). Fails like
    label smoothing: the entropy counts wrong tokens as well, also where only one token is right.
    """
    logp_NV = logits_NV.log_softmax(dim=1)
    entropy_N = -(logp_NV.exp() * logp_NV).sum(dim=1)
    return cross_entropy(logits_NV, targets_N) - entropy_weight * entropy_N


def gem(
    logits_NV: Tensor,
    targets_N: Tensor,
    *,
    gem_temperature: float = 0.7,
    gem_variant: str = "linear",
) -> Tensor:
    """GEM: Σ_v sg(q_v h_v)(log p_v − log p_y), q = softmax(z/τ), τ = `gem_temperature` (0.7 in the paper).

    h_v = 1 ("linear") or σ(0.01 (z_v − z_y)) ("logsigmoid"). Gradient q h − 1[y] Σ_v q_v h_v: for "linear" that of
    cross-entropy with the sharper q in place of p, so a token stops gaining once q_y, not p_y, nears 1. With τ = 1 and
    "linear" the gradient is that of cross-entropy and the value is less by H(p). Source: arXiv 2408.16673, read in the
    repository. Fails to help against learning one answer by heart: it softens, the data decides. The value may be
    negative: read NLL beside it. ValueError for another variant.
    """
    # log p_v − log p_y = z_v − z_y: the normaliser cancels.
    above_NV = logits_NV - logits_NV.gather(1, targets_N[:, None])
    with torch.no_grad():
        share_NV = (logits_NV / gem_temperature).softmax(dim=1)
        if gem_variant == "logsigmoid":
            share_NV = share_NV * torch.sigmoid(0.01 * above_NV)
        elif gem_variant != "linear":
            raise ValueError(f"gem_variant {gem_variant!r}: must be 'linear' or 'logsigmoid'")
    return (share_NV * above_NV).sum(dim=1)


def sed_sft(
    logits_NV: Tensor,
    targets_N: Tensor,
    *,
    sed_weight: float = 0.2,
    sed_top: int = 2,
    sed_threshold: float = 0.95,
) -> Tensor:
    """SED-SFT: −log p_y + λ·1[Σ_{top k} p < τ]·(p_y(p_y − 1) + ¼), which is (p_y − ½)².

    λ = `sed_weight`, k = `sed_top`, τ = `sed_threshold`; the condition is a constant for the gradient, which is
    (1 − 2λ·1[·] p_y (p_y − ½))(p − 1[y]): where the condition holds, a token above ½ counts less, by λ at most. Source:
    arXiv 2602.07464, read in the repository (λ = 0.2, k = 2, τ = 0.95; a script has 0.7). Fails to touch tokens that
    the model is sure of, where collapse shows most: there the condition is false and it is cross-entropy.
    """
    logp_N = _target_logp(logits_NV, targets_N)
    with torch.no_grad():
        top_NK = logits_NV.softmax(dim=1).topk(min(sed_top, logits_NV.shape[1]), dim=1).values
        open_N = (top_NK.sum(dim=1) < sed_threshold).to(logits_NV.dtype)
    return -logp_N + sed_weight * open_N * (logp_N.exp() - 0.5).square()


def tofu(
    logits_NV: Tensor, targets_N: Tensor, *, gamma: float = 2.0, tofu_beta: float = 0.8
) -> Tensor:
    """TOFU, tempered focal: −sg(g(p_y, γ))·β log softmax(z/β)_y, g(p, γ) = (1 − p)^γ − γ p (1 − p)^{γ−1} log p.

    Gradient g(p_y, γ)(softmax(z/β) − 1[y]): g is the factor of focal loss, β < 1 makes a token stop gaining earlier, as
    in `gem`. γ = 0 and β = 1 is cross-entropy. Source: arXiv 2605.00195, read in the repository, where γ = 3, β = 0.8.
    Fails as `focal` does.
    """
    logp_N = _target_logp(logits_NV, targets_N).detach()
    rest_N = _one_minus(logp_N)
    factor_N = rest_N.pow(gamma) - gamma * logp_N.exp() * rest_N.pow(gamma - 1) * logp_N
    return -factor_N * tofu_beta * _target_logp(logits_NV / tofu_beta, targets_N)


def dft(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Dynamic fine-tuning: −sg(p_y) log p_y. Gradient p_y (p − 1[y]). A negative control.

    A token that is already likely is raised most, so the distribution sharpens and rare right answers are forgotten.
    Source: arXiv 2508.05629.
    """
    logp_N = _target_logp(logits_NV, targets_N)
    return -logp_N.detach().exp() * logp_N


TOKEN_LOSSES: dict[str, TokenLoss] = {
    "cross_entropy": cross_entropy,
    "label_smoothing": label_smoothing,
    "focal": focal,
    "entropy_bonus": entropy_bonus,
    "gem": gem,
    "sed_sft": sed_sft,
    "tofu": tofu,
    "dft": dft,
}


def _target_logp(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Return log p_y, shape (N,)."""
    return logits_NV.gather(1, targets_N[:, None])[:, 0] - logits_NV.logsumexp(dim=1)


def _one_minus(logp_N: Tensor) -> Tensor:
    """Return 1 − p from log p without cancellation, at least SMALLEST."""
    return -torch.expm1(logp_N).clamp(max=-SMALLEST)
