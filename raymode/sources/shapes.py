"""The shapes that rows of prompts and responses come in, and what a row of each says.

A row is a pair (`prompt`, `completion`), a prompt with a list of responses (`prompt`, `references`), or a chat
(`messages`) whose last turn is the response to the turns before it. Prompts and completions may be chats
themselves, as TRL has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raymode.errors import ConfigError, DataError
from raymode.sources.slices import BadRow, Row, Slice

PROMPTS = ("prompt", "question", "instruction", "input")
RESPONSES = (
    "references", "responses", "completions", "answers", "completion", "response", "answer", "output", "target",
)  # fmt: skip
LABELS = ("label", "labels", "clusters")
IDS = ("problem_id", "prompt_id", "id")
MESSAGES = "messages"
COUNTS = "counts"
TOPICS = ("topic", "category")


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a slice that count; "" where there is none.

    A chat has `prompt` and `response` in one column. `id_named`: the user named the column of ids, so that a
    row that is one pair of several has the prompt's id, not its own.
    """

    prompt: str
    response: str
    label: str = ""
    id: str = ""
    id_named: bool = False
    counts: str = ""
    topic: str = ""
    source: str = ""
    split: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read."""
        every = (
            self.prompt, self.response, self.label, self.id, self.counts, self.topic, self.source, self.split,
        )  # fmt: skip
        return tuple(dict.fromkeys(name for name in every if name))


@dataclass(frozen=True, slots=True)
class Example:
    """What a row says: a prompt and its responses, each (text, label or None, how many people gave it)."""

    prompt: str
    responses: list[tuple[Any, str | None, int]]
    id: str
    topic: str | None
    source: str
    split: Any


def recognise(part: Slice, prompt: str, response: str, label: str, id: str) -> Shape:
    """Return the shape of a slice's rows, from the columns that are named and, where "", those that are there.

    Raises DataError if a named column is missing or none is recognised, ConfigError if several could be meant.
    """
    part.require([name for name in (prompt, response, label, id) if name])
    there = part.columns
    is_chat = not prompt and not response and MESSAGES in there and not _known(RESPONSES, there)
    if is_chat:
        prompt = response = MESSAGES
    prompt = prompt or _only("prompt", PROMPTS, part, response)
    response = response or _only("response", RESPONSES, part, prompt)
    return Shape(
        prompt,
        response,
        label or next(iter(_known(LABELS, there)), ""),
        id or next(iter(_known(IDS, there)), ""),
        bool(id),
        next(iter(_known((COUNTS,), there)), ""),
        next(iter(_known(TOPICS, there)), ""),
        next(iter(_known(("source",), there)), ""),
        next(iter(_known(("split",), there)), ""),
    )


def example(row: Row, shape: Shape) -> Example | BadRow:
    """Return what a row says, or why it says nothing."""
    cell: Any = row.get(shape.response)
    prompt = _prompt(row.get(shape.prompt), shape)
    if isinstance(prompt, BadRow):
        return prompt
    is_list = isinstance(cell, list) and not _is_chat(cell)
    texts = [_text(item) for item in cell] if is_list else [_text(cell)]
    labels = _labels(row.get(shape.label), texts, is_list)
    counts: Any = row.get(shape.counts) if is_list else None
    if not isinstance(counts, list):
        counts = [1] * len(texts)
    if labels is None or len(counts) != len(texts):
        return BadRow(
            "wrong_type", f"prompt {prompt[:60]!r}: labels or counts do not belong to its responses"
        )
    copies = [_copies(count) for count in counts]
    id = _id(row, shape, is_list)
    if id is None:
        return BadRow("no_problem_id", f"column {shape.id!r}: expected an id, found nothing")
    return Example(
        prompt,
        list(zip(texts, labels, copies, strict=True)),
        id,
        _plain(row.get(shape.topic)) or None,
        _plain(row.get(shape.source)),
        row.get(shape.split),
    )


def render(turns: Sequence[Row]) -> str | None:
    """Return the text of a prompt's turns, None if one of them is not text.

    A single turn of the user is its own text, which `raymode.template` makes a user's turn again; any others
    are paragraphs that begin with who speaks.
    """
    texts = [text for turn in turns if (text := _content(turn)) is not None]
    if len(texts) < len(turns):
        return None
    if len(turns) == 1 and turns[0]["role"] == "user":
        return texts[0]
    roles = [str(turn["role"]).capitalize() for turn in turns]
    return "\n\n".join(f"{role}: {text}" for role, text in zip(roles, texts, strict=True))


def _prompt(cell: Any, shape: Shape) -> str | BadRow:
    """Return the prompt in a cell: a text, or turns, of which the last of a chat is the response."""
    turns = cell
    if shape.prompt == shape.response:
        if not _is_chat(cell) or cell[-1]["role"] != "assistant":
            detail = f"column {shape.prompt!r}: expected turns, the last the assistant's, found {ascii(cell)[-80:]}"
            return BadRow("no_response", detail)
        turns = cell[:-1]
    text = render(turns) if _is_chat(turns) else turns
    if isinstance(text, str) and text.strip():
        return text
    return BadRow(
        "no_prompt", f"column {shape.prompt!r}: expected a prompt, found {ascii(cell)[:80]}"
    )


def _text(cell: Any) -> Any:
    """Return the response in a cell: the last turn's text of a chat, anything else as it is."""
    return _content(cell[-1]) if _is_chat(cell) else cell


