"""Tree edit distance against its definition, its bounds, and clusters by it."""

import functools
import itertools
import random
from collections import Counter

import numpy as np
import pytest

from raymode.errors import DataError
from raymode.sets.cluster import adjusted_rand
from raymode.sets.program_tree import Tree, program_tree
from raymode.sets.tree_distance import (
    FAR,
    cluster_tree_edit,
    likeness_of,
    tree_edit_distance,
    tree_edit_distances,
    tree_likeness,
)

Nested = tuple[str, tuple["Nested", ...]]
Forest = tuple[Nested, ...]

TRIAL = """def divisors(n):
    found = []
    for i in range(1, n + 1):
        if n % i == 0:
            found.append(i)
    return found
print(sum(divisors(int(input()))))
"""
TRIAL_AGAIN = TRIAL.replace("range(1, n + 1)", "range(1, n // 2 + 1)")
RECURSIVE = """def largest(a, b):
    return a if not b else largest(b, a % b)
x, y = map(int, input().split())
print(largest(x, y))
"""

WITH_SURFACE = """import sys
def main():
    '''Doc.'''
    total: int = 0
    unused = [1]
    for i in range(3):
        total += i
    print(total)
if __name__ == '__main__':
    main()
"""
WITHOUT = """def go():
    x = 0
    for k in range(3):
        x = x + k
    print(x)
go()
"""


def random_tree(rng: random.Random, nodes: int) -> Nested:
    children = []
    left = nodes - 1
    while left:
        part = rng.randint(1, left)
        children.append(random_tree(rng, part))
        left -= part
    return rng.choice("abc"), tuple(children)


def flat(nested: Nested) -> Tree:
    labels: list[str] = []
    leftmost: list[int] = []

    def visit(node: Nested) -> None:
        first = len(labels)
        for child in node[1]:
            visit(child)
        labels.append(node[0])
        leftmost.append(first)

    visit(nested)
    return Tree(tuple(labels), tuple(leftmost))


@functools.cache
def size(forest: Forest) -> int:
    return sum(1 + size(children) for _, children in forest)


