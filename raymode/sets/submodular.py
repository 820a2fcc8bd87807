"""The maths of diverse selection: likeness of feature sets, coverage, and two greedy maximisers.

Likeness is the Jaccard index of two feature sets, in [0, 1]; two empty sets are alike (1). Rows come
in the order that breaks ties: of equally good ones the first is taken.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Likeness = NDArray[np.float32]
Features = Sequence[frozenset[str]]

_GRID = 2.0**16  # likeness is a multiple of 1/GRID, so sums are exact: no rounding decides a tie
_BLOCK = 512  # rows at a time: 5,000 rows need one matrix of 100 MB, not several
_FREQUENT = 1 / 16  # share of the rows; about where the two ways of counting cost the same
_RIDGE = 1e-6  # keeps the kernel of equal feature sets regular
_TIE = 1e-9  # pivots closer than this are equal


def likeness(rows: Features) -> Likeness:
    """Return the matrix of Jaccard indices, shape (n, n), rounded to multiples of 2**-16."""
    sizes = np.array([len(row) for row in rows], dtype=np.float32)
    shared = _shared_words(rows)
    for start in range(0, len(rows), _BLOCK):
        block = shared[start : start + _BLOCK]
        _to_jaccard(block, sizes[start : start + _BLOCK, None] + sizes[None, :])
        block *= _GRID
        np.rint(block, out=block)
        block /= _GRID
    return shared


def mean_likeness(rows: Features) -> float:
    """Return the mean Jaccard index over the pairs of different rows; NaN for fewer than 2 rows."""
    if len(rows) < 2:
        return float("nan")
    coverage = Coverage(rows)  # its first gains are mean likenesses to all rows, itself among them
    total = float(coverage.first_gains().sum()) * len(rows)
    return (total - len(rows)) / (len(rows) * (len(rows) - 1))


class Coverage:
    """C(S) = mean over all rows j of the largest likeness between j and a row of S; C({}) = 0.

    Facility location: monotone and submodular, in [0, 1]. Rows with equal features share one row of
    the matrix, so memory is 4 bytes times the square of the number of *different* feature sets.
    """

    def __init__(self, rows: Features) -> None:
        place = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        counts = Counter(rows)
        self._owner = [place[row] for row in rows]
        self._likeness = likeness(list(place))
        self._copies = np.array([counts[row] for row in place], dtype=np.float64)
        self._covered = np.zeros(len(place), dtype=np.float32)

    def first_gains(self) -> Floats:
        """Return C({i}) for every row i, shape (n,)."""
        gains = np.empty(len(self._copies))
        for start in range(0, len(gains), _BLOCK):
            gains[start : start + _BLOCK] = self._likeness[start : start + _BLOCK] @ self._copies
        shares: Floats = gains[self._owner] / len(self._owner)
        return shares

    def gain(self, row: int) -> float:
        """Return C(S + row) - C(S), where S is what was added so far."""
        more = np.maximum(self._likeness[self._owner[row]] - self._covered, 0)
        return float(more @ self._copies) / len(self._owner)

    def add(self, row: int) -> None:
        """Add a row to S."""
        np.maximum(self._covered, self._likeness[self._owner[row]], out=self._covered)


def lazy_greedy(
    bounds: Sequence[float] | Floats,
    gain: Callable[[int], float],
    add: Callable[[int], None],
    k: int,
) -> list[int]:
    """Return the first k rows that greedy maximisation of a submodular function takes.

    bounds: an upper bound of every row's gain, such as its gain at the empty set. A gain only falls
    as the set grows, so a row is looked at again only when its last gain is the largest one left;
    the result is that of plain greedy, the lowest number first among equals (Minoux 1978). For a
    monotone function that is 0 at the empty set, its value is at least 1 - 1/e of the best possible
    (Nemhauser, Wolsey and Fisher 1978).
    """
    heap = [(-float(bound), row) for row, bound in enumerate(bounds)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < k:
        row = heap[0][1]
        entry = (-gain(row), row)
        heapq.heapreplace(heap, entry)
        if heap[0] == entry:
            heapq.heappop(heap)
            add(row)
            chosen.append(row)
    return chosen


def greedy_log_det(rows: Features, k: int) -> list[int]:
    """Return the first k rows of greedy maximisation of log det of the likeness of the chosen rows.

    The kernel is the Jaccard matrix plus a ridge of 1e-6. The Jaccard matrix is positive
    semi-definite (Bouchard, Jousselme and Dore 2013), so this is greedy MAP inference of a
    determinantal point process. Cholesky rows are added one by one (Chen, Zhang and Zhou 2018,
    arXiv 1709.05135, algorithm 1): time O(n k**2) plus k rows of the kernel, which is never whole.
    """
    places = _places(rows)
    sizes = np.array([len(row) for row in rows], dtype=np.float64)
    steps = min(k, len(rows))
    factor = np.zeros((steps, len(rows)))
    left = np.full(len(rows), 1.0 + _RIDGE)  # the pivot each row would have
    chosen: list[int] = []
    for step in range(steps):
        row = int(np.argmax(left >= left.max() - _TIE))
        kernel = np.zeros(len(rows))
        for word in rows[row]:
            kernel[places[word]] += 1.0
        _to_jaccard(kernel, sizes + sizes[row])
        kernel[row] += _RIDGE
        factor[step] = (kernel - factor[:step, row] @ factor[:step]) / np.sqrt(left[row])
        left -= factor[step] ** 2
        left[row] = -np.inf
        chosen.append(row)
    return chosen


def _places(rows: Features) -> dict[str, NDArray[np.int64]]:
    """Return which rows have each word."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        for word in row:
            found[word].append(number)
    return {word: np.array(places) for word, places in found.items()}


def _shared_words(rows: Features) -> Likeness:
    """Return how many words each two rows share, shape (n, n); whole numbers, exact in any order.

    Words of many rows are multiplied as columns of a table; the others, most of the words of texts,
    are added to their few pairs of rows.
    """
    places = _places(rows)
    frequent = [word for word in places if len(places[word]) > len(rows) * _FREQUENT]
    table = np.zeros((len(rows), len(frequent)), dtype=np.float32)
    for column, word in enumerate(frequent):
        table[places.pop(word), column] = 1.0
    shared: Likeness = table @ table.T
    for where in places.values():
        shared[where[:, None], where] += 1.0
    return shared


def _to_jaccard(shared: NDArray[np.floating], sizes: NDArray[np.floating]) -> None:
    """Turn numbers of shared words into Jaccard indices, in place; `sizes` of both rows added."""
    union = sizes - shared
    shared[union == 0] = union[union == 0] = 1.0
    shared /= union
