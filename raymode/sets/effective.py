"""How many responses per prompt a corpus really has: effective K, and K by repeated prompts.

Responses that are alike count for less than their number; prompts that are near-duplicates of each
other make several responses to one prompt, even where every row has just one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raymode.sets.duplicates import near_duplicate_groups, word_shingles
from raymode.sets.submodular import mean_likeness
from raymode.sets.text import facts, tokens

PROMPT_SHINGLE = 3  # words
PROMPT_THRESHOLD = 0.9


@dataclass(frozen=True, slots=True)
class EffectiveResponses:
    """Effective K of a corpus: means over its groups. `k_eff` is at most `responses`."""

    groups: int
    responses: float
    likeness: float  # mean over the groups with 2 responses or more; NaN if there is none
    k_eff: float


@dataclass(frozen=True, slots=True)
class ImplicitResponses:
    """The K that a corpus has by repeating its prompts.

    explicit_k = responses / prompts as the corpus states them; rows_per_group = responses / groups
    of near-duplicate prompts; implicit_k counts responses that are equal in one group once.
    """

    prompts: int
    responses: int
    prompt_groups: int
    near_duplicate_groups: int  # groups of two prompts or more
    prompts_in_near_duplicate_groups: int
    largest_group: int
    explicit_k: float
    rows_per_group: float
    implicit_k: float


def k_eff(k: int, likeness: float) -> float:
    """Return K / (1 + (K - 1) * likeness): how many independent responses K alike ones are worth.

    likeness: mean over the pairs of responses, in [-1 / (K - 1), 1]: a correlation of what they
    contribute (gradients) or a stand-in for it, such as the Jaccard index of their features. The
    variance of a mean of K values with mean correlation r is that of k_eff independent ones: the
    design effect of cluster samples (Kish 1965, section 5.4), used for responses per prompt by the
    multi-response training source. With likeness 1 for equal and 0 for other responses, it is the
    inverse of the chance that two draws with replacement are equal (similarity-sensitive diversity
    of order 2: Leinster and Cobbold 2012). Infinite at the lower end of the range, where the values
    cancel.
    """
    if k < 1:
        raise ValueError(f"k={k}: must be at least 1")
    if k == 1:
        return 1.0
    lowest = -1 / (k - 1)
    if not lowest <= likeness <= 1:
        raise ValueError(f"likeness {likeness}: must be from {lowest:g} to 1 for k={k}")
    effect = 1 + (k - 1) * likeness
    return k / effect if effect > 0 else float("inf")


def group_k_eff(features: Sequence[Iterable[str]]) -> float:
    """Return the effective K of one group by the Jaccard index of its responses' features."""
    rows = [frozenset(words) for words in features]
    return k_eff(len(rows), mean_likeness(rows) if len(rows) > 1 else 0.0)


def effective_responses(groups: Iterable[Sequence[Iterable[str]]]) -> EffectiveResponses:
    """Return the effective K of a corpus; each group is the features of its responses."""
    sizes: list[int] = []
    found: list[float] = []
    alike: list[float] = []
    for group in groups:
        rows = [frozenset(words) for words in group]
        if not rows:
            continue
        mean = mean_likeness(rows) if len(rows) > 1 else 0.0
        alike += [mean] if len(rows) > 1 else []
        sizes.append(len(rows))
        found.append(k_eff(len(rows), mean))
    return EffectiveResponses(len(sizes), _mean(sizes), _mean(alike), _mean(found))


def prompt_groups(prompts: Sequence[str], threshold: float = PROMPT_THRESHOLD) -> list[int]:
    """Return the group of near-duplicates of each prompt, numbered in order of appearance.

    Near-duplicates have the same numbers and negations, and runs of 3 words with a Jaccard index of
    at least `threshold`. That finds copies with other case, punctuation or white space, and small
    edits of long prompts. It does not find paraphrases: what is counted is a lower bound. Below 0.9
    prompts filled into one template begin to count as near-duplicates.
    """
    shingles = [word_shingles(tokens(prompt), PROMPT_SHINGLE) for prompt in prompts]
    return near_duplicate_groups(shingles, [facts(prompt) for prompt in prompts], threshold)


def implicit_responses(
    responses: Mapping[str, Sequence[str]], threshold: float = PROMPT_THRESHOLD
) -> ImplicitResponses:
    """Return how many responses per prompt a corpus has once near-duplicate prompts are one.

    responses: per prompt text, the keys of its responses; equal keys are the same response.
    """
    labels = prompt_groups(list(responses), threshold)
    members: dict[int, int] = {}
    different: dict[int, set[str]] = {}
    for label, keys in zip(labels, responses.values(), strict=True):
        members[label] = members.get(label, 0) + 1
        different.setdefault(label, set()).update(keys)
    repeated = [count for count in members.values() if count > 1]
    total = sum(len(keys) for keys in responses.values())
    return ImplicitResponses(
        prompts=len(labels),
        responses=total,
        prompt_groups=len(members),
        near_duplicate_groups=len(repeated),
        prompts_in_near_duplicate_groups=sum(repeated),
        largest_group=max(members.values(), default=0),
        explicit_k=_ratio(total, len(labels)),
        rows_per_group=_ratio(total, len(members)),
        implicit_k=_mean([len(keys) for keys in different.values()]),
    )


def _mean(values: Sequence[float]) -> float:
    return _ratio(sum(values), len(values))


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
