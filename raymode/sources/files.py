"""From the `path` of a source to the slices of its rows: files, directories, globs, URLs, `hf:NAME`.

Files are Parquet (`.parquet`) or JSON Lines (`.jsonl`, `.json`, `.jsonl.gz`, `.json.gz`), on disk, s3:// or gs://.
"""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow.fs as pafs

from raymode.errors import ConfigError, DataError, StorageError, brief
from raymode.sources.hub import hub_slices
from raymode.sources.jsonl import jsonl_slices
from raymode.sources.parquet import parquet_slices
from raymode.sources.slices import Slice, said_split
from raymode.store import Store

FORMATS = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".json.gz")
HUB = "hf:"
_WILDCARD = re.compile(r"[*?\[]")
_SHOWN = 5  # names in a message


@dataclass(frozen=True, slots=True)
class File:
    """A file to read: its URL, its name below the directory that was asked for, its bytes."""

    url: str
    name: str
    size: int


def slices(path: str, split: str = "") -> list[Slice]:
    """Return the slices of everything at `path`, files in the order of their names.

    path: a file, a directory (all files of a known format below it), a glob, a URL of one of these, or
    `hf:NAME` or `hf:NAME:CONFIG`. split: only the data set's split of that name, or only the files whose names
    speak of it; "" = all. Raises ConfigError, StorageError and DataError in one line.
    """
    if not path:
        raise ConfigError("path: is empty; name a file, directory, glob or URL, or hf:NAME")
    if path.startswith(HUB) and not path.startswith(f"{HUB}//"):
        return hub_slices(path.removeprefix(HUB), split)
    found = _of_split(list_files(path), split, path)
    parts = [part for file in found for part in _slices_of(file)]
    if not parts:
        raise DataError(f"path {path}: all its files are empty")
    return parts


def list_files(path: str) -> list[File]:
    """Return the files of a known format at `path`, by name; StorageError or DataError if there is none."""
    store = open_store(path)
    info = file_info(store, path)
    if info.type == pafs.FileType.File:
        _check_format(path)
        return [File(location(store), info.base_name, info.size)]
    if info.type == pafs.FileType.Directory:
        files = _below(store, path, True)
    elif _WILDCARD.search(path):
        files = _matching(path)
    else:
        raise StorageError(f"path {path}: there is no such file or directory")
    known = [file for file in files if file.name.endswith(FORMATS)]
    if not known:
        seen = ", ".join(file.name for file in files[:_SHOWN])
        raise DataError(
            f"path {path}: no files that match; expected {', '.join(FORMATS)}; found: {seen or 'none'}"
        )
    return known


def _slices_of(file: File) -> list[Slice]:
    split = said_split(file.name)
    if file.name.endswith(".parquet"):
        return parquet_slices(file.url, file.name, split)
    return jsonl_slices(file.url, file.name, file.size, split)


def _check_format(path: str) -> None:
    if not path.endswith(FORMATS):
        raise DataError(f"path {path}: unknown format; expected a name in {', '.join(FORMATS)}")


def _of_split(files: Sequence[File], split: str, path: str) -> list[File]:
    """Return the files whose names speak of `split`."""
    wanted = said_split(split)
    chosen = [file for file in files if wanted and said_split(file.name) == wanted]
    if split and not chosen:
        names = ", ".join(file.name for file in files[:_SHOWN])
        raise ConfigError(
            f"read.split={split!r}: no file of path {path} has that split in its name; found: {names}"
        )
    return chosen if split else list(files)


def _matching(pattern: str) -> list[File]:
    """Return the files that match a glob; `**` stands for any number of directories."""
    parts = pattern.split("/")
    fixed = next(number for number, part in enumerate(parts) if _WILDCARD.search(part))
    base = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    if base.endswith(":/"):
        raise StorageError(f"path {pattern}: the bucket must be named without wildcards")
    store = open_store(base)
    if file_info(store, base).type != pafs.FileType.Directory:
        raise StorageError(f"path {pattern}: there is no directory {base}")
    rest = parts[fixed:]
    return [
        file
        for file in _below(store, pattern, len(rest) > 1)
        if _matches(file.name.split("/"), rest)
    ]


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[skip:], patterns[1:]) for skip in range(len(names) + 1))
    return (
        bool(names)
        and fnmatch.fnmatchcase(names[0], patterns[0])
        and _matches(names[1:], patterns[1:])
    )


def _below(store: Store, path: str, recursive: bool) -> list[File]:
    """Return the files below a directory, but for those with a hidden name on their way."""
    selector = pafs.FileSelector(store.root, recursive=recursive)
    try:
        infos: Iterable[pafs.FileInfo] = store.filesystem.get_file_info(selector)
    except OSError as error:
        raise _unreadable(path, error) from error
    files = []
    for info in infos:
        name = info.path.removeprefix(store.root).lstrip("/")
        if info.type == pafs.FileType.File and not any(
            part.startswith((".", "_")) for part in name.split("/")
        ):
            files.append(File(f"{location(store).rstrip('/')}/{name}", name, info.size))
    return sorted(files, key=lambda file: file.name)


def open_store(path: str) -> Store:
    """Return the store at the `path` of a source; StorageError if it is no usable location."""
    try:
        return Store(path)
    except StorageError as error:
        raise StorageError(f"path {str(error).removeprefix('run_dir ')}") from error


def location(store: Store) -> str:
    """Return a URL that means the same in every process, whatever its working directory."""
    return store.root if store.is_local else store.url


def file_info(store: Store, path: str) -> pafs.FileInfo:
    """Return what stands at the root of a store; StorageError if that cannot be found out."""
    try:
        return store.filesystem.get_file_info(store.root)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> StorageError:
    return StorageError(f"path {path}: cannot be read ({brief(error)})")
