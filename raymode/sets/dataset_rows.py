"""The rows of a dataset, in each of its shapes, from problems and their accepted solutions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Row = Mapping[str, Any]

PAIRS, MESSAGES, SETS = "pairs", "messages", "sets"
FILE_CHARACTERS = 32 << 20
"""Text in one file; a longer row has a file of its own. Files are made in memory, and a program that
reads texts with Arrow's 32-bit offsets takes 2 GiB at most."""

_TEXT = pa.large_string()
_MESSAGES = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", _TEXT)]))
NAMES = ("problem_id", "source", "split")
_SOLUTION = [
    pa.field("problem_id", pa.string()),
    pa.field("solution_id", pa.string()),
    pa.field("cluster_id", pa.string()),
    pa.field("copies", pa.int64()),
    pa.field("source", pa.string()),
    pa.field("split", pa.string()),
]
SCHEMAS: dict[str, pa.Schema] = {
    PAIRS: pa.schema([pa.field("prompt", _TEXT), pa.field("completion", _TEXT), *_SOLUTION]),
    MESSAGES: pa.schema(
        [pa.field("prompt", _MESSAGES), pa.field("completion", _MESSAGES), *_SOLUTION]
    ),
    SETS: pa.schema(
        [
            pa.field("prompt", _TEXT),
            pa.field("responses", pa.large_list(_TEXT)),
            pa.field("solution_ids", pa.large_list(pa.string())),
            pa.field("cluster_ids", pa.large_list(pa.string())),
            pa.field("copies", pa.large_list(pa.int64())),
            *(pa.field(name, pa.string()) for name in NAMES),
        ]
    ),
}


@dataclass(frozen=True, slots=True)
class Set:
    """A problem and its accepted solutions."""

    problem: Row
    solutions: list[Row]


def rows_of(shape: str, sets: Iterable[Set]) -> Iterator[Row]:
    """Yield the rows of a shape, solutions in the order of their tables."""
    for each in sets:
        if shape == SETS:
            yield _set_row(each)
        else:
            yield from _solution_rows(each, _pair if shape == PAIRS else _conversation)


def slices(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in order, at most FILE_CHARACTERS of text together, at least one row."""
    some: list[Row] = []
    characters = 0
    for row in rows:
        size = _characters(row)
        if some and characters + size > FILE_CHARACTERS:
            yield some
            some, characters = [], 0
        some.append(row)
        characters += size
    if some:
        yield some


def _characters(value: Any) -> int:
    """Return how many characters the texts in a value have, at any depth."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list) else 0


def _solution_rows(each: Set, rendered: Callable[[str, str], dict[str, Any]]) -> Iterator[Row]:
    names = {name: each.problem[name] for name in NAMES}
    for solution in each.solutions:
        ids = {name: solution[name] for name in ("solution_id", "cluster_id", "copies")}
        yield rendered(each.problem["prompt"], solution["code"]) | names | ids


def _pair(prompt: str, response: str) -> dict[str, Any]:
    """Return what template.py gives a tokenizer without a chat template; the trainer adds the end token."""
    return {"prompt": f"{prompt}\n", "completion": response}


def _conversation(prompt: str, response: str) -> dict[str, Any]:
    """Return what template.py gives a chat template, and the response as the assistant's message."""
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "completion": [{"role": "assistant", "content": response}],
    }


def _set_row(each: Set) -> Row:
    solutions = each.solutions
    return {
        "prompt": each.problem["prompt"],
        "responses": [row["code"] for row in solutions],
        "solution_ids": [row["solution_id"] for row in solutions],
        "cluster_ids": [row["cluster_id"] for row in solutions],
        "copies": [row["copies"] for row in solutions],
        **{name: each.problem[name] for name in NAMES},
    }
