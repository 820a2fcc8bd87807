"""Groups as the tensors of one forward pass: a shared row with every prompt once, or padded rows.

Both give the same `Packed`, so the model that consumes it does not care which one it got.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raymode.errors import DataError
from raymode.train.tokens import EncodedGroup
from raymode.train.trees import Layout, layout_of


@dataclass(frozen=True, slots=True)
class Packed:
    """Groups ready for a forward pass; shapes: B rows, T tokens, N trained tokens, R responses of all groups in order.

    Target n is predicted by the hidden state at place `predictors_N[n]` of the flattened B·T places and belongs to
    response `response_N[n]`. Exactly one of `attention_BT` (padding: 0) and `layout` says who sees whom.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    attention_BT: Tensor | None
    layout: Layout | None
    predictors_N: Tensor
    targets_N: Tensor
    response_N: Tensor
    tokens_R: Tensor

    def to(self, device: torch.device) -> "Packed":
        """Return the tensors on `device`; a layout's table stays on the CPU, where attention reads it."""
        return replace(
            self,
            ids_BT=self.ids_BT.to(device),
            positions_BT=self.positions_BT.to(device),
            attention_BT=None if self.attention_BT is None else self.attention_BT.to(device),
            predictors_N=self.predictors_N.to(device),
            targets_N=self.targets_N.to(device),
            response_N=self.response_N.to(device),
            tokens_R=self.tokens_R.to(device),
        )


def pack_shared(groups: Sequence[EncodedGroup]) -> Packed:
    """Return one row (B = 1) with a tree per group: the prompt, then its responses, whose positions go on from it.

    The first token of every response is predicted by the prompt's last hidden state. Groups may differ in K, and
    pieces of a group are groups. Raises DataError for an empty prompt or response.
    """
    _refuse_empty(groups)
    # One line per segment: the tokens before it in its sequence, its length, the place that predicts its first token.
    before, lengths, first, trained = [], [], [], []
    end = 0
    for group in groups:
        root = end + len(group.prompt)
        before.append(0)
        before.extend([len(group.prompt)] * len(group.responses))
        lengths.append(len(group.prompt))
        lengths.extend(len(response) for response in group.responses)
        first.extend([root - 1] * len(group.responses))
        trained.append(False)
        trained.extend([True] * len(group.responses))
        end = root + group.response_tokens
    lengths_S, trained_S = np.array(lengths), np.array(trained)
    starts_S = np.cumsum(lengths_S) - lengths_S
    places_T = np.arange(end)
    ids_T = _tokens(part for group in groups for part in (group.prompt, *group.responses))
    tokens_R = lengths_S[trained_S]
    targets_at_N = places_T[np.repeat(trained_S, lengths_S)]
    predictors_N = targets_at_N - 1
    predictors_N[np.cumsum(tokens_R) - tokens_R] = first
    return Packed(
        ids_BT=torch.from_numpy(ids_T)[None],
        positions_BT=torch.from_numpy(places_T - np.repeat(starts_S - np.array(before), lengths_S))[
            None
        ],
        attention_BT=None,
        layout=layout_of(
            [len(group.prompt) for group in groups],
            [[len(response) for response in group.responses] for group in groups],
        ),
        predictors_N=torch.from_numpy(predictors_N),
        targets_N=torch.from_numpy(ids_T[targets_at_N]),
        response_N=torch.from_numpy(np.repeat(np.arange(len(tokens_R)), tokens_R)),
        tokens_R=torch.from_numpy(tokens_R),
    )


def pack_padded(groups: Sequence[EncodedGroup], pad_id: int) -> Packed:
    """Return one right-padded row per response, each with its prompt in full.

    Raises DataError for an empty prompt or response.
    """
    _refuse_empty(groups)
    prompts_B = np.array([len(group.prompt) for group in groups for _ in group.responses])
    tokens_B = np.array([len(response) for group in groups for response in group.responses])
    width = int((prompts_B + tokens_B).max())
    columns_T = np.arange(width)
    real_BT = columns_T < (prompts_B + tokens_B)[:, None]
    ids_BT = np.full(real_BT.shape, pad_id)
    ids_BT[real_BT] = _tokens(
        part
        for group in groups
        for response in group.responses
        for part in (group.prompt, response)
    )
    targets_at_N = (real_BT & (columns_T >= prompts_B[:, None])).reshape(-1).nonzero()[0]
    return Packed(
        ids_BT=torch.from_numpy(ids_BT),
        positions_BT=torch.from_numpy(columns_T).expand(len(tokens_B), -1),
        attention_BT=torch.from_numpy(real_BT.astype(np.int64)),
        layout=None,
        predictors_N=torch.from_numpy(targets_at_N - 1),
        targets_N=torch.from_numpy(ids_BT.reshape(-1)[targets_at_N]),
        response_N=torch.from_numpy(np.repeat(np.arange(len(tokens_B)), tokens_B)),
        tokens_R=torch.from_numpy(tokens_B),
    )


def _tokens(parts: Iterable[Sequence[int]]) -> npt.NDArray[np.int64]:
    return np.fromiter(itertools.chain.from_iterable(parts), dtype=np.int64)


def _refuse_empty(groups: Sequence[EncodedGroup]) -> None:
    for group in groups:
        if not group.prompt or not all(group.responses) or not group.responses:
            raise DataError(
                f"problem {group.problem_id}: a prompt or response has no token, so nothing predicts its next one;"
                " drop the problem"
            )
