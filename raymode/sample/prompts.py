"""Requests for completions: which prompts, how often, each with a seed of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raymode.seed import derive_seed


@dataclass(frozen=True, slots=True)
class Request:
    """One completion asked for."""

    problem_id: str
    index: int  # from 0, among the completions of this prompt
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of an engine; `logprob` is log P(text, end | prompt) in nats at temperature 1, uncut."""

    text: str
    logprob: float
    tokens: int
    finish_reason: str  # "stop" or "length"


def make_requests(
    problems: Iterable[Mapping[str, Any]], completions: int, seed: int
) -> list[Request]:
    """Return `completions` requests per problem, in the problems' order; seeds depend on the problem, not its place."""
    return [
        Request(
            row["problem_id"],
            index,
            row["prompt"],
            derive_seed(seed, row["problem_id"], index) % 2**31,
        )
        for row in problems
        for index in range(completions)
    ]


def in_chunks(requests: Sequence[Request], size: int) -> list[list[Request]]:
    """Return `requests` in pieces of `size`: the unit that one engine answers at once, whatever the pool's size."""
    return [list(requests[start : start + size]) for start in range(0, len(requests), size)]
