"""Which responses an update holds, and which worker computes what of it.

The order depends on the seed alone: update t takes the next places of endless rows of seeded permutations. So a resumed
run goes on in mid-epoch, and the number of workers changes only who computes what. Items are groups, or pieces of one:
a piece holds some responses of a group with its prompt.
"""

import functools
import heapq
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from raymode.config import TrainConfig
from raymode.seed import derive_seed
from raymode.train.tokens import EncodedGroup

Micro = list[list[int]]
"""What is computed at a time: for every rank the indices of its items, which may be none."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the responses of an update come together.

    rate: the share of responses that come in whole groups, 1 = all; the others come alone, each from another problem
    as far as there are enough. Groups that lack some of their wrong responses count as whole ones.
    """

    responses_per_step: int
    responses: int  # of a group: K, and the wrong ones beside them
    rate: float = 1.0

    @property
    def wholes(self) -> int:
        """How many whole groups an update holds."""
        return round(self.rate * self.responses_per_step / self.responses)

    @property
    def singles(self) -> int:
        """How many responses of an update come alone."""
        return self.responses_per_step - self.wholes * self.responses


def order_of(settings: TrainConfig) -> Order:
    """Return how the responses of an update come together."""
    rate = {"grouped": 1.0, "shuffled": 0.0, "mixed": settings.collision_rate}[settings.order]
    size = settings.responses + settings.wrong_responses
    return Order(settings.responses_per_step, size, rate)


def count_updates(groups: Sequence[EncodedGroup], settings: TrainConfig) -> int:
    """Return how many updates a run makes: `train.steps`, or as many as hold about `train.response_tokens`."""
    if not settings.response_tokens:
        return settings.steps
    responses = sum(len(group.responses) for group in groups)
    tokens = sum(group.response_tokens for group in groups)
    per_update = tokens / responses * settings.responses_per_step
    return max(1, round(settings.response_tokens / per_update))


def update_groups(
    groups: Sequence[EncodedGroup], step: int, order: Order, seed: int
) -> list[EncodedGroup]:
    """Return what update `step` (from 0) is made on: whole groups, then groups of one response."""
    wholes = [groups[i] for i in places(step, len(groups), order.wholes, seed)]
    if not order.singles:
        return wholes
    total = len(groups) * order.responses
    singles = []
    for place in range(step * order.singles, (step + 1) * order.singles):
        epoch, within = divmod(place, total)
        turn, position = divmod(within, len(groups))
        # One order of groups for the whole epoch, so that the same group comes again only after all others.
        index = _permutation(len(groups), derive_seed(seed, "singles", epoch))[position]
        chosen = _permutation(order.responses, derive_seed(seed, "singles", epoch, index))[turn]
        singles.append(groups[index].take([chosen]))
    return wholes + singles


def places(step: int, count: int, per_step: int, seed: int) -> list[int]:
    """Return the indices of update `step`: `per_step` places of the endless row of permutations of `count`."""
    found = range(step * per_step, (step + 1) * per_step)
    return [
        _permutation(count, derive_seed(seed, "order", place // count))[place % count]
        for place in found
    ]


def collision_rate(groups: Sequence[EncodedGroup]) -> float:
    """Return the share of an update's responses that have another one of their problem beside them, in [0, 1]."""
    counts = Counter[str]()
    for group in groups:
        counts[group.problem_id] += len(group.responses)
    total = counts.total()
    return sum(count for count in counts.values() if count > 1) / total if total else 0.0


def in_pieces(groups: Sequence[EncodedGroup], tokens: int, shared: bool) -> list[EncodedGroup]:
    """Return `groups`, those of more than `tokens` tokens (0 = no limit) cut into pieces of as few as one response."""
    pieces: list[EncodedGroup] = []
    for group in groups:
        if not tokens or group_tokens(group, shared) <= tokens:
            pieces.append(group)
            continue
        chosen: list[int] = []
        for number in range(len(group.responses)):
            if chosen and group_tokens(group.take([*chosen, number]), shared) > tokens:
                pieces.append(group.take(chosen))
                chosen = []
            chosen.append(number)
        pieces.append(group.take(chosen))
    return pieces


def group_tokens(group: EncodedGroup, shared: bool) -> int:
    """Return how many tokens a group is for the model: its prompt once if it is shared, else with every response."""
    return group.response_tokens + len(group.prompt) * (1 if shared else len(group.responses))


def plan(sizes: Sequence[int], world: int, tokens: int) -> list[Micro]:
    """Return who computes which of the items at which time, so that every rank has about the same to do each time.

    sizes: tokens of each item; tokens: the most one rank may hold at a time, 0 = everything at once. An item that is
    larger stands alone. Largest first into the bin with the least (Graham 1969), bins of about equal size side by side.
    """
    bins = world if not tokens else max(1, -(-sum(sizes) // tokens))
    while True:
        bins += -bins % world
        filled = _fill(sizes, bins, tokens)
        if filled is not None:
            break
        bins += 1
    filled.sort(key=lambda items: (-sum(sizes[i] for i in items), items))
    return [[sorted(items) for items in filled[at : at + world]] for at in range(0, bins, world)]


def imbalance(steps: Sequence[Micro], sizes: Sequence[int]) -> float:
    """Return by what factor an update takes longer than if all ranks had the same to do each time; 1 = it does not."""
    loads = [[sum(sizes[i] for i in items) for items in micro] for micro in steps]
    total = sum(map(sum, loads))
    return sum(max(load) * len(load) for load in loads) / total if total else 1.0


def _fill(sizes: Sequence[int], bins: int, tokens: int) -> list[list[int]] | None:
    heap = [(0, number) for number in range(bins)]
    filled: list[list[int]] = [[] for _ in range(bins)]
    for item in sorted(range(len(sizes)), key=lambda place: (-sizes[place], place)):
        load, number = heap[0]
        if tokens and load and load + sizes[item] > tokens:
            return None  # not even the emptiest has room
        filled[number].append(item)
        heapq.heapreplace(heap, (load + sizes[item], number))
    return filled


@functools.lru_cache(maxsize=256)
def _permutation(count: int, seed: int) -> Sequence[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
