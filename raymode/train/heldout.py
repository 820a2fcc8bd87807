"""Held-out log-probabilities: how likely the model finds every right response of problems it was not trained on."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from raymode.config import Config
from raymode.store import Store
from raymode.train.model import ResponseModel
from raymode.train.step import plan_update, run_pass
from raymode.train.tokens import EncodedGroup, encode, groups_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENS = 8192
"""Tokens a worker holds at a time where train.tokens_per_batch does not say."""


def load_heldout(
    store: Store, tokenizer: "PreTrainedTokenizerBase", config: Config
) -> list[EncodedGroup]:
    """Return the run directory's held-out groups as tokens; DataError for one that is too long."""
    if not store.exists("heldout_groups.parquet"):
        return []
    groups = groups_of(store.rows("heldout_groups.parquet"))
    return encode(tokenizer, groups, config.train.max_tokens)


def likelihoods(
    model: ResponseModel, groups: Sequence[EncodedGroup], config: Config
) -> list[list[float]]:
    """Return log P of every response by group, in nats; every rank calls this and gets all."""
    if not groups:
        return []
    todo = plan_update(groups, config.train.tokens_per_batch or TOKENS, config.train.packing)
    training = model.training
    model.eval()
    with torch.no_grad():
        _, logp_R = run_pass(model, todo)
    model.train(training)
    flat = iter(logp_R.tolist())
    return [[next(flat) for _ in group.responses] for group in groups]


def heldout_rows(
    groups: Sequence[EncodedGroup], logps: Iterable[Sequence[float]]
) -> list[dict[str, Any]]:
    """Return rows of the `heldout` table, one per held-out response, in order."""
    return [
        {"problem_id": group.problem_id, "index": index, "logp": logp, "tokens": len(response)}
        for group, values in zip(groups, logps, strict=True)
        for index, (response, logp) in enumerate(zip(group.responses, values, strict=True))
    ]


def heldout_metrics(
    groups: Sequence[EncodedGroup], logps: Iterable[Sequence[float]]
) -> dict[str, float]:
    """Return what held-out likelihoods come to.

    heldout_nll: mean over responses, nats; heldout_nll_per_token; heldout_nll_cluster: mean over problems of the mean
    over clusters of their responses' mean, nats, so that an algorithm that many wrote does not count more.
    """
    by_response, tokens, by_problem = [], 0, []
    for group, values in zip(groups, logps, strict=True):
        clusters = defaultdict(list)
        for cluster, logp in zip(group.clusters, values, strict=True):
            clusters[cluster].append(-logp)
        by_problem.append(statistics.fmean(map(statistics.fmean, clusters.values())))
        by_response += [-logp for logp in values]
        tokens += group.response_tokens
    return {
        "heldout_nll": statistics.fmean(by_response),
        "heldout_nll_per_token": sum(by_response) / tokens,
        "heldout_nll_cluster": statistics.fmean(by_problem),
    }
