"""Likeness, coverage and the two greedy maximisers against plain Python and exact fractions."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from feature_rows import Rows, coverage_of, jaccard, random_rows

from raymode.sets.submodular import (
    Coverage,
    greedy_log_det,
    lazy_greedy,
    likeness,
    mean_likeness,
)


def test_likeness_is_the_jaccard_index_and_positive_semidefinite() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 40):
        rows = random_rows(rng, n)
        found = likeness(rows)
        expected = np.array([[jaccard(a, b) for b in rows] for a in rows])
        assert np.abs(found - expected).max() <= 2**-17
        assert (found == found.T).all() and (np.diag(found) == 1).all()
        assert np.linalg.eigvalsh(expected).min() > -1e-9
    assert likeness([]).shape == (0, 0)


@pytest.mark.parametrize("vocabulary", [40, 300, 3000])
def test_likeness_of_more_rows_than_a_block_with_frequent_and_rare_words(vocabulary: int) -> None:
    rows = random_rows(np.random.default_rng(11), 700, vocabulary=vocabulary, most=30)
    rows = [row | {f"w{number % 5}"} for number, row in enumerate(rows)]
    picks = [0, 1, 5, 511, 512, 699]
    found = likeness(rows)
    for i in picks:
        expected = np.array([jaccard(rows[i], row) for row in rows])
        assert np.abs(found[i] - expected).max() <= 2**-17


def test_mean_likeness_is_the_mean_over_pairs() -> None:
    rows = random_rows(np.random.default_rng(1), 9)
    pairs = [jaccard(a, b) for a, b in itertools.combinations(rows, 2)]
    assert mean_likeness(rows) == pytest.approx(sum(pairs) / len(pairs), abs=1e-4)
    assert math.isnan(mean_likeness(rows[:1]))


def test_coverage_gains_are_differences_of_coverage_and_diminish() -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        rows = random_rows(rng, 8)
        coverage = Coverage(rows)
        order = [int(i) for i in rng.permutation(8)]
        first = coverage.first_gains()
        previous = first
        for size in range(4):
            before = coverage_of(rows, order[:size])
            gains = np.array([coverage.gain(i) for i in range(8)])
            for i in range(8):
                expected = coverage_of(rows, [*order[:size], i]) - before
                assert gains[i] == pytest.approx(expected, abs=1e-4)
            assert (gains >= 0).all() and (
                gains <= previous
            ).all()  # exactly: sums have no rounding
            if size == 0:
                assert (gains == first).all()
            previous = gains
            coverage.add(order[size])


def test_lazy_greedy_equals_plain_greedy_on_set_cover_with_ties() -> None:
    rng = np.random.default_rng(5)
    for _ in range(100):
        sets = [frozenset(rng.integers(10, size=rng.integers(0, 5)).tolist()) for _ in range(9)]
        covered: set[int] = set()
        plain: list[int] = []
        for _ in range(6):
            rest = [i for i in range(9) if i not in plain]
            plain.append(max(rest, key=lambda i: (len(sets[i] - covered), -i)))
            covered |= sets[plain[-1]]
        seen: set[int] = set()
        lazy = lazy_greedy(
            [len(row) for row in sets],
            lambda i, sets=sets, seen=seen: float(len(sets[i] - seen)),
            lambda i, sets=sets, seen=seen: seen.update(sets[i]),
            6,
        )
        assert lazy == plain


def test_log_det_is_greedy_on_the_determinant() -> None:
    rng = np.random.default_rng(6)
    for _ in range(40):
        rows = random_rows(rng, 9)
        kernel = np.array([[jaccard(a, b) for b in rows] for a in rows]) + 1e-6 * np.eye(9)
        chosen = greedy_log_det(rows, 6)
        assert chosen[0] == 0 and len(set(chosen)) == 6
        for step in range(1, 6):
            taken = chosen[:step]
            values = {
                i: np.linalg.slogdet(kernel[np.ix_([*taken, i], [*taken, i])])[1]
                for i in set(range(9)) - set(taken)
            }
            assert values[chosen[step]] >= max(values.values()) - 1e-3
    rows = [frozenset({"a", "b"})] * 3 + [frozenset({"c", "d"})] * 2
    assert greedy_log_det(rows, 5) == [0, 3, 1, 4, 2]  # each kind in turn, ties by place
    assert greedy_log_det([], 3) == []


def test_log_det_takes_the_first_of_rows_that_are_exactly_as_good() -> None:
    def determinant(matrix: list[list[Fraction]]) -> Fraction:
        if not matrix:
            return Fraction(1)
        return sum(
            (-1) ** j * value * determinant([row[:j] + row[j + 1 :] for row in matrix[1:]])
            for j, value in enumerate(matrix[0])
        )

    rng = np.random.default_rng(12)
    for _ in range(60):
        rows = [frozenset(rng.choice(list("abcde"), size=2).tolist()) for _ in range(7)]

        def value(chosen: Sequence[int], rows: Rows = rows) -> Fraction:
            return determinant(
                [
                    [
                        Fraction(len(rows[i] & rows[j]), len(rows[i] | rows[j]))
                        + (Fraction(1, 10**6) if i == j else 0)
                        for j in chosen
                    ]
                    for i in chosen
                ]
            )

        chosen = greedy_log_det(rows, 4)
        for step in range(4):
            rest = [i for i in range(7) if i not in chosen[:step]]
            assert chosen[step] == max(rest, key=lambda i: (value([*chosen[:step], i]), -i))
