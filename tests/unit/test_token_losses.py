"""Token losses: brute-force values and gradients, identities, what is detached, and extreme logits."""

import functools
import math

import pytest
import torch

from raymode.token_losses import TOKEN_LOSSES, gem

GENERATOR = torch.Generator().manual_seed(5)
LOGITS = 3 * torch.randn((7, 6), generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.randint(0, 6, (7,), generator=GENERATOR)


def gradient(loss, logits_NV=LOGITS, targets_N=TARGETS):
    leaf = logits_NV.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf, targets_N).sum(), leaf)
    return found


# Each oracle takes one row of logits as a list, the target and the settings; it returns (loss, gradient in the logits)
# in plain floats. The gradients are the stated ones, so what is detached shows in them.


def softmax(logits, temperature=1.0):
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


def hot(logits, target):
    return [float(place == target) for place in range(len(logits))]


def away(logits, target, factor=1.0, temperature=1.0):
    """Return factor·(softmax(z/temperature) − 1[y])."""
    pairs = zip(softmax(logits, temperature), hot(logits, target), strict=True)
    return [factor * (chance - one) for chance, one in pairs]


def focal_factor(chance, gamma):
    """Return −∂/∂log p of (1 − p)^γ log p, negated: the factor g, by the product rule on p."""
    rest = 1 - chance
    return rest**gamma - gamma * chance * rest ** (gamma - 1) * math.log(chance)


def oracle_cross_entropy(logits, target):
    return -math.log(softmax(logits)[target]), away(logits, target)


def oracle_label_smoothing(logits, target, smoothing):
    p, count = softmax(logits), len(logits)
    wanted = [(1 - smoothing) * one + smoothing / count for one in hot(logits, target)]
    loss = -sum(share * math.log(chance) for share, chance in zip(wanted, p, strict=True))
    return loss, [chance - share for share, chance in zip(wanted, p, strict=True)]


def oracle_focal(logits, target, gamma):
    chance = softmax(logits)[target]
    loss = -((1 - chance) ** gamma) * math.log(chance)
    return loss, away(logits, target, focal_factor(chance, gamma))


def oracle_entropy_bonus(logits, target, entropy_weight):
    p = softmax(logits)
    entropy = -sum(chance * math.log(chance) for chance in p)
    slope = [
        step + entropy_weight * chance * (math.log(chance) + entropy)
        for step, chance in zip(away(logits, target), p, strict=True)
    ]
    return -math.log(p[target]) - entropy_weight * entropy, slope


def oracle_gem(logits, target, gem_temperature, gem_variant):
    p, q = softmax(logits), softmax(logits, gem_temperature)
    gaps = [logit - logits[target] for logit in logits]
    if gem_variant == "logsigmoid":
        q = [share / (1 + math.exp(-0.01 * gap)) for share, gap in zip(q, gaps, strict=True)]
    loss = sum(
        share * (math.log(chance) - math.log(p[target])) for share, chance in zip(q, p, strict=True)
    )
    return loss, [share - sum(q) * one for share, one in zip(q, hot(logits, target), strict=True)]


def oracle_sed_sft(logits, target, sed_weight, sed_top, sed_threshold):
    p = softmax(logits)
    chance = p[target]
    applies = sum(sorted(p)[-sed_top:]) < sed_threshold
    loss = -math.log(chance) + sed_weight * applies * (chance * (chance - 1) + 0.25)
    return loss, away(logits, target, 1 - sed_weight * applies * (2 * chance - 1) * chance)


def oracle_tofu(logits, target, gamma, tofu_beta):
    factor = focal_factor(softmax(logits)[target], gamma)
    loss = -factor * tofu_beta * math.log(softmax(logits, tofu_beta)[target])
    return loss, away(logits, target, factor, tofu_beta)


def oracle_dft(logits, target):
    chance = softmax(logits)[target]
    return -chance * math.log(chance), away(logits, target, chance)


CASES = [
    ("cross_entropy", oracle_cross_entropy, {}),
    ("label_smoothing", oracle_label_smoothing, {"smoothing": 0.2}),
    ("focal", oracle_focal, {"gamma": 2.0}),
    ("focal", oracle_focal, {"gamma": 0.5}),
    ("entropy_bonus", oracle_entropy_bonus, {"entropy_weight": 0.3}),
    ("gem", oracle_gem, {"gem_temperature": 0.7, "gem_variant": "linear"}),
    ("gem", oracle_gem, {"gem_temperature": 0.7, "gem_variant": "logsigmoid"}),
    ("sed_sft", oracle_sed_sft, {"sed_weight": 0.4, "sed_top": 2, "sed_threshold": 0.9}),
    ("tofu", oracle_tofu, {"gamma": 3.0, "tofu_beta": 0.8}),
    ("dft", oracle_dft, {}),
]


