"""Oracles of the group losses, written from their formulas in plain floats, and the cases they are asked in.

Each takes one row as Python lists (logp, tokens, reference, clusters, right) and the loss's settings, and returns
(loss, weights).
"""

import functools
import itertools
import math

REDUCTIONS = ("sum", "mean", "residual", "reference")


def mean(values):
    return sum(values) / len(values)


def reduced(row, reduction):
    logp, tokens, reference = row["logp"], row["tokens"], row["reference"]
    if reduction == "mean":
        return [one / length for one, length in zip(logp, tokens, strict=True)]
    if reduction == "reference":
        return [one - base for one, base in zip(logp, reference, strict=True)]
    if reduction == "residual":
        pairs = list(itertools.combinations(range(len(logp)), 2))
        above = sum((logp[i] - logp[j]) * (tokens[i] - tokens[j]) for i, j in pairs)
        below = sum((tokens[i] - tokens[j]) ** 2 for i, j in pairs)
        slope = above / below if below else 0.0
        return [
            one - slope * (length - mean(tokens)) for one, length in zip(logp, tokens, strict=True)
        ]
    return logp


def slopes(row, reduction):
    return [1 / length if reduction == "mean" else 1.0 for length in row["tokens"]]


def oracle_nll(row):
    count = len(row["logp"])
    return -mean(row["logp"]), [1 / count] * count


def oracle_beta_mml(row, beta):
    powers = [math.exp(one) ** beta for one in row["logp"]]
    return -math.log(sum(powers)) / beta, [power / sum(powers) for power in powers]


def oracle_tilted(row, tilt):
    powers = [math.exp(one) ** -tilt for one in row["logp"]]
    return math.log(mean(powers)) / tilt, [power / sum(powers) for power in powers]


def oracle_ucpo(row, uniformity):
    chances = [math.exp(one) for one in row["logp"]]
    total, count = sum(chances), len(chances)
    divergence = sum(math.log((1 / count) / (chance / total)) / count for chance in chances)
    stated = [(1 - uniformity) * chance / total + uniformity / count for chance in chances]
    return -math.log(total) + uniformity * divergence, stated


def oracle_eco(row, weight, reduction):
    values, count = reduced(row, reduction), len(row["logp"])
    variance = sum((a - b) ** 2 for a in values for b in values) / (2 * count**2)
    stated = [
        1 / count - 2 * weight / count * (value - mean(values)) * slope
        for value, slope in zip(values, slopes(row, reduction), strict=True)
    ]
    return -mean(row["logp"]) + weight * variance, stated


def oracle_eco_hinge(row, weight, reduction):
    values, count = reduced(row, reduction), len(row["logp"])
    lags = [max(0.0, mean(values) - value) for value in values]
    stated = [
        1 / count + 2 * weight / count * lag * slope
        for lag, slope in zip(lags, slopes(row, reduction), strict=True)
    ]
    return -mean(row["logp"]) + weight * sum(lag**2 for lag in lags) / count, stated


def oracle_gepo(row, weight, gepo_beta):
    ratios = [gepo_beta * ratio for ratio in reduced(row, "reference")]
    won = [ratio for ratio, right in zip(ratios, row["right"], strict=True) if right]
    lost = [ratio for ratio, right in zip(ratios, row["right"], strict=True) if not right]
    if not won:
        return 0.0, [0.0] * len(ratios)
    variance = sum((a - b) ** 2 for a in won for b in won) / (2 * len(won) ** 2)
    preference = math.log1p(math.exp(mean(lost) - mean(won))) if lost else 0.0
    slip = 1 - math.exp(-preference)
    stated = [
        gepo_beta * (slip - 2 * weight * (ratio - mean(won))) / len(won)
        if right
        else -gepo_beta * slip / len(lost)
        for ratio, right in zip(ratios, row["right"], strict=True)
    ]
    return preference + weight * variance, stated


def oracle_target_weighted(row):
    clusters = row["clusters"]
    stated = [1 / (len(set(clusters)) * clusters.count(cluster)) for cluster in clusters]
    return -sum(share * one for share, one in zip(stated, row["logp"], strict=True)), stated


def oracle_dco(row, samples):
    chances, count = [math.exp(one) for one in row["logp"]], len(row["logp"])
    found = [1 - (1 - chance) ** samples for chance in chances]
    stated = [
        samples * chance * (1 - chance) ** (samples - 1) / seen / count
        for chance, seen in zip(chances, found, strict=True)
    ]
    return -mean([math.log(seen) for seen in found]), stated


CASES = [
    ("nll", oracle_nll, {}),
    ("mml", functools.partial(oracle_beta_mml, beta=1.0), {}),
    ("beta_mml", oracle_beta_mml, {"beta": 0.3}),
    ("tilted", oracle_tilted, {"tilt": 0.7}),
    ("ucpo", oracle_ucpo, {"uniformity": 2.5}),
    ("ucpo", oracle_ucpo, {"uniformity": 0.0}),
    *[("eco", oracle_eco, {"weight": 0.4, "reduction": name}) for name in REDUCTIONS],
    *[("eco_hinge", oracle_eco_hinge, {"weight": 0.4, "reduction": name}) for name in REDUCTIONS],
    ("gepo", oracle_gepo, {"weight": 0.6, "gepo_beta": 0.5}),
    ("target_weighted", oracle_target_weighted, {}),
    ("dco", oracle_dco, {"samples": 5}),
]
