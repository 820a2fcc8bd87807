"""Effective K against simulation and hand counts; near-duplicate prompts against brute force."""

import itertools
import math
import random

import numpy as np
import pytest

from raymode.sets.cluster import adjusted_rand
from raymode.sets.duplicates import (
    connected,
    jaccard,
    minhash,
    near_duplicate_groups,
    word_shingles,
)
from raymode.sets.effective import (
    effective_responses,
    group_k_eff,
    implicit_responses,
    k_eff,
    prompt_groups,
)

STORY = (
    "You are given a list of whole numbers. Print the sum of the longest run that never falls, "
    "and if there are several such runs of equal length print the sum of the first of them."
)


def test_k_eff_at_its_corners() -> None:
    assert k_eff(1, 0.5) == 1
    assert k_eff(8, 0.0) == 8
    assert k_eff(8, 1.0) == 1
    assert k_eff(3, -0.5) == math.inf
    assert k_eff(4, 0.5) == pytest.approx(1.6)
    for bad in ((0, 0.0), (3, 1.1), (3, -0.6), (2, math.nan)):
        with pytest.raises(ValueError):
            k_eff(*bad)


def test_k_eff_is_the_variance_of_a_mean_of_correlated_values() -> None:
    rng = np.random.default_rng(0)
    k, correlation, runs = 6, 0.3, 40_000
    shared = rng.normal(size=(runs, 1)) * math.sqrt(correlation)
    own = rng.normal(size=(runs, k)) * math.sqrt(1 - correlation)
    variance = float((shared + own).mean(axis=1).var())
    assert 1 / variance == pytest.approx(k_eff(k, correlation), rel=0.03)


def test_k_eff_of_equal_or_other_responses_is_the_number_of_draws_until_a_repeat() -> None:
    clusters = "aaabbc"
    chance = sum((clusters.count(name) / 6) ** 2 for name in "abc")
    assert group_k_eff([{name} for name in clusters]) == pytest.approx(1 / chance)


def test_group_k_eff_is_by_mean_jaccard_over_pairs() -> None:
    rng = random.Random(1)
    rows = [frozenset(rng.choices("abcdefgh", k=5)) for _ in range(7)]
    mean = sum(jaccard(a, b) for a, b in itertools.combinations(rows, 2)) / 21
    assert group_k_eff(rows) == pytest.approx(7 / (1 + 6 * mean), rel=1e-4)
    assert group_k_eff([{"a"}]) == 1
    assert group_k_eff([{"a"}, {"a"}, {"a"}]) == pytest.approx(1)
    assert group_k_eff([{"a"}, {"b"}, {"c"}]) == pytest.approx(3)


def test_effective_responses_are_means_over_groups() -> None:
    found = effective_responses([[{"a"}, {"b"}], [{"a"}, {"a"}, {"a"}, {"a"}], [{"c"}], []])
    assert (found.groups, found.responses) == (3, pytest.approx(7 / 3))
    assert found.likeness == pytest.approx(0.5) and found.k_eff == pytest.approx(4 / 3)
    assert math.isnan(effective_responses([]).k_eff)


def test_connected_components() -> None:
    assert connected(6, [(4, 1), (5, 4), (2, 0)]) == [0, 1, 0, 2, 1, 1]
    assert connected(0, []) == []


def test_word_shingles_are_runs_of_words_in_order() -> None:
    def runs(text: str, size: int) -> set[int]:
        return {int(x) for x in word_shingles(text.split(), size)}

    assert len(runs("a b c d", 3)) == 4
    assert len(runs("a b", 3)) == 2 and len(runs("", 3)) == 1 and len(runs("a", 1)) == 1
    assert runs("a b c", 2) != runs("c b a", 2) and runs("a b c", 1) == runs("c b a", 1)
    assert len(runs("x a b c y", 3) & runs("z a b c w", 3)) == 1


