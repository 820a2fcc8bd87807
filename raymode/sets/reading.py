"""Reads finished set tables part by part, a few rows at a time: what is held does not grow with the sets."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raymode.errors import StorageError
from raymode.store import Store

ROWS_AT_ONCE = 256
LISTS_AT_ONCE = 8  # the texts in a list may be megabytes each


def part_names(store: Store) -> list[str]:
    """Return the file names of the parts, in order; every table has the same."""
    names = [name for name in store.names("problems") if name.endswith(".parquet")]
    if not names:
        raise StorageError(f"{store.url}/problems: there is no such table")
    return names


def part_rows(
    store: Store, table: str, part: str, columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one part of `table`, with `columns` only."""
    for batch in _batches(store, f"{table}/{part}", columns, ROWS_AT_ONCE):
        yield from batch.to_pylist()


def tests_per_problem(store: Store, part: str) -> Iterator[int]:
    """Yield how many tests each problem of a part has; the tests' inputs are never read."""
    for batch in _batches(store, f"problems/{part}", ["tests.list.element.output"], LISTS_AT_ONCE):
        yield from pc.list_value_length(batch.column(0)).to_pylist()


def _batches(
    store: Store, name: str, columns: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    try:
        source = store.filesystem.open_input_file(store.path(name))
    except FileNotFoundError as error:
        raise StorageError(f"{store.url}/{name}: there is no such table") from error
    with source, contextlib.closing(pq.ParquetFile(source)) as file:
        yield from file.iter_batches(rows, columns=list(columns), use_threads=False)
