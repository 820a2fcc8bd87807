"""Text with many references per prompt: a row is a pair, a prompt with a list of responses, or a chat.

The rows of one prompt may lie anywhere in the data. So a part of the source is a bucket: it reads all the rows and
keeps those whose prompt's hash falls to it; each prompt is in exactly one. There are as many buckets as it takes for
one to hold about `bucket_bytes` of input, so reading costs one pass over the data per bucket.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from raymode.errors import DataError
from raymode.sources.files import slices
from raymode.sources.shapes import Example, Shape, example, recognise
from raymode.sources.slices import BadRow, Row, Slice, choose_split, set_aside

BUCKET_BYTES = 256 << 20
CHECKER = "none"
LANGUAGE = "text"
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ReferencesSource:
    """Prompts with reference responses.

    path, split: see `files.slices`. seed, heldout_fraction: prompts of which neither the row (column `split`) nor
    the file or data set says a split are held out at this share. limit: prompts read, 0 = all; buckets get equal
    shares of it. prompt, response, label, id: columns; "" = recognised, see `shapes.recognise`. Without a column of
    ids, or with the prompt's own, a prompt's id is a hash of it. bucket_bytes: input in one part, uncompressed.
    """

    path: str
    seed: int
    split: str = ""
    heldout_fraction: float = 0.1
    limit: int = 0
    prompt: str = ""
    response: str = ""
    label: str = ""
    id: str = ""
    bucket_bytes: int = BUCKET_BYTES

    def partitions(self) -> list["ReferencesPartition"]:
        """Return the buckets; DataError if a file's columns are not recognised or missing."""
        parts = [
            (part, recognise(part, self.prompt, self.response, self.label, self.id))
            for part in slices(self.path, self.split)
        ]
        size = sum(part.bytes(shape.columns) for part, shape in parts)
        programs = sum(part.values((shape.response,)) for part, shape in parts)
        buckets = max(1, -(-size // self.bucket_bytes))
        return [
            ReferencesPartition(self, tuple(parts), bucket, buckets, programs // buckets)
            for bucket in range(buckets)
        ]


@dataclass(slots=True)
class _Group:
    """One prompt and its responses, each with its label and how many people gave it."""

    problem: Row
    solutions: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReferencesPartition:
    """The prompts of bucket number `bucket` of `buckets`."""

    settings: ReferencesSource
    parts: tuple[tuple[Slice, Shape], ...]
    bucket: int
    buckets: int
    programs: int

    @property
    def name(self) -> str:
        """What to call the part in messages."""
        return f"references[{self.bucket}/{self.buckets}]"

    def read(self) -> Iterator[tuple[Row, list[Row]]]:
        """Yield rows that cannot be used as they come, then every prompt in the order of its first row."""
        groups: dict[str, _Group] = {}
        limit = self._limit()
        for part, shape in self.parts:
            for number, row in enumerate(part.rows(shape.columns)):
                found = row if isinstance(row, BadRow) else example(row, shape)
                if isinstance(found, Example):
                    self._add(groups, found, part.split, limit)
                elif self._is_mine(f"{part.name}#{number}"):
                    yield (
                        set_aside(
                            None, BadRow(found.reason, f"{part.name}#{number}: {found.detail}")
                        ),
                        [],
                    )
        _check_ids(groups)
        for group in groups.values():
            yield group.problem, group.solutions

    def _add(
        self, groups: dict[str, _Group], found: Example, split: str, limit: int | None
    ) -> None:
        if not self._is_mine(found.prompt):
            return
        if found.prompt not in groups:
            if limit is not None and len(groups) >= limit:
                return
            groups[found.prompt] = _Group(_problem(found, split, self.settings))
        group = groups[found.prompt]
        name = group.problem["problem_id"]
        group.solutions += [_solution(name, *response) for response in found.responses]

    def _is_mine(self, text: str) -> bool:
        return int(_hash(text), 16) % self.buckets == self.bucket

    def _limit(self) -> int | None:
        """Return this bucket's share of the limit."""
        limit = self.settings.limit
        if not limit:
            return None
        return limit * (self.bucket + 1) // self.buckets - limit * self.bucket // self.buckets


def _problem(found: Example, split: str, settings: ReferencesSource) -> Row:
    name = found.id or f"text-{_hash(found.prompt)[:_ID_DIGITS]}"
    return {
        "problem_id": name,
        "prompt": found.prompt,
        "tests": [],
        "checker": CHECKER,
        "cpu_s": 0.0,
        "memory_mb": 0,
        "source": found.source or "references",
        "family": None,
        "topic": found.topic,
        "split": choose_split((found.split, split), name, settings.seed, settings.heldout_fraction),
    }


def _solution(problem_id: str, text: Any, label: Any, copies: int) -> Row:
    return {
        "problem_id": problem_id,
        "code": text,
        "language": LANGUAGE,
        "label": label,
        "claimed": True,
        "copies": copies,
    }


def _check_ids(groups: dict[str, _Group]) -> None:
    """Raise DataError if two prompts have one id."""
    prompts: dict[str, str] = {}
    for prompt, group in groups.items():
        name = group.problem["problem_id"]
        if name in prompts:
            raise DataError(
                f"id {name!r} belongs to two prompts, {prompts[name][:60]!r} and {prompt[:60]!r};"
                " set references.id to a column of unique ids, or to the prompt's column for hashes of the prompts"
            )
        prompts[name] = prompt


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
