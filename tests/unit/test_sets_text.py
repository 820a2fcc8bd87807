"""Texts: normal form, near-duplicates, clusters, and agreement with people's clusters."""

import importlib.util
import json
import os
import random
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raymode.errors import ConfigError
from raymode.sets.cluster import adjusted_rand
from raymode.sets.linkage import average_linkage
from raymode.sets.submodular import likeness
from raymode.sets.text import (
    character_shingles,
    facts,
    near_duplicates,
    normalize_text,
    text_features,
    text_key,
    tokens,
)
from raymode.sets.text_clusters import cluster_embeddings, cluster_texts, cluster_vectors

LONG = "The Eagle is a cheap coffee shop near the river, and families with children like it"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("  two\t words\r\n\u00a0\u2003here ", "two words here"),
        ("\u201cIt\u2019s\u201d", '"It\'s"'),
        ("well\u2011known\u2026", "well-known..."),
        ("\ufeffsoft\u00adhyphen\u200b", "softhyphen"),
    ],
)
def test_spellings_of_one_text_have_one_key(left: str, right: str) -> None:
    assert normalize_text(left) == right
    assert text_key(left) == text_key(right)
    assert normalize_text(right) == right


@pytest.mark.parametrize(
    ("left", "right"),
    [("x²", "x2"), ("½", "1⁄2"), ("Polish", "polish"), ("a-b", "a–b"), ("me", "me."), ("", "a")],
)
def test_different_texts_have_different_keys(left: str, right: str) -> None:
    assert text_key(left) != text_key(right)


def test_key_does_not_depend_on_the_process() -> None:
    assert text_key("a  b") == "c8687a08aa5d6ed2044328fa6a697ab8"


def test_tokens_and_facts() -> None:
    assert tokens("It's 3 + 4.5, (NOT x*y)!") == [
        "it",
        "s",
        "3",
        "+",
        "4",
        "5",
        "not",
        "x",
        "*",
        "y",
    ]
    assert facts("no 10, not 2 and 10.5") == (("10", "10.5", "2"), 2)
    assert facts("I don\u2019t; nothing known") == ((), 2)
    assert facts("a note, another knot") == ((), 0)
    assert text_features("The the river.") == {"word:the", "word:river"}


def test_shingles_have_a_space_at_both_ends() -> None:
    assert character_shingles("To be?") == {" to ", "to b", "o be", " be "}
    assert character_shingles("x") == {" x "}
    assert character_shingles("...") == {"  "}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (LONG.upper() + "!", True),
        (LONG.replace("shop", "shopp"), True),
        ("Near the river, The Eagle is a cheap coffee shop and families with children like it", True),
        (LONG.replace("families with children", "no families"), False),
        (LONG.replace("cheap", "cheap (2 pounds)"), False),
        (LONG.replace("near the river, and families", "and nearly all families"), False),
    ],
)  # fmt: skip
def test_near_duplicates_of_a_sentence(other: str, same: bool) -> None:
    assert near_duplicates([LONG, other]) == ([0, 0] if same else [0, 1])


def test_numbers_and_negations_tell_texts_apart() -> None:
    assert near_duplicates([LONG + " at 20", LONG + " at 21", LONG + " at 20."]) == [0, 1, 0]
    assert near_duplicates([LONG.replace("is a", "is not a"), LONG]) == [0, 1]


def test_near_duplicates_are_components_of_the_exact_index_in_any_order() -> None:
    generator = random.Random(0)
    words = [f"word{i}" for i in range(12)]
    texts = [" ".join(generator.choices(words, k=9)) for _ in range(10)]
    texts += [text[:-1] + generator.choice("abc") for text in texts * 2]
    expected = list(range(len(texts)))
    for i, left in enumerate(texts):
        for j, right in enumerate(texts):
            a, b = character_shingles(left), character_shingles(right)
            if facts(left) == facts(right) and len(a & b) >= 0.8 * len(a | b):
                old, new = expected[j], expected[i]
                expected = [new if label == old else label for label in expected]
    found = near_duplicates(texts, 0.8)
    assert adjusted_rand(found, expected) == 1 and 1 < len(set(found)) < len(texts)
    order = generator.sample(range(len(texts)), len(texts))
    shuffled = near_duplicates([texts[i] for i in order], 0.8)
    assert adjusted_rand([found[i] for i in order], shuffled) == 1
    assert near_duplicates([]) == []


