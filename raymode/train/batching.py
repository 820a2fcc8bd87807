"""Which groups an update holds, how ranks share them, and the padded tensors of a batch.

The order of groups depends on the seed alone: update t takes the next groups of an endless row of seeded
permutations. So a resumed run continues in mid-epoch, and the number of ranks changes only who computes what.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raymode.seed import derive_seed
from raymode.train.tokens import EncodedGroup

IGNORE = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sequences of some groups; shapes: B sequences (groups in order, K in a row), T tokens."""

    ids_BT: Tensor
    attention_BT: Tensor
    labels_BT: Tensor  # the token to predict at this place's successor is shifted by the model code; IGNORE = not trained
    responses: int  # K

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on `device`."""
        return Batch(
            self.ids_BT.to(device),
            self.attention_BT.to(device),
            self.labels_BT.to(device),
            self.responses,
        )


def group_indices(step: int, groups: int, per_step: int, seed: int) -> list[int]:
    """Return the indices of update `step` (from 0): `per_step` places of the endless row of permutations."""
    places = range(step * per_step, (step + 1) * per_step)
    orders = {
        epoch: _permutation(groups, epoch, seed) for epoch in {place // groups for place in places}
    }
    return [orders[place // groups][place % groups] for place in places]


def share_of_rank(costs: Sequence[int], rank: int, world: int) -> list[int]:
    """Return the positions of `costs` that `rank` computes: longest first to the least loaded rank."""
    loads, shares = [0] * world, [[] for _ in range(world)]  # type: tuple[list[int], list[list[int]]]
    for position in sorted(range(len(costs)), key=lambda place: (-costs[place], place)):
        lightest = loads.index(min(loads))
        loads[lightest] += costs[position]
        shares[lightest].append(position)
    return sorted(shares[rank])


def collate(groups: Sequence[EncodedGroup], pad_id: int) -> Batch:
    """Return one right-padded batch; all groups must have the same K."""
    rows = [(group.prompt, response) for group in groups for response in group.responses]
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids_BT = torch.full((len(rows), width), pad_id, dtype=torch.long)
    attention_BT = torch.zeros((len(rows), width), dtype=torch.long)
    labels_BT = torch.full((len(rows), width), IGNORE, dtype=torch.long)
    for row, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        ids_BT[row, :end] = torch.tensor(prompt + response)
        attention_BT[row, :end] = 1
        labels_BT[row, len(prompt) : end] = torch.tensor(response)
    return Batch(ids_BT, attention_BT, labels_BT, len(groups[0].responses))


def _permutation(count: int, epoch: int, seed: int) -> list[int]:
    order = list(range(count))
    random.Random(derive_seed(seed, "order", epoch)).shuffle(order)
    return order
