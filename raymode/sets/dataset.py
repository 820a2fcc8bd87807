"""Writes finished sets as a Hugging Face dataset that other trainers load unchanged.

`dataset/` holds the accepted solutions in four shapes:

- parquet/pairs: `prompt`, `completion` as texts, for tokenizers without a chat template;
- parquet/messages: the same as chat messages, for tokenizers with one;
- parquet/sets: `prompt`, `responses`, one row per problem;
- <split>/*.arrow: the pairs again, because `load_from_disk` maps Arrow files and opens no Parquet.

README.md names the shapes to `load_dataset`. A local dataset is written under another name and moved
when it is whole; an object store cannot move, so there README.md, dataset_dict.json and manifest.json
come last, in this order.
"""

import hashlib
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from raymode.errors import DataError
from raymode.sets.dataset_rows import (
    MESSAGES,
    NAMES,
    PAIRS,
    SCHEMAS,
    SETS,
    Row,
    Set,
    rows_of,
    slices,
)
from raymode.sets.reading import part_names, part_rows
from raymode.sets.select import is_accepted
from raymode.store import Store

DIRECTORY, MANIFEST = "dataset", "manifest.json"
LAYOUT = 1
"""Raised when the files change, so that a dataset of an older layout is written again."""
PARQUET = "parquet"
ARROW_ROWS = 1000  # in a batch; random access reads one
_SPLIT = re.compile(r"\w+(\.\w+)*", re.ASCII)

README = """---
configs:
{configs}
---
# Equivalence sets

Different right answers to the same prompts, written by raymode. Only accepted solutions are here.

| load | columns | prompt |
|---|---|---|
| `load_dataset(PATH)` | prompt, completion | text, ends with a line break; for tokenizers without a chat template |
| `load_dataset(PATH, "messages")` | prompt, completion | chat messages; for tokenizers with a chat template |
| `load_dataset(PATH, "sets")` | prompt, responses | as in the source; one row per problem |
| `load_from_disk(PATH)` | prompt, completion | as in the first |

Rows: {rows}. Content of the sets: `{content}`.
"""


def write_dataset(store: Store, summary: Mapping[str, Any], arrow: bool = True) -> dict[str, Any]:
    """Write `dataset/` beside the set tables and return its manifest; a whole one is left as it is.

    store: the finished sets; summary: theirs, of which `content` says whether a dataset that stands
    there is of these sets. arrow: also write what `load_from_disk` reads, uncompressed. Memory is
    bounded by the accepted solutions of one part. Raises DataError if a split's name cannot be one
    of a dataset, or a part does not hold the solutions of its problems.
    """
    wanted = {"layout": LAYOUT, "content": summary["content"], "arrow": arrow}
    if store.exists(f"{DIRECTORY}/{MANIFEST}"):
        manifest: dict[str, Any] = store.read_json(f"{DIRECTORY}/{MANIFEST}")
        if wanted.items() <= manifest.items():
            return manifest
    target = f"{DIRECTORY}.partial" if store.is_local else DIRECTORY
    for old in {DIRECTORY, target}:
        store.delete(old)
    writer = _Writer(store, target, arrow)
    for number, part in enumerate(part_names(store)):
        writer.write_part(number, _sets(store, part))
    manifest = writer.finish(wanted)
    if target != DIRECTORY:
        store.filesystem.move(store.path(target), store.path(DIRECTORY))
    return manifest


