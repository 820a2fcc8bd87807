"""Small files for the tests of sources, and the folder of real data, if there is one."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_PAIRS = [("input", pa.string()), ("output", pa.string())]
_PROGRAMS = [("language", pa.int64()), ("solution", pa.string())]


def _lists(fields: Sequence[tuple[str, pa.DataType]]) -> pa.DataType:
    return pa.struct([(name, pa.list_(kind)) for name, kind in fields])


SCHEMA = pa.schema(
    [
        ("name", pa.string()), ("description", pa.string()),
        ("public_tests", _lists(_PAIRS)), ("private_tests", _lists(_PAIRS)), ("generated_tests", _lists(_PAIRS)),
        ("source", pa.int64()), ("difficulty", pa.int64()),
        ("solutions", _lists(_PROGRAMS)), ("incorrect_solutions", _lists(_PROGRAMS)),
        ("cf_contest_id", pa.int64()), ("cf_index", pa.string()), ("cf_points", pa.float32()), ("cf_rating", pa.int32()),
        ("cf_tags", pa.list_(pa.string())), ("is_description_translated", pa.bool_()),
        ("untranslated_description", pa.string()),
        ("time_limit", pa.struct([("seconds", pa.int64()), ("nanos", pa.int64())])),
        ("memory_limit_bytes", pa.int64()), ("input_file", pa.string()), ("output_file", pa.string()),
    ]
)  # fmt: skip
"""The schema of deepmind/code_contests on the hub."""


def io_lists(*pairs: tuple[str, str]) -> dict[str, list[str]]:
    return {"input": [given for given, _ in pairs], "output": [expected for _, expected in pairs]}


def problem_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a row of CodeContests; `changes` replace columns."""
    return {
        "name": f"{number}_A. Sum",
        "description": f"Add the numbers, variant {number}.",
        "public_tests": io_lists(("1 2\n", "3\n")),
        "private_tests": io_lists(("1 2\n", "3\n"), ("5 6\n", "11\n")),
        "generated_tests": io_lists(("7 8\n", "15\n"), ("5 6\n", "11\n")),
        "source": 2,
        "difficulty": 7,
        "solutions": {"language": [3, 2, 1, 4, 0], "solution": ["print(3)", "c", "p2", "j", "u"]},
        "incorrect_solutions": {"language": [3], "solution": ["print(4)"]},
        "cf_contest_id": 1,
        "cf_index": "A",
        "cf_points": 500.0,
        "cf_rating": 800,
        "cf_tags": ["implementation", "math"],
        "is_description_translated": False,
        "untranslated_description": "",
        "time_limit": {"seconds": 1, "nanos": 500_000_000},
        "memory_limit_bytes": 256_000_000,
        "input_file": "",
        "output_file": "",
    } | changes


def write_contests(path: Path, rows: Sequence[dict[str, Any]], row_group_size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    """Write rows as JSON Lines, gzipped if the name says so; a text row is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def real_data(*parts: str) -> str:
    """Return a path in the folder of real data; skip the test if RAYMODE_SHARED does not name it."""
    root = os.environ.get("RAYMODE_SHARED")
    if not root:
        pytest.skip("RAYMODE_SHARED is unset: it names the folder of real data, with data/ in it")
    return os.path.join(root, "data", *parts)
