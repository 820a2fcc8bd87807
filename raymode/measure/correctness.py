"""Correctness of sampled programs: unbiased pass@k of one problem, and its mean over problems."""

from collections.abc import Sequence

import numpy as np


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Return the chance that at least one of `k` samples drawn without replacement is right.

    1 - C(n-c, k) / C(n, k) = 1 - prod_{i<k} (n-c-i)/(n-i), in [0, 1]; the unbiased estimate of
    pass@k from n = `samples` of which c = `right` are right (Chen et al. 2021, arXiv 2107.03374,
    eq. 1). NaN when n < k: fewer samples than k say nothing unbiased about k samples.

    Raises ValueError if k < 1 or `right` is not in 0..samples.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not 0 <= right <= samples:
        raise ValueError(f"right must be in 0..{samples}, got {right}")
    if samples < k:
        return float("nan")
    i = np.arange(k)
    all_wrong = np.clip((samples - right - i) / (samples - i), 0.0, None)
    return float(1.0 - np.prod(all_wrong))


def mean_pass_at_k(samples_P: Sequence[int], right_P: Sequence[int], k: int) -> float:
    """Return pass@k averaged over the problems that have at least `k` samples; NaN if none has."""
    if len(samples_P) != len(right_P):
        raise ValueError(f"{len(samples_P)} sample counts for {len(right_P)} right counts")
    values = [pass_at_k(n, c, k) for n, c in zip(samples_P, right_P, strict=True)]
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
