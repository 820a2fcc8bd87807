"""Random feature sets, and likeness and coverage of them in plain Python, for tests of selection."""

from collections.abc import Sequence

import numpy as np

Rows = list[frozenset[str]]


def random_rows(rng: np.random.Generator, n: int, vocabulary: int = 12, most: int = 6) -> Rows:
    return [
        frozenset(f"w{x}" for x in rng.integers(vocabulary, size=rng.integers(0, most)))
        for _ in range(n)
    ]


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def coverage_of(rows: Rows, chosen: Sequence[int]) -> float:
    if not chosen:
        return 0.0
    return sum(max(jaccard(row, rows[i]) for i in chosen) for row in rows) / len(rows)