@functools.cache
def slow_distance(one: Forest, other: Forest) -> int:
    """The distance by its recursion on the roots furthest to the right, over whole forests."""
    if not one or not other:
        return size(one) + size(other)
    (label_a, below_a), (label_b, below_b) = one[-1], other[-1]
    return min(
        slow_distance(one[:-1] + below_a, other) + 1,
        slow_distance(one, other[:-1] + below_b) + 1,
        slow_distance(one[:-1], other[:-1])
        + slow_distance(below_a, below_b)
        + (label_a != label_b),
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_distance_equals_its_definition(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        one = random_tree(rng, rng.randint(1, 10))
        others = [random_tree(rng, rng.randint(1, 10)) for _ in range(5)]
        found = tree_edit_distances(flat(one), [flat(other) for other in others])
        assert found.tolist() == [slow_distance((one,), (other,)) for other in others]


def test_the_distance_is_a_metric_also_when_normalised() -> None:
    rng = random.Random(3)
    trees = [flat(random_tree(rng, rng.randint(1, 40))) for _ in range(20)]
    distance = np.array([tree_edit_distances(tree, trees) for tree in trees])
    counts = np.array([len(tree.labels) for tree in trees])
    unlike = 1 - likeness_of(distance, counts[:, None] + counts[None, :])
    assert (distance == distance.T).all()
    assert (unlike >= 0).all()
    assert (unlike <= 1).all()
    for i, j, k in itertools.product(range(20), repeat=3):
        assert (distance[i, j] == 0) == (trees[i] == trees[j])
        assert distance[i, k] <= distance[i, j] + distance[j, k]
        assert unlike[i, k] <= unlike[i, j] + unlike[j, k] + 1e-12


def test_a_large_tree_and_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    trees = [flat(random_tree(rng, 120)) for _ in range(6)]
    together = tree_edit_distances(trees[0], trees)
    assert together.tolist() == [tree_edit_distance(trees[0], tree) for tree in trees]
    monkeypatch.setattr("raymode.sets.tree_distance._COLUMNS", 300)
    assert together.tolist() == tree_edit_distances(trees[0], trees).tolist()
    assert tree_edit_distances(trees[0], []).tolist() == []
    chain = Tree(("a",) * 150, (0,) * 150)
    star = Tree(("a",) * 150, (*range(149), 0))
    assert tree_edit_distance(chain, star) == 296  # only two nodes can stay: a root and a leaf


def test_the_bounds_leave_out_no_near_pair() -> None:
    """Pairs far by a bound are not computed: their likeness must be below FAR in truth."""
    rng = random.Random(5)
    found_trees = []
    for _ in range(8):
        base = flat(random_tree(rng, rng.randint(5, 25)))
        for share in (0.0, 0.1, 0.3, 0.5, 0.9):
            labels = tuple(rng.choice("abc") if rng.random() < share else x for x in base.labels)
            found_trees.append(Tree(labels, base.leftmost))
    trees = list(dict.fromkeys(found_trees))
    found = tree_likeness(trees)
    kept = Counter[bool]()
    for i, j in itertools.combinations(range(len(trees)), 2):
        nodes = np.array(len(trees[i].labels) + len(trees[j].labels))
        distance = np.array(tree_edit_distance(trees[i], trees[j]))
        true = float(likeness_of(distance, nodes))
        assert found[i, j] == found[j, i] == (true if true >= FAR else 0.0)
        kept[true >= FAR] += 1
    assert min(kept[True], kept[False]) > 30


def test_the_tree_of_a_program_has_no_surface() -> None:
    assert program_tree(WITH_SURFACE) == program_tree(WITHOUT)
    assert program_tree(WITHOUT) != program_tree(WITHOUT.replace("range(3)", "range(4)"))
    assert program_tree("from math import gcd\nprint(gcd(4, 6))") == program_tree(
        "import math as m\nprint(m.gcd(4, 6))"
    )
    with pytest.raises(DataError, match="syntax"):
        program_tree("def f(:")


def test_dependent_statements_are_not_put_into_another_order() -> None:
    assert program_tree("a = 1\nb = a + 2\na = 3\nprint(a, b)") != program_tree(
        "a = 1\na = 3\nb = a + 2\nprint(a, b)"
    )
    assert program_tree("print(1)\nprint(2)") != program_tree("print(2)\nprint(1)")
    assert program_tree("a = 1\nb = [2]\nprint(a, b)") == program_tree(
        "b = [2]\na = 1\nprint(a, b)"
    )
    table = "t = [0]\nx = 5\nt.append(x)\nt.append(7)\nprint(t)"
    swapped = "t = [0]\nx = 5\nt.append(7)\nt.append(x)\nprint(t)"
    assert program_tree(table) != program_tree(swapped)


def test_deep_programs_neither_fail_nor_recurse() -> None:
    chain = "x = int(input())\nprint(" + "+".join(["x"] * 900) + ")"
    assert len(program_tree(chain).labels) > 800
    assert cluster_tree_edit([chain, chain + "\nprint(x)"]) == [0, 0]


def test_clusters() -> None:
    programs = [RECURSIVE, TRIAL, TRIAL_AGAIN, TRIAL]
    assert cluster_tree_edit(programs) == [0, 1, 1, 1]
    assert cluster_tree_edit(programs, 1.0) == [0, 1, 2, 1]
    assert cluster_tree_edit([]) == []
    with pytest.raises(ValueError, match="threshold"):
        cluster_tree_edit(programs, FAR - 0.1)


def test_clusters_do_not_depend_on_the_order() -> None:
    programs = [TRIAL, TRIAL_AGAIN, RECURSIVE, TRIAL + "print(0)\n", RECURSIVE + "print(1)\n"]
    expected = cluster_tree_edit(programs)
    rng = random.Random(0)
    for _ in range(5):
        order = rng.sample(range(len(programs)), len(programs))
        found = cluster_tree_edit([programs[i] for i in order])
        assert adjusted_rand(found, [expected[i] for i in order]) == 1.0
