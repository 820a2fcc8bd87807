"""Texts as answers: one normal form, one key, near-duplicates, and the words that describe a text.

The text that is trained on stays as its author wrote it; only what is compared is normalised. The
normal form is NFC, not NFKC: NFKC makes x² and x2, or ½ and 1⁄2, the same text. What it would
usefully fold (white space, typographic quotes, hyphens, dots) is folded here by name.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from raymode.sets.duplicates import connected, jaccard
from raymode.sets.submodular import likeness

KEY_DIGITS = 32
NEAR_DUPLICATE = 0.9
SHINGLE = 4  # characters

_FOLDED = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **dict.fromkeys("\u2010\u2011", "-"),
        "\u2026": "...",
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff", None),  # soft hyphen, zero-width spaces, BOM
    }
)
_TOKEN = re.compile(r"""\w+|[^\w\s.,;:!?'"()\[\]\-]""")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without)\b|n't\b")


def normalize_text(text: str) -> str:
    """Return the normal form: NFC, plain quotes and hyphens, one space for any white space."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_FOLDED).split())


def text_key(text: str) -> str:
    """Return the key of a text: equal for texts with the same normal form; 32 hexadecimal digits."""
    return hashlib.sha256(normalize_text(text).encode()).hexdigest()[:KEY_DIGITS]


def tokens(text: str) -> list[str]:
    """Return words and symbols in order, without case and without punctuation of sentences."""
    return _TOKEN.findall(normalize_text(text).casefold())


def facts(text: str) -> tuple[tuple[str, ...], int]:
    """Return the numbers in a text, sorted, and how many (English) negations it has.

    Texts that differ in these differ in what they say, however alike they look.
    """
    plain = normalize_text(text).casefold()
    return tuple(sorted(_NUMBER.findall(plain))), len(_NEGATION.findall(plain))


def character_shingles(text: str, size: int = SHINGLE) -> frozenset[str]:
    """Return all runs of `size` characters of a text's tokens, with a space at both ends."""
    plain = f" {' '.join(tokens(text))} "
    return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))


def near_duplicates(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> list[int]:
    """Return for each response of one prompt the number of its group of near-duplicates.

    Two are near-duplicates if the Jaccard index of their runs of 4 characters is at least
    `threshold` and they have the same `facts`; groups are the connected components, numbered in
    order of appearance. At 0.9, case, punctuation, a typo in a long sentence and another order of
    its parts are near-duplicates; texts at 0.8 to 0.9 often leave out or add a fact.
    """
    shingles = [character_shingles(text) for text in texts]
    distinct = list(dict.fromkeys(zip(shingles, map(facts, texts), strict=True)))
    alike = likeness([row for row, _ in distinct]) >= threshold - 2**-16  # it is rounded
    pairs = [
        (int(i), int(j))
        for i, j in zip(*np.nonzero(np.triu(alike, 1)), strict=True)
        if distinct[i][1] == distinct[j][1] and jaccard(distinct[i][0], distinct[j][0]) >= threshold
    ]
    group = dict(zip(distinct, connected(len(distinct), pairs), strict=True))
    return [group[row, facts(text)] for row, text in zip(shingles, texts, strict=True)]


def text_features(text: str) -> frozenset[str]:
    """Return the words of a text as features ("word:river"), the column `features` of a text."""
    return frozenset(f"word:{word}" for word in tokens(text))
