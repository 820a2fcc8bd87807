"""Running means for ECO on responses that come alone: what the earlier responses of a problem had."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from raymode.config import Config
from raymode.train.tokens import EncodedGroup


class RunningMeans:
    """The exponential mean r̄_x of what ECO compares, per problem x; the same on all ranks if they add the same.

    A response with r moves it to (1 − rate) r̄_x + rate r; the first one sets it. Tensors of `state` are changed in
    place, so that a checkpoint that is loaded into them is taken over.
    """

    def __init__(self, groups: Sequence[EncodedGroup], rate: float, reduction: str) -> None:
        """groups: those that are trained on, in the same order whenever a run is resumed; rate: above 0, at most 1."""
        self.reduction = reduction
        self._rate = rate
        self._place = {group.problem_id: place for place, group in enumerate(groups)}
        self._mean_P = torch.full((len(groups),), math.nan, dtype=torch.float64)

    @property
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"mean": self._mean_P}

    def of(self, groups: Sequence[EncodedGroup]) -> Tensor:
        """Return r̄_x of each group's problem, (groups,) float64; NaN where no response was seen yet."""
        return self._mean_P[[self._place[group.problem_id] for group in groups]]

    def add(self, groups: Sequence[EncodedGroup], values: Sequence[float]) -> None:
        """Take note of r of one response per group, in this order."""
        for group, value in zip(groups, values, strict=True):
            place = self._place[group.problem_id]
            before = self._mean_P[place].item()
            moved = value if math.isnan(before) else before + self._rate * (value - before)
            self._mean_P[place] = moved


def running_means(groups: Sequence[EncodedGroup], config: Config) -> RunningMeans | None:
    """Return what ECO compares responses with that come alone; None where whole groups come."""
    if config.train.loss != "eco" or config.train.order != "shuffled":
        return None
    return RunningMeans(groups, config.eco.running, config.eco.reduction)
