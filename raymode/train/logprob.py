"""Sequence log-probabilities of responses under a causal language model."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raymode.train.batching import IGNORE, Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def response_logp(model: "PreTrainedModel", batch: Batch) -> tuple[Tensor, Tensor]:
    """Return `logp_PK` (nats, float32, summed over a response's tokens) and `tokens_PK`.

    Logits are computed only from the first trained position of the batch on: prompts cost no vocabulary head.
    """
    targets_BT = batch.labels_BT[:, 1:]
    first = int((targets_BT != IGNORE).any(dim=0).nonzero()[0])
    targets_BS = targets_BT[:, first:]
    output = model(
        input_ids=batch.ids_BT,
        attention_mask=batch.attention_BT,
        logits_to_keep=targets_BS.shape[1] + 1,
    )
    logits_BSV = output.logits[:, :-1].float()
    trained_BS = targets_BS != IGNORE
    chosen_BS1 = logits_BSV.gather(2, targets_BS.clamp(min=0)[..., None])
    logp_BS = chosen_BS1[..., 0] - torch.logsumexp(logits_BSV, dim=2)
    logp_B = (logp_BS * trained_BS).sum(dim=1)
    return logp_B.view(-1, batch.responses), trained_BS.sum(dim=1).view(-1, batch.responses)