@pytest.mark.parametrize(("name", "oracle", "settings"), CASES)
def test_a_loss_and_its_stated_gradient_equal_brute_force(name, oracle, settings):
    loss = functools.partial(TOKEN_LOSSES[name], **settings)
    values, slopes = loss(LOGITS, TARGETS), gradient(loss)
    assert values.shape == (7,)
    for place in range(7):
        value, slope = oracle(LOGITS[place].tolist(), int(TARGETS[place]), **settings)
        assert values[place].item() == pytest.approx(value, rel=1e-10, abs=1e-12)
        assert slopes[place].tolist() == pytest.approx(slope, rel=1e-9, abs=1e-12)


def test_every_loss_has_a_case_and_sed_sft_both_sides_of_its_condition():
    assert {name for name, _, _ in CASES} == set(TOKEN_LOSSES)
    applies = LOGITS.softmax(dim=1).topk(2, dim=1).values.sum(dim=1) < 0.9
    assert 0 < applies.sum() < 7


@pytest.mark.parametrize("name", TOKEN_LOSSES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_extreme_logits_give_finite_losses_and_gradients(name, gamma):
    settings = {"gamma": gamma} if name in ("focal", "tofu") else {}
    loss = functools.partial(TOKEN_LOSSES[name], **settings)
    rows = torch.tensor([[5000.0, 0.0, -5000.0], [0.0, 0.0, 0.0], [30.0, 0.0, 0.0]])
    for target in range(3):
        targets_N = torch.full((3,), target)
        values = loss(rows, targets_N)
        assert torch.isfinite(values).all() and values.dtype == torch.float32
        assert torch.isfinite(gradient(loss, rows, targets_N)).all()


def test_what_is_cross_entropy_at_the_edge_of_its_settings():
    same = functools.partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    plain = TOKEN_LOSSES["cross_entropy"]
    same(plain(LOGITS, TARGETS), torch.nn.functional.cross_entropy(LOGITS, TARGETS, reduction="none"))  # fmt: skip
    edges = [
        ("label_smoothing", {"smoothing": 0.0}),
        ("focal", {"gamma": 0.0}),
        ("entropy_bonus", {"entropy_weight": 0.0}),
        ("sed_sft", {"sed_weight": 0.0}),
        ("sed_sft", {"sed_threshold": 0.0}),
        ("sed_sft", {"sed_top": 99, "sed_threshold": 0.999}),
        ("tofu", {"gamma": 0.0, "tofu_beta": 1.0}),
    ]
    for name, settings in edges:
        loss = functools.partial(TOKEN_LOSSES[name], **settings)
        same(loss(LOGITS, TARGETS), plain(LOGITS, TARGETS))
        same(gradient(loss), gradient(plain))


def test_label_smoothing_is_that_of_torch():
    expected = torch.nn.functional.cross_entropy(LOGITS, TARGETS, reduction="none", label_smoothing=0.1)  # fmt: skip
    torch.testing.assert_close(TOKEN_LOSSES["label_smoothing"](LOGITS, TARGETS), expected)


def test_gem_at_temperature_one_has_the_gradient_of_cross_entropy():
    loss = functools.partial(gem, gem_temperature=1.0)
    torch.testing.assert_close(gradient(loss), gradient(TOKEN_LOSSES["cross_entropy"]))
    entropy_N = torch.special.entr(LOGITS.softmax(dim=1)).sum(dim=1)
    expected = TOKEN_LOSSES["cross_entropy"](LOGITS, TARGETS) - entropy_N
    torch.testing.assert_close(loss(LOGITS, TARGETS), expected)


def test_the_variants_of_gem_near_each_other_where_logits_are_close():
    close = LOGITS / 100
    halved = gem(close, TARGETS, gem_variant="logsigmoid")
    torch.testing.assert_close(2 * halved, gem(close, TARGETS), rtol=1e-3, atol=1e-4)


def test_focal_and_tofu_share_the_factor_of_their_gradient():
    focal = functools.partial(TOKEN_LOSSES["focal"], gamma=3.0)
    tofu = functools.partial(TOKEN_LOSSES["tofu"], gamma=3.0, tofu_beta=1.0)
    torch.testing.assert_close(gradient(focal), gradient(tofu))


@pytest.mark.parametrize(("name", "oracle", "settings"), CASES)
def test_rows_do_not_depend_on_each_other(name, oracle, settings):
    loss = functools.partial(TOKEN_LOSSES[name], **settings)
    parts = torch.cat([loss(LOGITS[:3], TARGETS[:3]), loss(LOGITS[3:], TARGETS[3:])])
    torch.testing.assert_close(parts, loss(LOGITS, TARGETS), rtol=1e-12, atol=1e-12)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="gem_variant 'cubic': must be 'linear' or 'logsigmoid'"):
        gem(LOGITS, TARGETS, gem_variant="cubic")
