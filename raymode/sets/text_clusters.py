"""Clusters of the responses to one prompt: by the source's labels, by characters, by embedding."""

import functools
import hashlib
import importlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raymode.errors import ConfigError, brief
from raymode.sets.linkage import average_linkage
from raymode.sets.submodular import likeness
from raymode.sets.text import character_shingles, normalize_text

LEXICAL_THRESHOLD = 0.12
EMBEDDING_THRESHOLD = 0.6
EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

_ID_DIGITS = 8


def cluster_texts(
    texts: Sequence[str],
    prompt: str = "",
    labels: Sequence[str | None] | None = None,
    threshold: float = LEXICAL_THRESHOLD,
) -> list[str]:
    """Return the cluster id of each response to one prompt.

    The labels are the ids if every text has one. Otherwise texts are merged by average linkage
    while the Jaccard index of their runs of 4 characters is at least `threshold`, in [0, 1]. Runs
    that stand in the prompt do not count: what all responses take from it tells none apart. The
    result does not depend on the order of the texts. Time and memory grow with the square of the
    number of different texts.
    """
    if labels is not None and all(labels):
        return [str(label) for label in labels]
    known = character_shingles(prompt)
    plain = [normalize_text(text) for text in texts]
    distinct = sorted(set(plain))
    copies = Counter(plain)
    rows = [(shingles - known) or shingles for shingles in map(character_shingles, distinct)]
    found = average_linkage(likeness(rows), threshold, [copies[text] for text in distinct])
    ids = dict(zip(distinct, _ids(distinct, found), strict=True))
    return [ids[text] for text in plain]


def cluster_embeddings(
    texts: Sequence[str],
    labels: Sequence[str | None] | None = None,
    threshold: float = EMBEDDING_THRESHOLD,
    model: str = EMBEDDING_MODEL,
) -> list[str]:
    """Return the cluster id of each response by the cosine of sentence embeddings, or its label if every one has one.

    model: a directory or hub id for sentence-transformers. Raises ConfigError if that package is
    not installed or the model cannot be loaded.
    """
    if labels is not None and all(labels):
        return [str(label) for label in labels]
    plain = [normalize_text(text) for text in texts]
    distinct = sorted(set(plain))
    copies = Counter(plain)
    vectors = load_encoder(model).encode(distinct, show_progress_bar=False, convert_to_numpy=True)
    found = cluster_vectors(vectors, threshold, [copies[text] for text in distinct])
    ids = dict(zip(distinct, _ids(distinct, found), strict=True))
    return [ids[text] for text in plain]


def cluster_vectors(
    vectors: NDArray[np.floating], threshold: float, sizes: Sequence[int] | None = None
) -> list[int]:
    """Return labels of average-linkage clusters of vectors, shape (n, D), by their cosine."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1.0)
    return average_linkage(unit @ unit.T, threshold, sizes)


@functools.cache
def load_encoder(model: str) -> Any:
    """Return the model of sentence-transformers. Raises ConfigError if it or the package is not there."""
    try:
        package = importlib.import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        if error.name != "sentence_transformers":
            raise
        raise ConfigError(
            "clusters by sentence embedding need the package sentence-transformers, which is not "
            "installed; run: pip install raymode[embeddings]"
        ) from error
    try:
        return package.SentenceTransformer(model)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"references.embedding={model}: cannot be loaded ({brief(error)}); name a directory or a model on the hub"
        ) from error


def _ids(distinct: Sequence[str], labels: Sequence[int]) -> list[str]:
    """Return a name per text: a hash of its cluster's first text in sorted order."""
    first: dict[int, str] = {}
    for text, label in zip(distinct, labels, strict=True):
        first.setdefault(label, text)
    digests = {
        label: hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
        for label, text in first.items()
    }
    return [f"text-{digests[label]}" for label in labels]