def _is_chat(cell: Any) -> bool:
    return (
        isinstance(cell, list)
        and bool(cell)
        and all(isinstance(turn, dict) and "role" in turn and "content" in turn for turn in cell)
    )


def _content(turn: Row) -> str | None:
    """Return a turn's text; its content is a text or a list of parts, all of them texts."""
    content = turn["content"]
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(parts) else None
    return content if isinstance(content, str) else None


def _labels(cell: Any, texts: Sequence[Any], is_list: bool) -> list[Any] | None:
    """Return a label or None for each response; None if the cell does not belong to them.

    A single label of a prompt with many responses tells nothing about them.
    """
    if not isinstance(cell, list):
        return [None] * len(texts) if is_list else [_plain(cell) or None]
    if not cell:
        return [None] * len(texts)
    if all(isinstance(item, dict) and isinstance(item.get("answers"), list) for item in cell):
        by_answer = {
            answer: _plain(cluster.get("id", number))
            for number, cluster in enumerate(cell)
            for answer in cluster["answers"]
            if isinstance(answer, str)
        }
        return [by_answer.get(text) if isinstance(text, str) else None for text in texts]
    return [_plain(item) or None for item in cell] if len(cell) == len(texts) else None


def _id(row: Row, shape: Shape, is_list: bool) -> str | None:
    """Return the prompt's id, "" for a hash of the prompt, None if the row lacks what the user named."""
    if shape.id in ("", shape.prompt) or not (shape.id_named or is_list):
        return ""
    return _plain(row.get(shape.id)) or (None if shape.id_named else "")


def _plain(cell: Any) -> str:
    """Return a text or a number as text, "" for anything else."""
    if isinstance(cell, str):
        return cell
    return str(cell) if isinstance(cell, int | float) else ""


def _copies(count: Any) -> int:
    return count if isinstance(count, int) and count > 0 else 1


def _known(names: Sequence[str], there: Sequence[str]) -> list[str]:
    return [name for name in names if name in there]


def _only(kind: str, names: Sequence[str], part: Slice, taken: str) -> str:
    """Return the one column of `names` that a slice has."""
    known = [name for name in _known(names, part.columns) if name != taken]
    if not known:
        raise DataError(
            f"{part.name}: no column is known to hold a {kind}; set references.{kind} to one of: {', '.join(part.columns)}"
        )
    if len(known) > 1:
        raise ConfigError(
            f"references.{kind}: {part.name} has the columns {' and '.join(known)}; name the one that is meant"
        )
    return known[0]