class _Writer:
    """The files of a dataset, and how many rows they hold."""

    def __init__(self, store: Store, directory: str, arrow: bool) -> None:
        self._store, self._directory, self._arrow = store, directory, arrow
        self._rows: dict[str, Counter[str]] = {shape: Counter() for shape in SCHEMAS}
        self._arrow_files: dict[str, list[str]] = defaultdict(list)

    def write_part(self, number: int, sets: Iterable[Set]) -> None:
        """Write the files of one part, for every split it has."""
        by_split: dict[str, list[Set]] = defaultdict(list)
        for each in sets:
            by_split[each.problem["split"]].append(each)
        for split, members in sorted(by_split.items()):
            for shape in SCHEMAS:
                self._write(shape, split, number, rows_of(shape, members))

    def finish(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Write what makes the files a dataset, the manifest last, and return that."""
        splits = sorted(self._rows[PAIRS])
        rows = {shape: dict(sorted(counts.items())) for shape, counts in self._rows.items()}
        if self._arrow:
            self._describe_arrow(splits, wanted["content"])
        text = README.format(
            configs="\n".join(_config_lines(splits)),
            rows=json.dumps(rows[PAIRS]),
            content=wanted["content"],
        )
        self._store.write_bytes(f"{self._directory}/README.md", text.encode())
        if self._arrow:
            self._store.write_json(f"{self._directory}/dataset_dict.json", {"splits": splits})
        manifest = {**wanted, "rows": rows}
        self._store.write_json(f"{self._directory}/{MANIFEST}", manifest)
        return manifest

    def _write(self, shape: str, split: str, number: int, rows: Iterable[Row]) -> None:
        for place, some in enumerate(slices(rows)):
            table = pa.Table.from_pylist(some, schema=SCHEMAS[shape])
            stem = f"{number:05d}-{place:03d}"
            self._store.write_table(
                f"{self._directory}/{PARQUET}/{shape}/{split}-{stem}.parquet", table
            )
            if shape == PAIRS and self._arrow:
                self._arrow_files[split].append(f"data-{stem}.arrow")
                self._store.write_bytes(
                    f"{self._directory}/{split}/data-{stem}.arrow", _arrow_bytes(table)
                )
            self._rows[shape][split] += len(some)

    def _describe_arrow(self, splits: Iterable[str], content: str) -> None:
        """Write the two files of each split that tell `load_from_disk` what its Arrow files are."""
        features = {
            field.name: {"dtype": str(field.type), "_type": "Value"} for field in SCHEMAS[PAIRS]
        }
        for split in splits:
            name = hashlib.sha256(f"{LAYOUT}:{content}:{split}".encode()).hexdigest()[:16]
            state: dict[str, Any] = {
                "_data_files": [{"filename": file} for file in self._arrow_files[split]],
                "_fingerprint": name,
                "_format_columns": None,
                "_format_kwargs": {},
                "_format_type": None,
                "_output_all_columns": False,
                "_split": split,
            }
            self._store.write_json(f"{self._directory}/{split}/state.json", state)
            self._store.write_json(
                f"{self._directory}/{split}/dataset_info.json", {"features": features}
            )


def _sets(store: Store, part: str) -> Iterator[Set]:
    """Yield the problems of a part that have accepted solutions, in the order of the solutions."""
    problems = {
        row["problem_id"]: row for row in part_rows(store, "problems", part, ("prompt", *NAMES))
    }
    for problem in problems.values():
        _check_split(problem)
    solutions = part_rows(
        store,
        "solutions",
        part,
        ("problem_id", "solution_id", "code", "cluster_id", "copies", "claimed", "verdict"),
    )
    accepted = (row for row in solutions if is_accepted(row))
    for name, members in itertools.groupby(accepted, key=lambda row: row["problem_id"]):
        if name not in problems:
            raise DataError(
                f"{store.url}/solutions/{part}: the solutions of problem {name!r} do not stand together in the part of"
                " their problem; build the sets again"
            )
        yield Set(problems.pop(name), list(members))


def _check_split(problem: Row) -> None:
    split = problem["split"]
    if not _SPLIT.fullmatch(split) or split == PARQUET:
        raise DataError(
            f"problem {problem['problem_id']!r}: split {split!r} cannot name a split of a dataset;"
            f" use letters, digits, _ and ., and not {PARQUET!r}"
        )


def _arrow_bytes(table: pa.Table) -> pa.Buffer:
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table, max_chunksize=ARROW_ROWS)
    return buffer.getvalue()


def _config_lines(splits: Iterable[str]) -> Iterator[str]:
    """Yield the YAML that tells `load_dataset` which files belong to which shape and split."""
    splits = list(splits)
    for shape, name in ((PAIRS, "default"), (MESSAGES, MESSAGES), (SETS, SETS)):
        yield f"- config_name: {name}"
        yield "  data_files:"
        for split in splits:
            yield f"  - split: {json.dumps(split)}"
            yield f"    path: {json.dumps(f'{PARQUET}/{shape}/{split}-*.parquet')}"
