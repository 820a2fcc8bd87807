"""What training with each group loss does to a set of responses of unequal length.

The model has one free probability per response ("marker") and, after it, that response's own distribution of symbols.
The symbols are drawn anew for every prompt, so length carries log-probability that cannot be learned, and the truth is
uniform over the markers. One marker more stands for all wrong answers.
"""

import functools
import math
from typing import NamedTuple

import pytest
import torch
from loss_weights import unlearned

from raymode.losses import LOSSES, GroupScores, eco

LENGTHS = (4, 8, 16, 24, 32, 48)
EQUAL = (16,) * 6
SYMBOLS = 4
UPDATES = 300
PROMPTS = 16


class Outcome(NamedTuple):
    entropy: float  # over the set, 1 = uniform, 0 = one response has it all
    length: float  # mean length over the set's
    longest: float  # share of the longest response in the set
    right: float  # probability of all right markers


@functools.cache
def trained(name, lengths=LENGTHS, base=(), **settings):
    """Return the Outcome of training; `base` are the base model's log-odds of the markers, () = all alike."""
    kinds = len(lengths)
    marker_M = torch.zeros(kinds + 1, requires_grad=True)
    content_MS = torch.zeros(kinds, SYMBOLS, requires_grad=True)
    optimizer = torch.optim.Adam([marker_M, content_MS], lr=0.05)
    base_M = torch.tensor(base or [0.0] * kinds).log_softmax(0)
    tokens_PK = (torch.tensor(lengths) + 1).expand(PROMPTS, kinds)
    reference_PK = base_M - (tokens_PK - 1) * math.log(SYMBOLS)
    for counts_PKS in symbol_counts(lengths):
        content_PK = (counts_PKS * content_MS.log_softmax(1)).sum(dim=2)
        logp_PK = marker_M.log_softmax(0)[:kinds] + content_PK
        scores = GroupScores(logp_PK, tokens_PK, reference_PK)
        optimizer.zero_grad()
        torch.autograd.backward(LOSSES[name](scores, **settings).mean())
        optimizer.step()
    return outcome(marker_M.detach().softmax(0)[:kinds], torch.tensor(lengths).float())


@functools.cache
def symbol_counts(lengths):
    """Return how often each symbol occurs in the content of each update's responses."""
    generator = torch.Generator().manual_seed(1)
    counts = []
    for length in lengths:
        drawn = torch.randint(SYMBOLS, (UPDATES * PROMPTS, length), generator=generator)
        counts.append(torch.nn.functional.one_hot(drawn, SYMBOLS).sum(dim=1).float())
    return torch.stack(counts, dim=1).view(UPDATES, PROMPTS, len(lengths), SYMBOLS)


def outcome(share_M, length_M):
    q_M = share_M / share_M.sum()
    entropy = torch.special.entr(q_M).sum() / math.log(len(q_M))
    length = (q_M * length_M).sum() / length_M.mean()
    return Outcome(entropy.item(), length.item(), q_M[-1].item(), share_M.sum().item())


def test_nll_finds_the_truth():
    found = trained("nll")
    assert found.entropy > 0.999 and found.right > 0.99
    assert found.longest == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize(("weight", "entropy", "longest"), [(0.1, 0.35, 0.8), (1.0, 0.01, 0.99)])
def test_eco_sum_collapses_on_the_longest_response(weight, entropy, longest):
    found = trained("eco", weight=weight, reduction="sum")
    assert found.entropy < entropy and found.longest > longest
    assert found.right > 0.99  # validity says nothing of it


@pytest.mark.parametrize(
    ("reduction", "weight", "share"),
    [("sum", 0.1, 0.5), ("sum", 0.01, 0.0), ("mean", 1.0, 0.0), ("residual", 1.0, 0.0)],
)
def test_the_collapse_is_announced_before_the_first_update(reduction, weight, share):
    tokens_PK = torch.tensor([LENGTHS]) + 1
    logp_PK = -math.log(7) - (tokens_PK - 1) * math.log(SYMBOLS)
    scores = GroupScores(logp_PK, tokens_PK)
    loss = functools.partial(eco, weight=weight, reduction=reduction)
    assert unlearned(loss, scores).tolist() == [share]


def test_eco_sum_leans_to_the_long_side_already_at_a_small_weight():
    assert 1.1 < trained("eco", weight=0.01, reduction="sum").length < 1.5


def test_eco_sum_is_harmless_at_equal_lengths():
    assert trained("eco", lengths=EQUAL, weight=1.0, reduction="sum").entropy > 0.999


@pytest.mark.parametrize("name", ["eco", "eco_hinge"])
@pytest.mark.parametrize("reduction", ["mean", "residual", "reference"])
@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_the_other_reductions_keep_all_responses(name, reduction, weight):
    found = trained(name, weight=weight, reduction=reduction)
    assert found.entropy > 0.99 and found.right > 0.99
    assert found.length == pytest.approx(1, abs=0.05)


def test_the_hinge_of_sums_leans_to_the_long_side_but_keeps_all():
    found, plain = (trained(name, weight=1.0, reduction="sum") for name in ("eco_hinge", "eco"))
    assert found.entropy > 0.4 > plain.entropy
    assert found.length > 1.5


@pytest.mark.parametrize(("weight", "entropy"), [(1.0, 0.8), (10.0, 0.5)])
def test_the_reference_reduction_keeps_a_collapse_of_the_base_model(weight, entropy):
    # The base model gives 9/10 to the shortest response; in proportion to it the penalty is 0.
    base = (math.log(45), 0.0, 0.0, 0.0, 0.0, 0.0)
    found = trained("eco", weight=weight, reduction="reference", base=base)
    assert found.entropy < entropy and found.length < 0.8


def test_tilting_and_extra_uniformity_lean_to_the_long_side():
    assert trained("tilted", tilt=0.1).length > 1.5
    assert trained("ucpo", uniformity=2.0).length > 1.3


def test_mml_collapses_on_the_likeliest_response():
    found = trained("mml")
    assert found.entropy < 0.05 and found.longest < 0.01
