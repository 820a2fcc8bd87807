"""Tree edit distance between programs, and clusters of programs by it.

The distance is the least number of nodes to insert, delete or relabel (Zhang and Shasha 1989). One
tree is compared with many at a time: the rows of their tables are computed side by side in numpy.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raymode.sets.cluster import in_order_of_appearance
from raymode.sets.linkage import average_linkage
from raymode.sets.program_tree import Tree, program_tree

FAR = 0.5
"""A pair less alike than this counts as not alike at all, so that its distance is not computed."""
THRESHOLD = 0.75
"""The average likeness from which `cluster_tree_edit` merges."""
_COLUMNS = 60_000  # columns computed side by side: bounds memory, whatever the number of trees
_LARGEST_VALUE = 1 << 32  # above every entry of a table
_BRANCH_FACTOR = 5  # one edit changes at most so many binary branches

Integers = NDArray[np.int64]


def tree_edit_distance(one: Tree, other: Tree) -> int:
    """Return the least number of node insertions, deletions and relabellings between two trees."""
    return int(tree_edit_distances(one, [other])[0])


def tree_edit_distances(one: Tree, others: Sequence[Tree]) -> Integers:
    """Return the distances from `one` to each of `others`: integers, shape (len(others),)."""
    found: list[Integers] = []
    batch: list[Tree] = []
    columns = 0
    for tree in others:
        need = sum(end + 2 - tree.leftmost[end] for end in _keyroots(tree))
        if batch and columns + need > _COLUMNS:
            found.append(_Tables(one, batch).distances())
            batch, columns = [], 0
        batch.append(tree)
        columns += need
    if batch:
        found.append(_Tables(one, batch).distances())
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def likeness_of(distance: Integers, nodes: Integers) -> NDArray[np.float64]:
    """Return likenesses in [0, 1] from distances and the number of nodes of both trees together.

    That is 1 - 2 d / (nodes + d), in which the subtracted term is a metric (Li and Zhang 2011).
    """
    return 1.0 - 2.0 * distance / (nodes + distance)


def cluster_tree_edit(programs: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """Merge the two most alike clusters while they are at least `threshold` alike, in [FAR, 1].

    Average linkage over the likeness of program trees (see `program_tree`); pairs less alike than
    FAR count as 0. Labels are 0, 1, ... in order of appearance; the partition does not depend on
    the order of the input. DataError if a program does not parse.
    """
    if not FAR <= threshold <= 1:
        raise ValueError(f"threshold {threshold}: must be from {FAR} to 1")
    trees = [program_tree(program) for program in programs]
    sizes = Counter(trees)
    distinct = sorted(sizes, key=lambda tree: (len(tree.labels), tree.labels, tree.leftmost))
    labels = average_linkage(tree_likeness(distinct), threshold, [sizes[tree] for tree in distinct])
    place = {tree: number for number, tree in enumerate(distinct)}
    return in_order_of_appearance(labels[place[tree]] for tree in trees)


def tree_likeness(trees: Sequence[Tree]) -> NDArray[np.float64]:
    """Return the likeness of all pairs, shape (n, n) in [0, 1]; 0 where it is below FAR."""
    counts = np.array([len(tree.labels) for tree in trees], dtype=np.int64)
    labels = [Counter[Hashable](tree.labels) for tree in trees]
    branches = [Counter(_binary_branches(tree)) for tree in trees]
    found = np.eye(len(trees))
    for i, tree in enumerate(trees):
        nodes = counts[i] + counts[i + 1 :]
        unlike = np.maximum(counts[i], counts[i + 1 :]) - _shared(labels[i], labels[i + 1 :])
        apart = nodes - 2 * _shared(branches[i], branches[i + 1 :])
        least = np.maximum(unlike, -(-apart // _BRANCH_FACTOR))
        near = np.flatnonzero(likeness_of(least, nodes) >= FAR)
        distances = tree_edit_distances(tree, [trees[i + 1 + j] for j in near])
        alike = likeness_of(distances, nodes[near])
        found[i, i + 1 + near] = found[i + 1 + near, i] = np.where(alike >= FAR, alike, 0.0)
    return found


def _shared(one: Counter[Hashable], others: Iterable[Counter[Hashable]]) -> Integers:
    """Return how many items `one` has in common with each of `others`, copies counted."""
    return np.array([(one & other).total() for other in others], dtype=np.int64)


def _binary_branches(tree: Tree) -> list[Hashable]:
    """Return each node's label with those of its first child and next sibling (Yang et al. 2005).

    One edit changes at most five of them, which bounds the distance from below.
    """
    first: dict[int, str] = {}
    following: dict[int, str] = {}
    roots: list[int] = []  # of the trees to the left, the innermost last
    for node, left in enumerate(tree.leftmost):
        children: list[int] = []
        while roots and roots[-1] >= left:
            children.append(roots.pop())
        if children:
            first[node] = tree.labels[children[-1]]
        for younger, older in pairwise(children):
            following[older] = tree.labels[younger]
        roots.append(node)
    return [(label, first.get(i), following.get(i)) for i, label in enumerate(tree.labels)]


def _keyroots(tree: Tree) -> list[int]:
    """Return the nodes that have a left sibling, and the root, in postorder."""
    return sorted({left: node for node, left in enumerate(tree.leftmost)}.values())


@dataclass(frozen=True, slots=True)
class _Level:
    """Tables side by side: column 0 of a table is the empty forest, then its nodes in postorder."""

    node: Integers  # the number of a column's node among all nodes; 0, unused, in a column 0
    index: Integers  # a column's place in its table
    before: Integers  # the column in front of the first leaf below a column's node
    on_path: NDArray[np.bool_]  # whether that leaf is the table's first
    starts: Integers  # the columns 0
    path_columns: Integers  # the columns that are on_path, and
    path_nodes: Integers  # their nodes
    shift: Integers  # makes the running minimum along a row end at the row's table


class _Tables:
    """The tables of one tree against several others, for one keyroot of the one tree at a time."""

    def __init__(self, one: Tree, others: Sequence[Tree]) -> None:
        starts = np.cumsum([0, *(len(tree.labels) for tree in others)])
        self._one = one
        self._ends = starts[1:] - 1
        self._levels = _levels(others, starts)
        codes: dict[str, int] = {}
        labels = [label for tree in others for label in tree.labels]
        below = np.array([codes.setdefault(label, len(codes)) for label in labels])
        self._differs = [(below != codes.get(label, -1)).astype(np.int64) for label in one.labels]
        self._distance = np.zeros((len(one.labels), starts[-1]), dtype=np.int64)

    def distances(self) -> Integers:
        """Return the distance to each of the other trees."""
        for root in _keyroots(self._one):
            for level in self._levels:
                self._fill(root, level)
        found: Integers = self._distance[-1, self._ends]
        return found

    def _fill(self, root: int, level: _Level) -> None:
        """Fill the tables of `level`: row r, column c is the distance of the forests up to there."""
        start = self._one.leftmost[root]
        table = np.empty((root - start + 2, len(level.index)), dtype=np.int64)
        table[0] = level.index
        for row in range(1, root - start + 2):
            x = start + row - 1
            left = self._one.leftmost[x] - start
            both = table[left][level.before] + self._distance[x][level.node]
            if left == 0:  # both forests are whole trees where the column is on_path too
                both[1:] = np.where(
                    level.on_path[1:],
                    table[row - 1][:-1] + self._differs[x][level.node[1:]],
                    both[1:],
                )
            best = np.minimum(table[row - 1] + 1, both)
            best[level.starts] = row
            best -= level.shift
            np.minimum.accumulate(best, out=best)
            best += level.shift
            table[row] = best
            if left == 0:
                self._distance[x, level.path_nodes] = best[level.path_columns]


def _levels(trees: Sequence[Tree], starts: Integers) -> list[_Level]:
    """Return the tables of all keyroots, those that others need first.

    A table needs those of the keyroots below its own, so the keyroots of one depth go together.
    """
    tables: dict[int, list[tuple[int, Tree, int]]] = defaultdict(list)
    for start, tree in zip(starts.tolist(), trees, strict=False):
        above: list[int] = []
        for root in reversed(_keyroots(tree)):
            while above and tree.leftmost[above[-1]] > root:
                above.pop()
            tables[len(above)].append((start, tree, root))
            above.append(root)
    return [_level(tables[depth]) for depth in sorted(tables, reverse=True)]


def _level(tables: Sequence[tuple[int, Tree, int]]) -> _Level:
    node: list[int] = []
    index: list[int] = []
    before: list[int] = []
    starts: list[int] = []
    for first, tree, root in tables:
        start, left = len(node), tree.leftmost[root]
        starts.append(start)
        node.extend([0, *range(first + left, first + root + 1)])
        index.extend(range(root - left + 2))
        before.append(start)
        before.extend(start + tree.leftmost[y] - left for y in range(left, root + 1))
    places, nodes = np.array(index), np.array(node)
    table = np.cumsum(places == 0)
    front = np.array(before)
    on_path = (front == np.array(starts)[table - 1]) & (places > 0)
    return _Level(
        node=nodes,
        index=places,
        before=front,
        on_path=on_path,
        starts=np.array(starts),
        path_columns=np.flatnonzero(on_path),
        path_nodes=nodes[on_path],
        shift=places + table * _LARGEST_VALUE,
    )
