"""Groups of one prompt and K responses, as rows of the `groups` table and as token ids."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raymode.errors import DataError
from raymode.template import prompt_ids, response_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Group:
    """One prompt and its K responses: the item of training, never split over ranks."""

    problem_id: str
    prompt: str
    responses: tuple[str, ...]
    clusters: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """A group as token ids; every response ends with the end-of-sequence token.

    ranks: the places of the responses in the whole group, of which this may be a piece; clusters: a number for each
    response, equal where they are in the same cluster.
    """

    problem_id: str
    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    ranks: tuple[int, ...] = ()
    clusters: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Fill in what is not said: a whole group, whose responses are each in a cluster of its own."""
        everyone = tuple(range(len(self.responses)))
        object.__setattr__(self, "ranks", self.ranks or everyone)
        object.__setattr__(self, "clusters", self.clusters or everyone)

    def take(self, chosen: Sequence[int]) -> "EncodedGroup":
        """Return the group with only the responses at these places."""
        return EncodedGroup(
            self.problem_id,
            self.prompt,
            tuple(self.responses[place] for place in chosen),
            tuple(self.ranks[place] for place in chosen),
            tuple(self.clusters[place] for place in chosen),
        )

    @property
    def response_tokens(self) -> int:
        """Trained tokens: all tokens of all responses."""
        return sum(len(response) for response in self.responses)


def groups_of(rows: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Return the groups of a `groups` table in the order of prompt_rank, then response_rank."""
    ordered = sorted(rows, key=lambda row: (row["prompt_rank"], row["response_rank"]))
    groups = []
    for _, items in itertools.groupby(ordered, key=lambda row: row["prompt_rank"]):
        members = list(items)
        responses = tuple(row["response"] for row in members)
        clusters = tuple(row["cluster_id"] for row in members)
        groups.append(Group(members[0]["problem_id"], members[0]["prompt"], responses, clusters))
    return groups


def encode(
    tokenizer: "PreTrainedTokenizerBase", groups: Iterable[Group], max_tokens: int
) -> list[EncodedGroup]:
    """Return `groups` as token ids; DataError names the problem whose prompt and response exceed `max_tokens`."""
    encoded = []
    for group in groups:
        prompt = tuple(prompt_ids(tokenizer, group.prompt))
        responses = tuple(tuple(response_ids(tokenizer, response)) for response in group.responses)
        longest = len(prompt) + max(len(response) for response in responses)
        if longest > max_tokens:
            raise DataError(
                f"problem {group.problem_id}: prompt and response are {longest} tokens, more than train.max_tokens={max_tokens};"
                " raise it or drop the problem"
            )
        clusters = _numbered(group.clusters)
        encoded.append(EncodedGroup(group.problem_id, prompt, responses, clusters=clusters))
    return encoded


def _numbered(clusters: Sequence[str | None]) -> tuple[int, ...]:
    """Return a number per response, equal for equal clusters; one that is in none is a cluster of its own."""
    names = [name if name is not None else place for place, name in enumerate(clusters)]
    return tuple(names.index(name) for name in names)