def test_average_linkage_is_that_of_merging_the_best_pair_each_time() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        n = int(rng.integers(1, 25))
        rows = [
            frozenset(f"w{x}" for x in rng.integers(25, size=rng.integers(5, 25))) for _ in range(n)
        ]
        matrix = likeness(sorted(set(rows), key=sorted)).astype(np.float64)
        noise = rng.random(matrix.shape) * 1e-3  # no two averages are equal
        matrix = matrix + noise + noise.T
        threshold = float(rng.uniform(0.2, 0.8))
        clusters = [[i] for i in range(len(matrix))]
        while len(clusters) > 1:
            value, i, j = max(
                (float(matrix[np.ix_(clusters[i], clusters[j])].mean()), i, j)
                for j in range(len(clusters))
                for i in range(j)
            )
            if value < threshold:
                break
            clusters[i] += clusters.pop(j)
        expected = {x: number for number, members in enumerate(clusters) for x in members}
        found = average_linkage(matrix, threshold)
        assert adjusted_rand(found, [expected[i] for i in range(len(matrix))]) == 1


def test_nothing_has_no_clusters() -> None:
    assert average_linkage(np.zeros((0, 0)), 0.5) == []


def test_sizes_weigh_as_copies_do() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows = [frozenset(f"w{x}" for x in rng.integers(9, size=6)) for _ in range(8)]
        copies = [int(c) for c in rng.integers(1, 4, size=8)]
        noise = rng.random((8, 8)) * 1e-3
        matrix = likeness(rows) * 0.9 + noise + noise.T
        np.fill_diagonal(matrix, 1.0)
        places = [i for i, c in enumerate(copies) for _ in range(c)]
        repeated = average_linkage(matrix[np.ix_(places, places)], 0.45)
        by_size = average_linkage(matrix, 0.45, copies)
        assert adjusted_rand(repeated, [by_size[i] for i in places]) == 1


def test_labels_are_the_clusters_if_every_text_has_one() -> None:
    assert cluster_texts(["a", "b", "c"], labels=["x", "y", "x"]) == ["x", "y", "x"]
    assert len(set(cluster_texts(["desk", "desks"], labels=["x", None]))) == 1


def test_clusters_by_characters() -> None:
    texts = ["photocopier", "copier", "a desk", "Desks", "dog", "photocopier "]
    found = cluster_texts(texts)
    assert found[0] == found[1] == found[5] and found[2] == found[3]
    assert len(set(found)) == 3 and all(name.startswith("text-") for name in found)
    assert cluster_texts(texts[::-1]) == found[::-1]
    assert cluster_texts([]) == []


def test_what_stands_in_the_prompt_does_not_count() -> None:
    prompt = "Describe The Golden Palace in the city centre, near Burger King."
    texts = [
        "The Golden Palace in the city centre near Burger King is cheap",
        "The Golden Palace near Burger King in the city centre has wonderful puddings",
    ]
    assert len(set(cluster_texts(texts))) == 1
    assert len(set(cluster_texts(texts, prompt))) == 2
    assert cluster_texts(["Burger King"], prompt) == cluster_texts(["Burger King"])


def test_clusters_of_vectors_go_by_cosine() -> None:
    vectors = np.array([[1.0, 0.1], [50.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    assert cluster_vectors(vectors, 0.6) == [0, 0, 1, 2]


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is not None,
    reason="sentence-transformers is installed",
)
def test_embeddings_without_the_package_say_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"pip install raymode\[embeddings\]"):
        cluster_embeddings(["a", "b"])


def people(name: str) -> list[dict[str, Any]]:
    folder = os.environ.get("RAYMODE_SHARED")
    if not folder:
        pytest.skip("RAYMODE_SHARED is unset: it names the folder of the ProtoQA data")
    path = Path(folder) / "data" / "text" / f"protoqa_crowd_{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("name", "least"), [("train", 0.22), ("dev", 0.28)])
def test_agreement_with_peoples_clusters_of_short_answers(name: str, least: float) -> None:
    agreement = []
    for row in people(name):
        label = {text: c["id"] for c in reversed(row["clusters"]) for text in c["answers"]}
        texts = [text for text in row["references"] if text in label]
        found = cluster_texts(texts, row["prompt"])
        agreement.append(adjusted_rand(found, [label[text] for text in texts]))
    assert least < statistics.mean(agreement) < 0.6
