"""Near-duplicates in a large corpus: MinHash signatures, bands, and an exact check of every pair.

A document is the set of hashes of its shingles (runs of words). Nothing here is random: hashes come
from the text alone, so the result is the same on every machine and in every order of documents.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from raymode.seed import derive_seed

Hashes = NDArray[np.uint64]

HASHES = 128
_CHUNK = 2048  # documents whose shingles are hashed together: memory does not grow with the corpus
_CERTAIN = 0.999  # chance that a pair just at the threshold is looked at


def connected(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the connected component of each of n items, numbered in order of appearance."""
    components = _Components(n)
    for left, right in pairs:
        components.join(left, right)
    return components.labels()


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the Jaccard index of two sets, in [0, 1]; two empty sets are alike."""
    shared = len(left & right)
    union = len(left) + len(right) - shared
    return shared / union if union else 1.0


def word_shingles(words: Sequence[str], size: int) -> Hashes:
    """Return the sorted different hashes of all runs of `size` words, with a gap at both ends.

    The gaps make the first and the last word count as such; size 1 has none.
    """
    gap = [""] if size > 1 or not words else []
    numbers = np.array([_hash(word) for word in [*gap, *words, *gap]], dtype=np.uint64)
    size = min(size, len(numbers))
    found = np.zeros(len(numbers) - size + 1, dtype=np.uint64)
    for place in range(size):
        found = _mix(found + numbers[place : place + len(found)])
    return np.unique(found)


def minhash(documents: Sequence[Hashes]) -> NDArray[np.uint32]:
    """Return the signatures, shape (documents, 128): per hash function its least value.

    Two documents agree in a place with a probability equal to their Jaccard index (Broder 1997).
    Every document needs at least one shingle.
    """
    seeds = [np.uint64(derive_seed(0, "minhash", number)) for number in range(HASHES)]
    signatures = np.empty((len(documents), HASHES), dtype=np.uint32)
    for start in range(0, len(documents), _CHUNK):
        chunk = documents[start : start + _CHUNK]
        shingles = np.concatenate(chunk)
        first = np.cumsum([0, *(len(document) for document in chunk[:-1])])
        for number, seed in enumerate(seeds):
            values = (_mix(shingles ^ seed) >> np.uint64(32)).astype(np.uint32)
            signatures[start : start + len(chunk), number] = np.minimum.reduceat(values, first)
    return signatures


def near_duplicate_groups(
    documents: Sequence[Hashes], kinds: Sequence[object], threshold: float
) -> list[int]:
    """Return the group of each document, numbered in order of appearance.

    Two documents are near-duplicates if they are of the same kind (any hashable) and the Jaccard
    index of their shingles is at least `threshold`; groups are the connected components. Pairs that
    share a band of their signatures are checked exactly (locality-sensitive hashing: Indyk and
    Motwani 1998), so no pair below the threshold is ever joined, and one at the threshold is missed
    with a chance below 1 in 1,000, a more alike one more seldom. Time is linear in the documents
    unless very many are alike without being near-duplicates.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold}: must be above 0 and at most 1")
    place: dict[tuple[bytes, object], int] = {}
    owner = [
        place.setdefault((document.tobytes(), kind), len(place))
        for document, kind in zip(documents, kinds, strict=True)
    ]
    first = {number: row for row, number in reversed(list(enumerate(owner)))}
    distinct = [documents[first[number]] for number in range(len(place))]
    components = _Components(len(distinct))
    for bucket in _buckets(distinct, [kinds[first[n]] for n in range(len(place))], threshold):
        for at, left in enumerate(bucket):
            for right in bucket[at + 1 :]:
                if not components.joined(left, right) and _alike(
                    distinct[left], distinct[right], threshold
                ):
                    components.join(left, right)
    labels = components.labels()
    return [labels[number] for number in owner]


class _Components:
    """Disjoint sets of 0 ... n-1; the least member stands for its set."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, item: int) -> int:
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def joined(self, left: int, right: int) -> bool:
        return self.find(left) == self.find(right)

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.find(left), self.find(right)))
        self._parent[high] = low

    def labels(self) -> list[int]:
        numbers: dict[int, int] = {}
        return [
            numbers.setdefault(self.find(item), len(numbers)) for item in range(len(self._parent))
        ]


def _buckets(
    documents: Sequence[Hashes], kinds: Sequence[object], threshold: float
) -> Iterator[list[int]]:
    """Yield the documents of one kind that agree in a whole band; every band has its own buckets."""
    if not documents:
        return
    signatures = minhash(documents)
    rows = _rows_per_band(threshold)
    for start in range(0, HASHES, rows):
        band = np.ascontiguousarray(signatures[:, start : start + rows])
        found: dict[tuple[bytes, object], list[int]] = defaultdict(list)
        for number, (values, kind) in enumerate(zip(band, kinds, strict=True)):
            found[values.tobytes(), kind].append(number)
        yield from (bucket for bucket in found.values() if len(bucket) > 1)


def _rows_per_band(threshold: float) -> int:
    """Return the most rows per band that still find a pair at the threshold almost surely."""
    rows = 1
    for more in (2, 4, 8, 16):
        if 1 - (1 - threshold**more) ** (HASHES // more) >= _CERTAIN:
            rows = more
    return rows


def _alike(left: Hashes, right: Hashes, threshold: float) -> bool:
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared >= threshold * (len(left) + len(right) - shared)


def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _mix(values: Hashes) -> Hashes:
    """Scramble 64-bit numbers one to one: the finaliser of splitmix64 (Steele et al. 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
