"""Average-linkage clustering of anything with a matrix of likeness, in quadratic time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-6  # averages closer than this are equal: the order of additions must not decide


def average_linkage(
    likeness: NDArray[np.floating], threshold: float, sizes: Sequence[int] | None = None
) -> list[int]:
    """Merge the most alike clusters while they are at least `threshold` alike; return labels.

    likeness: symmetric, shape (n, n); sizes: how many items each row stands for, 1 if not given.
    Likeness of two clusters is the mean over their pairs (UPGMA). Labels are 0, 1, ... in order of
    appearance. Chains of nearest neighbours (Murtagh 1983) give the same clusters as merging the
    best pair of all each time, in time O(n**2); where several pairs are equally alike, the order of
    the rows decides, so sort them for a result that does not depend on it.
    """
    work = np.array(likeness)
    np.fill_diagonal(work, -np.inf)
    weight = [1.0] * len(work) if sizes is None else [float(size) for size in sizes]
    parent = list(range(len(work)))
    waiting, chain = list(range(len(work) - 1, -1, -1)), list[int]()
    while waiting or chain:
        if not chain:
            start = waiting.pop()
            if parent[start] == start:
                chain.append(start)
            continue
        tip = chain[-1]
        nearest = int(work[tip].argmax())
        if work[tip, nearest] < threshold - _TIE:  # nothing that merges later comes nearer to it
            work[tip, :] = work[:, tip] = -np.inf
            chain.pop()
        elif len(chain) > 1 and work[tip, chain[-2]] >= work[tip, nearest] - _TIE:
            other = chain[-2]
            del chain[-2:]
            keep, gone = min(tip, other), max(tip, other)
            _join(work, weight, keep, gone)
            parent[gone] = keep
            waiting.append(keep)
        else:
            chain.append(nearest)
    return _labels(parent)


def _join(work: NDArray[np.floating], weight: list[float], keep: int, gone: int) -> None:
    """Make row `keep` the cluster of both rows and take row `gone` out."""
    total = weight[keep] + weight[gone]
    joined = (work[keep] * weight[keep] + work[gone] * weight[gone]) / total
    weight[keep] = total
    work[keep, :] = work[:, keep] = joined
    work[gone, :] = work[:, gone] = -np.inf
    work[keep, keep] = -np.inf


def _labels(parent: Sequence[int]) -> list[int]:
    labels: dict[int, int] = {}
    found = []
    for row in range(len(parent)):
        while parent[row] != row:
            row = parent[row]
        found.append(labels.setdefault(row, len(labels)))
    return found
