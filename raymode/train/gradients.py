"""Which gradients `components.*` asks for, and at which model; measures them on one device, without Ray."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from raymode.config import Config
from raymode.config_check import check_components
from raymode.errors import DataError, StorageError, brief
from raymode.seed import derive_seed
from raymode.store import Store, content_hash
from raymode.train.build import load_base, make_model, pad_id
from raymode.train.checkpoint import FINAL
from raymode.train.groups import load_groups
from raymode.train.heldout import Prefixes, load_heldout, mode_prefixes
from raymode.train.sketch import Gradients, response_gradients
from raymode.train.tokens import EncodedGroup

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GROUPS = {"train": "groups.parquet", "heldout": "heldout_groups.parquet"}


def asked_of(config: Config, store: Store, base: str) -> dict[str, Any]:
    """Return the columns of the `components` table that say what is measured, and where; base: the starting model.

    Raises ConfigError for what can show no components, StorageError if there is no such model.
    """
    check_components(config)
    asked = config.components
    place = base if asked.checkpoint == "base" else asked.checkpoint or f"{store.url}/{FINAL}"
    rows = store.rows(GROUPS[asked.groups], ["prompt_rank"])
    there = len({row["prompt_rank"] for row in rows})
    return {
        "weights": identity(place),
        "groups": asked.groups,
        "prompts": min(asked.prompts or there, there),
        "size": asked.size,
        "per_token": asked.per_token,
        "checkpoint": place,
    }


def identity(place: str) -> str:
    """Return what tells the weights in `place` from others: the hash of a directory's content, or a hub's commit.

    Raises StorageError if a directory holds no finished model, DataError if no hub has it.
    """
    if "://" not in place and not Path(place).is_absolute():
        return f"{place}@{_commit(place)}"
    store = Store(place)
    if store.exists("manifest.json"):
        return str(store.read_json("manifest.json")["content"])
    if store.is_local and store.exists("config.json"):
        files = [name for name in store.names() if Path(store.path(name)).is_file()]
        return content_hash(Path(store.path()), files)
    raise StorageError(f"{store.url}: holds no finished model; train first, or name another one")


def _commit(name: str) -> str:
    """Return the commit of a hub's model that transformers loads."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        found = extract_commit_hash(cached_file(name, "config.json"), None)
    except OSError as error:
        raise DataError(f"model.name={name}: cannot be found on a hub ({brief(error)})") from error
    if found is None:
        raise DataError(f"model.name={name}: has no commit; name a directory or a hub's model")
    return str(found)


def gradients_at(config: Config, store: Store, place: str, prompts: int) -> Gradients:
    """Return the gradients of -log P(response | prompt) at the model in `place`, as `components.*` asks for them.

    They are of the first `prompts` groups of the run directory, with all their right responses, and with respect to all
    weights of the model, also where the run trains adapters. Raises DataError for groups that show no spread.
    """
    asked, settings = config.components, config.train
    tokenizer, causal_lm = load_base(place)
    groups, prefixes = _groups(config, store, tokenizer, prompts)
    model = make_model(
        causal_lm,
        dataclasses.replace(
            config, train=dataclasses.replace(settings, lora_rank=0, compile=False)
        ),
        pad_id(tokenizer),
        None,
        torch.device("cuda" if settings.gpu else "cpu"),
    )
    seed = derive_seed(config.seed, "sketch")
    return response_gradients(model, groups, asked.size, seed, prefixes, asked.per_token)


def _groups(
    config: Config, store: Store, tokenizer: "PreTrainedTokenizerBase", prompts: int
) -> tuple[list[EncodedGroup], Prefixes]:
    """Return the groups that are asked for, with right responses alone, and the modes they may begin with."""
    prefixes: Prefixes = ()
    if config.components.groups == "train":
        groups = load_groups(store, tokenizer, config)
    else:
        groups = load_heldout(store, tokenizer, config)
        prefixes = mode_prefixes(tokenizer, config.train.mode_tokens)
    chosen = [group.only_right() for group in groups[:prompts]]
    if len(chosen) < 2 or max(len(group.responses) for group in chosen) < 2:
        raise DataError(
            f"{store.url}: components.groups={config.components.groups} are {len(chosen)} prompts; variance components need"
            " two, and two responses of one; measure other groups, or build the sets with more"
        )
    return chosen, prefixes