def test_minhash_agrees_as_often_as_the_jaccard_index_says() -> None:
    words = [f"w{i}" for i in range(400)]
    rng = random.Random(2)
    pairs = []
    for shared in (0, 50, 100, 180):
        for _ in range(20):
            picks = rng.sample(words, 400 - shared)
            pairs.append((picks[: 200], picks[200 - shared : 400 - shared], shared / (400 - shared)))  # fmt: skip
    for index in {pair[2] for pair in pairs}:
        agree = []
        for left, right, expected in pairs:
            if expected == index:
                a, b = minhash([word_shingles(left, 1), word_shingles(right, 1)])
                agree.append(float((a == b).mean()))
        assert np.mean(agree) == pytest.approx(index, abs=0.03)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9, 1.0])
def test_groups_are_those_of_comparing_every_pair(threshold: float) -> None:
    rng = random.Random(3)
    words = [f"w{i}" for i in range(60)]
    documents = [rng.choices(words, k=40) for _ in range(60)]
    for document in documents[:40]:
        changed = list(document)
        for _ in range(rng.randint(0, 4)):
            changed[rng.randrange(40)] = rng.choice(words)
        documents.append(changed)
    kinds = [number % 3 == 0 for number in range(len(documents))]
    shingles = [word_shingles(document, 3) for document in documents]
    sets = [frozenset(str(x) for x in row) for row in shingles]
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(len(sets)), 2)
        if kinds[i] == kinds[j] and jaccard(sets[i], sets[j]) >= threshold
    ]
    found = near_duplicate_groups(shingles, kinds, threshold)
    assert found == connected(len(sets), pairs)
    assert len(set(found)) < len(found)
    order = rng.sample(range(len(sets)), len(sets))
    again = near_duplicate_groups(
        [shingles[i] for i in order], [kinds[i] for i in order], threshold
    )
    assert adjusted_rand([found[i] for i in order], again) == 1


def test_a_pair_exactly_at_the_threshold_counts() -> None:
    documents = [word_shingles(words.split(), 1) for words in ("a b c", "a b d", "e f g")]
    assert near_duplicate_groups(documents, [0, 0, 0], 0.5) == [0, 0, 1]
    assert near_duplicate_groups(documents, [0, 0, 0], 0.51) == [0, 1, 2]


def test_other_case_and_small_edits_are_near_but_other_numbers_and_symbols_are_not() -> None:
    edited = STORY.replace("never falls", "does never fall")
    prompts = [
        STORY, STORY.upper().replace(". ", "\n\n"), STORY + " Print at most 10 digits.",
        STORY + " Print at most 12 digits.", "What is 3 + 5?", "What is 3 * 5?", "what is 3 + 5",
        edited, "\N{GRINNING FACE}", "\N{CRYING FACE}", "", "...",
    ]  # fmt: skip
    assert prompt_groups(prompts, 0.75) == [0, 0, 1, 2, 3, 4, 3, 0, 5, 6, 7, 7]
    assert prompt_groups([STORY, edited], 0.9) == [0, 1]
    assert prompt_groups([STORY, STORY.replace("whole ", "")], 0.75) == [0, 0]
    assert prompt_groups([]) == []
    with pytest.raises(ValueError, match="threshold"):
        prompt_groups([STORY], 0.0)


def test_implicit_k_counts_different_responses_to_near_duplicate_prompts() -> None:
    copies = [STORY, STORY.lower(), STORY.upper(), STORY.replace(",", "")]
    four = implicit_responses({prompt: [f"r{i}"] for i, prompt in enumerate(copies)})
    assert (four.explicit_k, four.rows_per_group, four.implicit_k) == (1, 4, 4)
    one = implicit_responses({prompt: ["r"] for prompt in copies})
    assert (one.explicit_k, one.rows_per_group, one.implicit_k) == (1, 4, 1)
    mixed = implicit_responses(
        {STORY: ["a", "b"], STORY.lower(): ["b", "c"], "Name a bird.": ["d"], "Name a fish.": ["e"]}
    )
    assert (mixed.prompts, mixed.responses, mixed.prompt_groups) == (4, 6, 3)
    assert (mixed.near_duplicate_groups, mixed.prompts_in_near_duplicate_groups) == (1, 2)
    assert (mixed.largest_group, mixed.explicit_k) == (2, 1.5)
    assert mixed.rows_per_group == 2 and mixed.implicit_k == pytest.approx(5 / 3)
    assert math.isnan(implicit_responses({}).implicit_k)
