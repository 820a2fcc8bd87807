"""Coverage figures against enumeration, hand values and their defining limits."""

import math
from itertools import combinations

import numpy as np
import pytest

from raymode.measure.coverage import (
    calibration_ratio,
    chao1,
    cluster_counts,
    collision,
    collision_of_whole,
    expected_distinct_uniform,
    good_turing_coverage,
    hill_number,
    rarefaction,
    rarefaction_curve,
)

INF = float("inf")


def labels_of(counts: list[int]) -> list[int]:
    return [label for label, count in enumerate(counts) for _ in range(count)]


@pytest.mark.parametrize("counts", [[1], [3, 1, 1], [2, 2, 2], [5, 0, 1, 2], [1, 1, 1, 1]])
def test_rarefaction_is_the_mean_over_all_subsets(counts: list[int]) -> None:
    labels = labels_of(counts)
    curve = rarefaction_curve(counts)
    assert len(curve) == len(labels) + 1
    for m in range(len(labels) + 1):
        subsets = list(combinations(labels, m))
        expected = sum(len(set(subset)) for subset in subsets) / len(subsets)
        assert rarefaction(counts, m) == pytest.approx(expected)
        assert curve[m] == pytest.approx(expected)


def test_rarefaction_beyond_the_samples_is_undefined() -> None:
    assert math.isnan(rarefaction([2, 1], 4))
    assert math.isnan(rarefaction([], 1))
    assert rarefaction([], 0) == 0.0
    with pytest.raises(ValueError, match="negative"):
        rarefaction([1], -1)
    with pytest.raises(ValueError, match="negative"):
        rarefaction([1, -1], 1)


def test_coverage_and_richness_by_hand() -> None:
    counts = [5, 2, 1, 1, 1]
    assert good_turing_coverage(counts) == pytest.approx(1 - 3 / 10)
    assert chao1(counts) == pytest.approx(5 + 9 / 2)
    assert chao1([4, 1, 1]) == pytest.approx(3 + 1)  # no pairs: f1 (f1 - 1) / 2
    assert chao1([4, 4]) == 2
    assert math.isnan(good_turing_coverage([])) and math.isnan(chao1([]))


def test_hill_numbers_by_hand_and_in_the_limits() -> None:
    counts = [2, 1, 1]
    assert hill_number(counts, 0) == pytest.approx(3)
    assert hill_number(counts, 1) == pytest.approx(2**1.5)
    assert hill_number(counts, 2) == pytest.approx(1 / (0.25 + 2 / 16))
    assert hill_number(counts, INF) == pytest.approx(2)
    assert hill_number(counts, 1 + 1e-6) == pytest.approx(hill_number(counts, 1), abs=1e-5)
    assert hill_number(counts, 5000) == pytest.approx(2, rel=1e-3)
    for q in (0, 0.5, 1, 2, 3.7, INF):
        assert hill_number([7] * 9, q) == pytest.approx(9)
    assert math.isnan(hill_number([], 1))
    with pytest.raises(ValueError, match="q must be"):
        hill_number([1], -1)


def test_collision_is_the_share_of_equal_pairs() -> None:
    counts = [4, 2, 1]
    pairs = list(combinations(labels_of(counts), 2))
    assert collision(counts) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert math.isnan(collision([1])) and math.isnan(collision([]))
    assert collision([1, 1, 1]) == 0


def test_collision_is_unbiased_at_small_counts() -> None:
    generator = np.random.default_rng(3)
    p = np.array([0.6, 0.3, 0.1])
    draws = [collision(row.tolist()) for row in generator.multinomial(3, p, 20_000)]
    assert np.mean(draws) == pytest.approx((p**2).sum(), abs=0.01)


def test_whole_set_collision_and_both_calibration_ratios() -> None:
    assert collision_of_whole([1, 1, 1, 1]) == pytest.approx(0.25)
    assert math.isnan(collision_of_whole([]))
    # The model draws evenly from six listed answers: calibrated to the list.
    assert calibration_ratio([4, 4, 4, 4, 4, 4], [1] * 6, data_is="whole") == pytest.approx(
        (6 * 4 * 3 / (24 * 23)) * 6
    )
    assert calibration_ratio([4, 4], [3, 1], data_is="sample") == pytest.approx((24 / 56) / 0.5)
    assert calibration_ratio([2], [1, 1]) == INF
    assert math.isnan(calibration_ratio([1, 1], [1, 1]))
    assert math.isnan(calibration_ratio([1], [2]))


@pytest.mark.parametrize(
    ("n", "seen"), [(5, 4.0), (8, 5.5), (10, 6.2), (16, 7.6), (20, 8.2), (32, 8.8), (64, 9.0)]
)
def test_nine_equal_clusters_show_the_published_counts(n: int, seen: float) -> None:
    assert expected_distinct_uniform(9, n) == pytest.approx(seen, abs=0.06)


def test_counts_come_from_labels() -> None:
    assert cluster_counts(["b", "a", "b", "c", "b"]) == [3, 1, 1]
    assert cluster_counts([]) == []
