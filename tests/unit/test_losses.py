"""Losses: their identities, gradients and edge cases, by hand and in float64."""

import math

import pytest
import torch

from raymode.losses import LOSSES, eco, nll, variance_term

LOGP = torch.tensor([[-3.0, -5.0, -10.0], [-1.0, -1.0, -1.0]], dtype=torch.float64)
TOKENS = torch.tensor([[3, 5, 10], [2, 4, 6]])


def test_nll_is_validity_and_uniformity_over_the_group():
    # mean NLL = -log Z + KL(u || q) + log K
    logp_K = LOGP[0]
    log_z = torch.logsumexp(logp_K, 0)
    q_K = torch.exp(logp_K - log_z)
    divergence = (1 / 3 * torch.log(1 / 3 / q_K)).sum()
    assert nll(LOGP, TOKENS)[0].item() == pytest.approx(
        (-log_z + divergence + math.log(3)).item(), rel=1e-12
    )


def test_eco_adds_the_population_variance():
    assert eco(LOGP, TOKENS, 0.5, "sum").tolist() == pytest.approx([6 + 0.5 * 26 / 3, 1.0])


def test_eco_without_weight_is_nll():
    for reduction in ("sum", "mean", "residual"):
        assert torch.equal(eco(LOGP, TOKENS, 0.0, reduction), nll(LOGP, TOKENS))


def test_one_response_has_no_variance():
    for reduction in ("sum", "mean", "residual"):
        assert variance_term(LOGP[:, :1], TOKENS[:, :1], reduction).tolist() == [0.0, 0.0]


def test_log_probability_proportional_to_length_is_no_variance_but_for_sum():
    assert variance_term(LOGP, TOKENS, "mean")[0].item() == pytest.approx(0, abs=1e-12)
    assert variance_term(LOGP, TOKENS, "residual")[0].item() == pytest.approx(0, abs=1e-12)
    assert variance_term(LOGP, TOKENS, "sum")[0].item() == pytest.approx(26 / 3)


def test_eco_gradient_is_the_stated_weight():
    # d(-L)/d l_i = 1/K - (2 lambda / K)(l_i - mean l): negative for likely responses, so they are un-learned
    logp = LOGP[:1].clone().requires_grad_()
    eco(logp, TOKENS[:1], 0.5, "sum").sum().backward()
    expected = [1 / 3 - (1 / 3) * (value + 6) for value in (-3.0, -5.0, -10.0)]
    assert (-logp.grad[0]).tolist() == pytest.approx(expected)
    assert expected[0] < 0


def test_the_residual_slope_is_detached():
    logp = torch.tensor([[-3.0, -4.0, -9.0]], dtype=torch.float64, requires_grad=True)
    tokens = torch.tensor([[3, 5, 10]])
    variance_term(logp, tokens, "residual").sum().backward()
    with torch.no_grad():
        length = tokens.double() - tokens.double().mean()
        residual = logp - ((length * logp).sum() / (length**2).sum()) * length
    centred = residual - residual.mean()
    assert logp.grad[0].tolist() == pytest.approx((2 / 3 * centred[0]).tolist())


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="must be 'sum', 'mean' or 'residual'"):
        variance_term(LOGP, TOKENS, "median")


def test_losses_by_name():
    assert set(LOSSES) == {"nll", "eco"}
