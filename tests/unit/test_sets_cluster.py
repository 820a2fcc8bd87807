"""Clusters: the signature, the agglomeration against a slow reference, the adjusted Rand index."""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from raymode.sets.cluster import (
    adjusted_rand,
    algorithmic,
    cluster_agglomerative,
    cluster_signature,
    signature,
)
from raymode.sets.features import features
from raymode.sources.embedded import generate

SIGNATURE_FLOOR = 0.93  # measured 0.96 over all families
AGGLOMERATIVE_FLOOR = 0.93


def slow_agglomeration(rows: Sequence[frozenset[str]], threshold: float) -> set[frozenset[int]]:
    """Average linkage by its definition: all pairs of all clusters, again and again."""
    clusters = [[i] for i in range(len(rows))]

    def likeness(one: list[int], other: list[int]) -> float:
        pairs = [(rows[i], rows[j]) for i in one for j in other]
        return sum(len(a & b) / len(a | b) if a | b else 1.0 for a, b in pairs) / len(pairs)

    while len(clusters) > 1:
        best, i, j = max(
            (likeness(clusters[i], clusters[j]), -i, -j)
            for i, j in itertools.combinations(range(len(clusters)), 2)
        )
        if best < threshold - 1e-9:
            break
        clusters[-i] += clusters.pop(-j)
    return {frozenset(cluster) for cluster in clusters}


def slow_adjusted_rand(a: Sequence[int], b: Sequence[int]) -> float:
    """The index by counting pairs of items; its mean under random labels is taken exactly."""
    pairs = list(itertools.combinations(range(len(a)), 2))

    def agree(labels: Sequence[int]) -> int:
        return sum(a[i] == a[j] and labels[i] == labels[j] for i, j in pairs)

    permuted = [agree(order) for order in itertools.permutations(b)]
    expected = sum(permuted) / len(permuted)
    highest = (sum(a[i] == a[j] for i, j in pairs) + sum(b[i] == b[j] for i, j in pairs)) / 2
    return 1.0 if highest == expected else (agree(b) - expected) / (highest - expected)


def partition(labels: Sequence[object]) -> set[frozenset[int]]:
    places: dict[object, set[int]] = defaultdict(set)
    for place, label in enumerate(labels):
        places[label].add(place)
    return {frozenset(found) for found in places.values()}


def random_rows(rng: random.Random, count: int) -> list[frozenset[str]]:
    # so many words that no two likenesses are equal: ties may be broken either way
    words = [f"w{i}" for i in range(997)]
    return [frozenset(rng.sample(words, rng.randint(200, 800))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(12))
def test_agglomeration_equals_the_slow_reference(seed: int) -> None:
    rng = random.Random(seed)
    rows = random_rows(rng, 9)
    rows += rng.choices(rows, k=3)
    for threshold in (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 1.0):
        assert partition(cluster_agglomerative(rows, threshold)) == slow_agglomeration(
            rows, threshold
        )


def test_agglomeration_does_not_depend_on_the_order_and_numbers_by_appearance() -> None:
    rng = random.Random(3)
    rows = [frozenset(rng.sample("abcdef", 3)) for _ in range(30)]  # many ties
    for _ in range(10):
        order = rng.sample(range(30), 30)
        labels = cluster_agglomerative([rows[i] for i in order], 0.5)
        expected = partition(cluster_agglomerative(rows, 0.5))
        found = {frozenset(order[i] for i in cluster) for cluster in partition(labels)}
        assert found == expected
        assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))


def test_agglomeration_at_its_limits() -> None:
    rows = [{"a", "b"}, {"a", "b"}, {"c"}, set(), {"io:input"}]
    assert cluster_agglomerative(rows, 1.0) == [0, 0, 1, 2, 2]
    assert cluster_agglomerative(rows, 0.0) == [0] * 5
    assert cluster_agglomerative([], 0.5) == []
    with pytest.raises(ValueError, match="threshold"):
        cluster_agglomerative(rows, 1.5)


def test_adjusted_rand_equals_the_count_over_all_permutations() -> None:
    rng = random.Random(0)
    for _ in range(25):
        a, b = rng.choices(range(3), k=6), rng.choices(range(3), k=6)
        assert adjusted_rand(a, b) == pytest.approx(slow_adjusted_rand(a, b))
    assert adjusted_rand(["x", "x", "y"], [1, 1, 0]) == 1.0
    assert adjusted_rand([], []) == 1.0
    assert adjusted_rand([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="2 and of 3"):
        adjusted_rand([1, 2], [1, 2, 3])


def test_signature_leaves_out_input_output_and_details() -> None:
    words = {"loop:for", "call:range", "io:input", "op:mod", "branch:ternary", "call:sorted"}
    assert algorithmic(words) == {"loop:for", "sort"}
    assert signature(words) == signature({"loop:for", "method:sort"})
    assert signature(words) != signature({"loop:for"})
    assert signature(words).startswith("sort+for-")
    assert signature([]).startswith("plain-")
    assert cluster_signature([words, []]) == [signature(words), signature([])]
    assert algorithmic({"call:math.inf", "call:math.gcd"}) == {"math:gcd"}
    assert algorithmic({"slice:reverse"}) == algorithmic({"call:reversed"}) == {"reverse"}
    assert algorithmic({"method:index"}) == algorithmic({"method:find"}) == {"text:find"}
    assert algorithmic({"call:min"}) != algorithmic({"call:max"})


def test_signature_does_not_change() -> None:
    """Cluster ids are compared over runs: a change here makes old tables and new ones differ."""
    assert signature({"loop:while", "shape:digits", "op:mod"}) == "digits+while-d0dcfa"


def test_clusters_agree_with_the_strategies_of_the_generator() -> None:
    """Of each family all problems together: a strategy must stay one cluster as parameters change."""
    labels: dict[str, list[str]] = defaultdict(list)
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    for problem, solutions in generate(seed=5, problems_per_family=4):
        for row in solutions:
            if row["claimed"]:
                labels[problem["family"]].append(row["label"].removeprefix("renamed:"))
                found[problem["family"]].append(features(row["code"]))
    exact = [adjusted_rand(labels[f], cluster_signature(found[f])) for f in labels]
    merged = [adjusted_rand(labels[f], cluster_agglomerative(found[f], 0.8)) for f in labels]
    assert sum(exact) / len(exact) >= SIGNATURE_FLOOR
    assert min(exact) >= 0.5
    assert sum(merged) / len(merged) >= AGGLOMERATIVE_FLOOR


def test_strategies_of_one_name_are_alike_over_families() -> None:
    """A check on the floor above: clusters are not so fine that every program is its own."""
    ids = Counter()
    strategies = set()
    for problem, solutions in generate(seed=5, problems_per_family=1):
        for row in solutions:
            if row["claimed"] and not row["label"].startswith("renamed:"):
                ids[signature(features(row["code"]))] += 1
                strategies.add((problem["family"], row["label"]))
    assert sum(ids.values()) == len(strategies)
    assert len(ids) < 0.6 * len(strategies)
