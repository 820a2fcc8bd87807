"""One problem's completions to one row of the `scores` table, and the rows to a run's summary.

`METRICS` is the one place where every metric's name, formula, unit, range and direction stands.
"Right" is a completion whose status is `RIGHT`; diversity is measured over right completions only.
A completion that the judge failed on says nothing about the model: it is counted as `unjudged`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from raymode.errors import DataError
from raymode.measure.correctness import pass_at_k
from raymode.measure.coverage import (
    calibration_ratio,
    chao1,
    cluster_counts,
    collision,
    collision_of_whole,
    good_turing_coverage,
    hill_number,
    rarefaction,
)
from raymode.measure.lexical import distinct_n, self_bleu, unique_count
from raymode.measure.stats import Interval, bootstrap_interval, pooled_calibration_ratio
from raymode.measure.vendi import vendi_score_sets
from raymode.seed import derive_seed

# The values of sandbox.Status, whose package runs on Linux only and is not needed to score.
RIGHT = "AC"
UNJUDGED = "SANDBOX_ERROR"
NAN = float("nan")


class Metric(NamedTuple):
    """What one column of `scores` means; `higher_is_better` is None where neither way is good."""

    formula: str
    unit: str
    range: str
    higher_is_better: bool | None
    description: str


_COUNT = "count"
METRICS: dict[str, Metric] = {
    "samples": Metric("n", _COUNT, "0..", None, "completions sampled and judged"),
    "unjudged": Metric(
        "-", _COUNT, "0..", False, "completions on which the judge itself failed; not in n"
    ),
    "valid": Metric("c", _COUNT, "0..n", True, "right completions"),
    "pass_at_k": Metric(
        "1 - C(n-c,k)/C(n,k)",
        "probability",
        "0..1",
        True,
        "chance that one of k samples is right, unbiased; pass_at_1 is validity; needs n >= k",
    ),
    "unique_right": Metric("|{key}|", _COUNT, "0..c", True, "different normalised right programs"),
    "clusters_found": Metric(
        "S", _COUNT, "0..c", True, "clusters among right completions; grows with c"
    ),
    "clusters_rarefied": Metric(
        "sum_i 1 - C(c-N_i,m)/C(c,m)",
        _COUNT,
        "1..m",
        True,
        "clusters expected in m = rarefy_to right completions; needs c >= m",
    ),
    "good_turing_coverage": Metric(
        "1 - f1/c",
        "probability",
        "0..1",
        None,
        "chance that the next right completion is in a cluster already found",
    ),
    "chao1": Metric(
        "S + f1^2/(2 f2)", _COUNT, "S..", True, "lower bound on the clusters the model has"
    ),
    "new_clusters": Metric(
        "|model - data|", _COUNT, "0..S", None, "clusters found that the data do not have"
    ),
    "new_right": Metric(
        "sum_{i new} N_i", _COUNT, "0..c", None, "right completions that lie in new clusters"
    ),
    "data_clusters": Metric("S_data", _COUNT, "0..", None, "clusters of the equivalence set"),
    "data_solutions": Metric("n_data", _COUNT, "0..", None, "solutions of the equivalence set"),
    "data_clusters_found": Metric(
        "|model and data|/S_data", "share", "0..1", True, "share of the set's clusters found"
    ),
    "collision_model": Metric(
        "sum N_i(N_i-1)/(c(c-1))",
        "probability",
        "0..1",
        None,
        "two right completions share a cluster, unbiased; needs c >= 2",
    ),
    "collision_data": Metric(
        "sum N_i(N_i-1)/(n(n-1))",
        "probability",
        "0..1",
        None,
        "two solutions of the set share a cluster, the set being a sample",
    ),
    "collision_set": Metric(
        "sum (N_i/n)^2",
        "probability",
        "1/S_data..1",
        None,
        "two draws from the set share a cluster, the set being the whole target",
    ),
    "calibration_ratio": Metric(
        "collision_model/collision_data",
        "ratio",
        "0..inf",
        None,
        "1 as varied as the data, above collapsed, below over-dispersed; the set is a sample",
    ),
    "calibration_ratio_set": Metric(
        "collision_model/collision_set",
        "ratio",
        "0..S_data",
        None,
        "the same with the set as the whole target; defined also when no two solutions collide",
    ),
    "hill_1": Metric("exp(-sum p log p)", _COUNT, "1..S", True, "effective clusters, order 1"),
    "hill_2": Metric("1/sum p^2", _COUNT, "1..S", True, "effective clusters, order 2"),
    "hill_inf": Metric("1/max p", _COUNT, "1..S", True, "effective clusters, order infinity"),
    "self_bleu": Metric(
        "mean BLEU(y_i, others)",
        "BLEU points",
        "0..100",
        False,
        "overlap of right completions; rises with c; needs c >= 2",
    ),
    "self_bleu_rarefied": Metric(
        "self_bleu of the first m",
        "BLEU points",
        "0..100",
        False,
        "Self-BLEU at an equal number of right completions; needs c >= m",
    ),
    "distinct_2": Metric(
        "unique/all 2-grams", "share", "0..1", True, "different token pairs; falls as c grows"
    ),
    "vendi": Metric(
        "exp(-sum l log l), l = eig(K/c)",
        _COUNT,
        "1..c",
        True,
        "effective right programs, kernel = Jaccard of algorithm features; rises with c",
    ),
    "vendi_rarefied": Metric(
        "vendi of the first m",
        _COUNT,
        "1..m",
        True,
        "Vendi score at an equal number of right completions; needs c >= m",
    ),
}
# Pooled as ratios of means over problems, see stats.pooled_calibration_ratio.
POOLED = {
    "calibration_ratio": ("collision_model", "collision_data"),
    "calibration_ratio_set": ("collision_model", "collision_set"),
}


def metric(name: str) -> Metric:
    """Return the description of a column of `scores`; every pass_at_<number> is `pass_at_k`.

    Raises KeyError for a name that is not a metric.
    """
    return METRICS["pass_at_k" if re.fullmatch(r"pass_at_[1-9]\d*", name) else name]


def is_metric(name: str) -> bool:
    """Say whether a column of `scores` is a metric (and not a key such as problem_id)."""
    return name in METRICS or re.fullmatch(r"pass_at_[1-9]\d*", name) is not None


def score_problem(
    statuses: Sequence[str],
    texts: Sequence[str],
    clusters: Sequence[str | None],
    keys: Sequence[str | None],
    features: Sequence[frozenset[str]],
    data_clusters: Sequence[str],
    pass_ks: Sequence[int] = (1,),
    rarefy_to: int = 8,
) -> dict[str, float]:
    """Return one row of `scores` for one problem: the metrics of `METRICS`, without keys.

    The first five have one entry per completion, in sampling order; `clusters`, `keys` (hashes of
    the normalised program) and `features` of completions that are not right are ignored.
    `data_clusters` has one entry per solution of the equivalence set. pass_at_1 is always there.
    An undefined metric is NaN. Completions have independent seeds, so the first m right ones are a
    fair draw of m: that is how figures at equal counts are taken where no formula exists.

    Raises ValueError for lists of different length, DataError for a right completion without a
    cluster or key.
    """
    lengths = {len(column) for column in (statuses, texts, clusters, keys, features)}
    if len(lengths) > 1:
        raise ValueError("statuses, texts, clusters, keys and features need one entry each")
    right = [i for i, status in enumerate(statuses) if status == RIGHT]
    for i in right:
        if clusters[i] is None or keys[i] is None:
            raise DataError(
                f"completion {i} is right but has no cluster or key: cluster it before scoring"
            )
    unjudged = sum(status == UNJUDGED for status in statuses)
    n = len(statuses) - unjudged
    row = {"samples": float(n), "unjudged": float(unjudged), "valid": float(len(right))}
    row |= {f"pass_at_{k}": pass_at_k(n, len(right), k) for k in sorted({1, *pass_ks})}
    row["unique_right"] = float(unique_count(keys[i] for i in right))
    row |= _cluster_metrics([str(clusters[i]) for i in right], data_clusters, rarefy_to)
    row |= _text_metrics([texts[i] for i in right], [features[i] for i in right], rarefy_to)
    return row


def summarise(scores: Sequence[Mapping[str, object]], seed: int) -> dict[str, Interval]:
    """Return for every metric in the rows (mean, low, high, n) over problems, by bootstrap.

    Problems where a metric is NaN are left out of it and `n` says how many stayed. The calibration
    ratios are pooled (ratio of mean collisions), not averaged. Columns that are not metrics are
    ignored. The same rows and seed give the same figures.
    """
    names = dict.fromkeys(name for row in scores for name in row if is_metric(name))
    columns = {name: _column(scores, name) for name in names}
    summary: dict[str, Interval] = {}
    for name, values in columns.items():
        own_seed = derive_seed(seed, "bootstrap", name)
        if name in POOLED:
            model, data = (columns[part] for part in POOLED[name])
            summary[name] = pooled_calibration_ratio(model, data, own_seed)
        else:
            summary[name] = bootstrap_interval(values, own_seed)
    return summary


def _column(scores: Sequence[Mapping[str, object]], name: str) -> list[float]:
    values = [row.get(name) for row in scores]
    return [float(v) if isinstance(v, int | float | np.number) else NAN for v in values]


def _cluster_metrics(model: Sequence[str], data: Sequence[str], rarefy_to: int) -> dict[str, float]:
    counts, data_counts = cluster_counts(model), cluster_counts(data)
    found, known = Counter(model), set(data)
    new = [label for label in found if label not in known]
    return {
        "clusters_found": float(len(found)),
        "clusters_rarefied": rarefaction(counts, rarefy_to),
        "good_turing_coverage": good_turing_coverage(counts),
        "chao1": chao1(counts),
        "new_clusters": float(len(new)),
        "new_right": float(sum(found[label] for label in new)),
        "data_clusters": float(len(known)),
        "data_solutions": float(len(data)),
        "data_clusters_found": (len(found) - len(new)) / len(known) if known else NAN,
        "collision_model": collision(counts),
        "collision_data": collision(data_counts),
        "collision_set": collision_of_whole(data_counts),
        "calibration_ratio": calibration_ratio(counts, data_counts),
        "calibration_ratio_set": calibration_ratio(counts, data_counts, data_is="whole"),
        "hill_1": hill_number(counts, 1),
        "hill_2": hill_number(counts, 2),
        "hill_inf": hill_number(counts, float("inf")),
    }


def _text_metrics(
    texts: Sequence[str], features: Sequence[frozenset[str]], rarefy_to: int
) -> dict[str, float]:
    enough = len(texts) >= rarefy_to
    return {
        "self_bleu": self_bleu(texts),
        "self_bleu_rarefied": self_bleu(texts[:rarefy_to]) if enough else NAN,
        "distinct_2": distinct_n(texts, 2),
        "vendi": vendi_score_sets(features),
        "vendi_rarefied": vendi_score_sets(features[:rarefy_to]) if enough else NAN,
    }
