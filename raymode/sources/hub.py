"""Reads Hugging Face data sets by name, streaming.

Of a data set in Parquet, the library only tells the files, which are read like any others: its own reader holds a
row group at a time, in CodeContests a third of a gigabyte. Of any other, a slice is one shard of one split.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from raymode.errors import ConfigError, DataError, StorageError, brief
from raymode.sources.jsonl import count_values
from raymode.sources.parquet import parquet_slices
from raymode.sources.slices import ColumnSize, Row, Slice, said_split

BATCH_ROWS = (
    8  # of a Parquet data set that are decoded at a time; the library's own default is a row group
)
SAMPLE_ROWS = 8
EXPANSION = 3  # a guess at bytes in memory per byte in a file, where the data set's card says no number of rows


def hub_slices(path: str, split: str) -> list[Slice]:
    """Return the slices of `NAME` or `NAME:CONFIG`, of its `split` or, if that is empty, of all its splits.

    Raises StorageError if the hub cannot be reached, DataError if there is no such data set or configuration,
    ConfigError if it has no such split.
    """
    name, _, config = path.partition(":")
    builder = _builder(name, config)
    if builder.config.data_files and hasattr(builder.config, "columns"):  # only Parquet has those
        files: dict[str, Any] = builder.config.data_files
        chosen_splits = _chosen(files, split, name)
        with _one_line_errors(name):
            return [
                part
                for chosen in chosen_splits
                for number, file in enumerate(files[chosen])
                for part in parquet_slices(file, f"{name}/{chosen}[{number}]", said_split(chosen))
            ]
    with _one_line_errors(name):
        splits: dict[str, Any] = builder.as_streaming_dataset()
    slices: list[Slice] = []
    for chosen in _chosen(splits, split, name):
        shards = splits[chosen].num_shards
        sizes = _sizes(name, builder, splits[chosen], chosen)
        slices += [
            Slice(
                f"{name}/{chosen}[{shard}]",
                said_split(chosen),
                None,
                sizes,
                HubReader(name, config, chosen, shard, shards),
            )
            for shard in range(shards)
        ]
    return slices


@dataclass(frozen=True, slots=True)
class HubReader:
    """Reads shard number `shard` of `shards`."""

    name: str
    config: str
    split: str
    shard: int
    shards: int

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows."""
        builder = _builder(self.name, self.config)
        with _one_line_errors(self.name):
            dataset = builder.as_streaming_dataset(split=self.split)
            for row in dataset.shard(num_shards=self.shards, index=self.shard):
                yield {name: row[name] for name in columns if name in row}


def _builder(name: str, config: str) -> Any:
    import datasets  # takes seconds, and only this kind of path needs it

    with _one_line_errors(name):
        return datasets.load_dataset_builder(name, config or None)


def _chosen(splits: Mapping[str, Any], split: str, name: str) -> list[str]:
    """Return the names of the splits to read."""
    if split and split not in splits:
        found = ", ".join(map(str, splits))
        raise ConfigError(
            f"read.split={split!r}: data set {name!r} has no such split; found: {found}"
        )
    return [split] if split else [str(chosen) for chosen in splits]


def _sizes(name: str, builder: Any, dataset: Any, split: str) -> tuple[ColumnSize, ...]:
    """Estimate the sizes of one shard from the first rows and the number of rows, or the files' bytes."""
    with _one_line_errors(name):
        sample = list(islice(dataset, SAMPLE_ROWS))
        values: Counter[str] = Counter()
        bytes_: Counter[str] = Counter()
        for row in sample:
            for column, value in row.items():
                values[column] += count_values(value)
                bytes_[column] += len(json.dumps(value, default=str))
        info = (builder.info.splits or {}).get(split)
        if info and info.num_examples:
            share = info.num_examples / max(1, len(sample))
        else:
            share = _file_bytes(builder, split) * EXPANSION / max(1, bytes_.total())
    factor = share / max(1, dataset.num_shards)
    return tuple(
        ColumnSize(column, int(values[column] * factor), int(bytes_[column] * factor))
        for column in dataset.column_names or values
    )


def _file_bytes(builder: Any, split: str) -> int:
    """Return the size of the files of one split."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    total = 0
    for file in (builder.config.data_files or {}).get(split, ()):
        filesystem, path = url_to_fs(file)
        total += filesystem.size(path) or 0
    return total


@contextlib.contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Raise what goes wrong with a data set as one line that names it."""
    import datasets
    import httpx

    try:
        yield
    except datasets.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"hf:{name}: there is no such data set on the hub or on disk, or it is private; check path= and HF_TOKEN"
        ) from error
    except (ConnectionError, httpx.TransportError) as error:
        raise StorageError(
            f"hf:{name}: the Hugging Face hub cannot be reached ({brief(error)}); check the network, or name files on disk"
        ) from error
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"hf:{name}: cannot be read ({brief(error)})") from error
