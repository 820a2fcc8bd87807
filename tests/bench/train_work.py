"""How much there is to do in an update: tokens and operations of matrix products, with prompts shared and in padded rows."""

from collections.abc import Iterable
from dataclasses import dataclass

from train_arms import Setup

from raymode.train.tokens import EncodedGroup


@dataclass(frozen=True)
class Work:
    """tokens: places that the model computes; pairs: queries times the keys they see; trained: predicted tokens."""

    tokens: int
    pairs: float
    trained: int

    def operations(self, setup: Setup) -> float:
        """Return the operations of the matrix products of one forward pass; an update takes three times as many."""
        width = setup.hidden
        key_width = width // setup.heads * setup.key_heads
        layer = 2 * width * width + 2 * width * key_width + 3 * width * setup.inner
        return 2.0 * (
            setup.layers * (layer * self.tokens + 2 * width * self.pairs)
            + width * setup.vocabulary * self.trained
        )


def shared_work(groups: Iterable[EncodedGroup]) -> Work:
    """Return the work on groups whose prompts are computed once."""
    tokens, pairs, trained = 0, 0.0, 0
    for group in groups:
        prompt = len(group.prompt)
        tokens += prompt + group.response_tokens
        pairs += prompt**2 / 2 + sum(len(y) * prompt + len(y) ** 2 / 2 for y in group.responses)
        trained += group.response_tokens
    return Work(tokens, pairs, trained)


def padded_work(batches: Iterable[list[EncodedGroup]]) -> Work:
    """Return the work on rows as long as the longest of their batch; padding is computed but seen by nobody."""
    tokens, pairs, trained = 0, 0.0, 0
    for groups in batches:
        lengths = [len(group.prompt) + len(y) for group in groups for y in group.responses]
        tokens += max(lengths) * len(lengths)
        pairs += max(lengths) ** 2 / 2 * len(lengths)
        trained += sum(group.response_tokens for group in groups)
    return Work(tokens, pairs, trained)
