"""The groups of a run directory, as tokens."""

from typing import TYPE_CHECKING

from raymode.config import Config
from raymode.errors import DataError
from raymode.store import Store
from raymode.train.tokens import EncodedGroup, encode, groups_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_groups(
    store: Store, tokenizer: "PreTrainedTokenizerBase", config: Config
) -> list[EncodedGroup]:
    """Return the run directory's training groups as tokens; DataError if there are none or their sizes differ."""
    settings = config.train
    groups = encode(tokenizer, groups_of(store.rows("groups.parquet")), config.train.max_tokens)
    if not groups:
        raise DataError(f"{store.url}/groups.parquet: holds no group to train on")
    right = {sum(group.right) for group in groups}
    if right != {settings.responses}:
        raise DataError(
            f"{store.url}/groups.parquet: groups have {sorted(right)} responses, train.responses={settings.responses}"
        )
    wrong = {len(group.right) - sum(group.right) for group in groups}
    if max(wrong) > settings.wrong_responses or (settings.wrong_responses and not min(wrong)):
        raise DataError(
            f"{store.url}/groups.parquet: groups have {sorted(wrong)} wrong responses,"
            f" train.wrong_responses={settings.wrong_responses}"
        )
    return groups
