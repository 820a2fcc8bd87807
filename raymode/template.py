"""How a prompt becomes tokens: the one rule that training and sampling share.

A tokenizer with a chat template gets the prompt as one user message and its generation prompt; any other gets the
prompt and a newline. A response is its own tokens and the end-of-sequence token, which is trained, so that a model
learns to stop.
"""

from typing import TYPE_CHECKING, Any

from raymode.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", prompt: str) -> list[int]:
    """Return the token ids that stand before a response to `prompt`."""
    if tokenizer.chat_template:
        message = [{"role": "user", "content": prompt}]
        ids: Any = tokenizer.apply_chat_template(
            message, add_generation_prompt=True, tokenize=True, return_dict=False
        )
    else:
        ids = tokenizer(prompt + "\n").input_ids
    return list(ids)


def response_ids(tokenizer: "PreTrainedTokenizerBase", response: str) -> list[int]:
    """Return the token ids of `response`, the end-of-sequence token last."""
    ids = tokenizer(response, add_special_tokens=False).input_ids
    return [*ids, end_id(tokenizer)]


def end_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Return the end-of-sequence token's id; DataError if the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise DataError(
            f"tokenizer {tokenizer.name_or_path!r}: has no end-of-sequence token, so a model could never learn to stop;"
            " set eos_token in its tokenizer_config.json"
        )
    return int(tokenizer.eos_token_id)
