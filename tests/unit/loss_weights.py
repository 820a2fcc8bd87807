"""Weights of the responses under a loss, by autograd."""

import dataclasses

import torch


def weights(loss, scores):
    """Return w_PK, minus the derivative of the summed loss by the log-probabilities."""
    logp_PK = scores.logp_PK.detach().requires_grad_()
    total = loss(dataclasses.replace(scores, logp_PK=logp_PK)).sum()
    return -torch.autograd.grad(total, logp_PK)[0]


def unlearned(loss, scores):
    """Return the share of each prompt's responses whose weight is negative."""
    return (weights(loss, scores) < 0).double().mean(dim=1)
