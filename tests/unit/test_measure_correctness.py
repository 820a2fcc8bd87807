"""pass@k against brute force over all subsets, and its edges."""

from itertools import combinations
from math import isnan

import pytest

from raymode.measure.correctness import mean_pass_at_k, pass_at_k


def by_enumeration(samples: int, right: int, k: int) -> float:
    subsets = list(combinations(range(samples), k))
    return sum(any(i < right for i in subset) for subset in subsets) / len(subsets)


@pytest.mark.parametrize("samples", [1, 4, 7])
def test_equals_the_mean_over_all_subsets(samples: int) -> None:
    for right in range(samples + 1):
        for k in range(1, samples + 1):
            assert pass_at_k(samples, right, k) == pytest.approx(by_enumeration(samples, right, k))


def test_large_counts_stay_finite() -> None:
    assert pass_at_k(10_000, 10, 100) == pytest.approx(0.09567, abs=1e-4)
    assert pass_at_k(10_000, 9_999, 2) == 1.0


def test_too_few_samples_is_undefined_not_one() -> None:
    assert isnan(pass_at_k(3, 3, 4))
    assert isnan(pass_at_k(0, 0, 1))


@pytest.mark.parametrize(("samples", "right", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_impossible_counts_are_refused(samples: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        pass_at_k(samples, right, k)


def test_mean_leaves_out_problems_with_too_few_samples() -> None:
    assert mean_pass_at_k([4, 4, 1], [4, 0, 1], 2) == 0.5
    assert isnan(mean_pass_at_k([1], [1], 2))
    with pytest.raises(ValueError, match="1 sample counts for 2"):
        mean_pass_at_k([1], [1, 1], 1)
