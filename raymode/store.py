"""Run directories and tables on local disk, S3 or GCS, through pyarrow.fs.

A file either stands whole under its name or does not stand there: local writes go to a temporary name and are
renamed; an object store shows an object only when its upload is complete. A directory (a checkpoint, a table of
many parts) counts as whole once its `manifest.json` is there, which is written last.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raymode.errors import StorageError, brief
from raymode.schema import table_of

PROBE = ".probe-"
OLD_S = 3600  # seconds; a younger file may be another process's, who is still writing
CONNECT_SECONDS = 3.0
REQUEST_SECONDS = 30.0
PATIENT, HASTY = 10, 3
"""Attempts of S3's client, between which it waits up to 1, 2, 4 ... 20 s, a random share of each: the one sits out about
80 s of trouble, the other finds out in seconds that an address is wrong."""
ROW_GROUP, ROW_GROUP_BYTES = 4096, 16 << 20
_COPIED_AT_ONCE = 4 << 20


class Store:
    """A directory somewhere: local path, `s3://bucket/prefix` or `gs://bucket/prefix`."""

    def __init__(self, url: str, attempts: int = PATIENT) -> None:
        self.url = url.rstrip("/") or "/"
        self.filesystem, self.root = _open_filesystem(self.url, attempts)
        self.is_local = isinstance(self.filesystem, pafs.LocalFileSystem)

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        """Pickle as the URL: file systems hold threads and connections, Ray workers open their own."""
        return Store, (self.url,)

    def path(self, name: str = "") -> str:
        """Return the path of `name` inside the file system (no scheme)."""
        return f"{self.root}/{name}" if name else self.root

    def child(self, name: str) -> "Store":
        """Return the store one directory below."""
        return Store(f"{self.url}/{name}")

    def probe(self) -> None:
        """Write, read back and delete a small file; StorageError in one line if that fails."""
        name, mark = f"{PROBE}{secrets.token_hex(8)}", secrets.token_bytes(16)
        try:
            self.write_bytes(name, mark)
            intact = self.read_bytes(name) == mark
            self.filesystem.delete_file(self.path(name))
        except OSError as error:
            raise StorageError(
                f"run_dir {self.url}: cannot be written ({brief(error)}); choose another run_dir"
            ) from error
        if not intact:
            raise StorageError(
                f"run_dir {self.url}: a file read back differs from what was written"
            )

    def exists(self, name: str) -> bool:
        """Return whether `name` is there as a file or directory."""
        return bool(self.filesystem.get_file_info(self.path(name)).type != pafs.FileType.NotFound)

    def names(self, directory: str = "") -> list[str]:
        """Return the sorted names directly inside `directory`; empty if it does not exist."""
        selector = pafs.FileSelector(self.path(directory), allow_not_found=True)
        return sorted(
            info.base_name
            for info in self.filesystem.get_file_info(selector)
            if not _hidden(info.base_name)
        )

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file; StorageError if it is not there."""
        try:
            with self.filesystem.open_input_file(self.path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError as error:
            raise StorageError(f"{self.url}/{name}: there is no such file") from error

    def write_bytes(self, name: str, data: bytes | pa.Buffer) -> None:
        """Write a file so that a reader sees the old content or the new one, never a part."""
        with self._atomic(name) as target, self.filesystem.open_output_stream(target) as stream:
            stream.write(data)

    def read_json(self, name: str) -> Any:
        """Return a JSON file's value."""
        return json.loads(self.read_bytes(name))

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as indented JSON, atomically."""
        self.write_bytes(
            name, (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode()
        )

    def write_rows(self, name: str, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write `rows` as Parquet file `name` under the schema of table `table`."""
        self.write_table(name, table_of(table, rows))

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write an Arrow table as Parquet file `name`, atomically and with reproducible bytes."""
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd", row_group_size=ROW_GROUP)
        self.write_bytes(name, buffer.getvalue())

    @contextlib.contextmanager
    def table_writer(self, name: str, table: str) -> Iterator["TableWriter"]:
        """Write Parquet file `name` of table `table` piece by piece; it stands whole at the end, or not at all."""
        with tempfile.TemporaryDirectory() as scratch:
            # Not straight to its place: an object store would keep the first half of a failed upload.
            local = Path(scratch) / "table.parquet"
            with contextlib.closing(TableWriter(local, table_of(table, ()).schema)) as writer:
                yield writer
            with (
                open(local, "rb") as source,
                self._atomic(name) as target,
                self.filesystem.open_output_stream(target) as stream,
            ):
                shutil.copyfileobj(source, stream, _COPIED_AT_ONCE)

    def read_table(
        self,
        name: str,
        columns: list[str] | None = None,
        where: tuple[str, list[str]] | None = None,
    ) -> pa.Table:
        """Return a Parquet file, or all parts of a directory `name` in order, as one table.

        where: a column and the values it must have; other rows are not kept in memory.
        """
        files = (
            [name] if name.endswith(".parquet") else [f"{name}/{part}" for part in self.names(name)]
        )
        files = [file for file in files if file.endswith(".parquet")]
        if not files:
            raise StorageError(f"{self.url}/{name}: there is no such table")
        return pa.concat_tables([self._read_parquet(file, columns, where) for file in files])

    def rows(self, name: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return a table as a list of dicts."""
        return list(self.read_table(name, columns).to_pylist())

    def upload(self, local: Path, name: str) -> None:
        """Copy a local directory to `name`; its manifest is written last, so a cut copy never looks whole."""
        files = self.upload_files(local, name)
        self.write_json(
            f"{name}/manifest.json", {"files": files, "content": content_hash(local, files)}
        )

    def upload_files(self, local: Path, name: str) -> list[str]:
        """Copy the files of a local directory to `name` and return their names; several processes may do so at once.

        `close_upload` says afterwards that all is there.
        """
        files = sorted(
            file.relative_to(local).as_posix() for file in local.rglob("*") if file.is_file()
        )
        for file in files:
            self.write_bytes(f"{name}/{file}", (local / file).read_bytes())
        return files

    def close_upload(self, name: str, files: Iterable[str]) -> None:
        """Write the manifest of a directory that several processes uploaded these files to."""
        self.write_json(f"{name}/manifest.json", {"files": sorted(files)})

    def download(self, name: str, local: Path) -> Path:
        """Return a local directory with the content of `name`: itself if the store is local, else a copy in `local`."""
        prefix = f"{name}/" if name else ""
        manifest = self.read_json(f"{prefix}manifest.json")
        if self.is_local:
            return Path(self.path(name))
        for file in manifest["files"]:
            (local / file).parent.mkdir(parents=True, exist_ok=True)
            (local / file).write_bytes(self.read_bytes(prefix + file))
        return local

    def remove_partials(self) -> None:
        """Remove what killed writers left half written anywhere in a local directory, if it is an hour old."""
        if not self.is_local:
            return  # an object store shows whole objects only
        for place in Path(self.path()).rglob(".*"):
            left = place.name.endswith(".partial") or place.name.startswith(PROBE)
            with contextlib.suppress(FileNotFoundError):
                if left and time.time() - place.stat().st_mtime > OLD_S:
                    place.unlink()

    def delete(self, name: str) -> None:
        """Delete a file or directory if it is there."""
        info = self.filesystem.get_file_info(self.path(name))
        if info.type == pafs.FileType.Directory:
            self.filesystem.delete_dir(self.path(name))
        elif info.type == pafs.FileType.File:
            self.filesystem.delete_file(self.path(name))

    def _read_parquet(
        self, name: str, columns: list[str] | None, where: tuple[str, list[str]] | None
    ) -> pa.Table:
        wanted = [(where[0], "in", where[1])] if where else None
        try:
            return pq.read_table(
                self.path(name), filesystem=self.filesystem, columns=columns, filters=wanted
            )
        except FileNotFoundError as error:
            raise StorageError(f"{self.url}/{name}: there is no such table") from error
        except pa.ArrowInvalid as error:
            raise StorageError(
                f"{self.url}/{name}: not a readable Parquet file ({brief(error)})"
            ) from error

    @contextlib.contextmanager
    def _atomic(self, name: str) -> Iterator[str]:
        """Yield the path to write to; rename it to its place on success, remove it on failure.

        Raises StorageError if the disk is full.
        """
        final = self.path(name)
        if not self.is_local:
            yield final
            return
        temporary = (
            f"{os.path.dirname(final)}/.{os.path.basename(final)}.{secrets.token_hex(6)}.partial"
        )
        try:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            yield temporary
            os.replace(temporary, final)
        except BaseException as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageError(
                    f"{self.url}/{name}: no space is left on the disk; make room, then give the same command again"
                ) from error
            raise


class TableWriter:
    """Writes a Parquet file piece by piece, in row groups of bounded size; the same pieces give the same bytes."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0

    def write(self, piece: pa.Table) -> None:
        """Add the rows of a table."""
        self._waiting.append(piece)
        self._rows += piece.num_rows
        self._bytes += piece.nbytes
        if self._rows >= ROW_GROUP or self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP)
        self._waiting.clear()
        self._rows = self._bytes = 0


def content_hash(directory: Path, files: Iterable[str]) -> str:
    """Return the SHA-256 over names and contents of `files` inside `directory`."""
    digest = hashlib.sha256()
    for file in sorted(files):
        data = (directory / file).read_bytes()
        digest.update(f"{file}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def table_hash(table: pa.Table) -> str:
    """Return the SHA-256 of a table's rows, whatever its chunking."""
    digest = RowDigest(table.schema)
    digest.update(table.to_pylist())
    return digest.hexdigest()


class RowDigest:
    """The SHA-256 of a table that is not there as a whole."""

    def __init__(self, schema: pa.Schema) -> None:
        self._digest = hashlib.sha256(str(schema.remove_metadata()).encode())

    def update(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows."""
        for row in rows:
            self._digest.update(json.dumps(row, sort_keys=True, ensure_ascii=True).encode())

    def hexdigest(self) -> str:
        """Return the hash of the rows so far."""
        return self._digest.hexdigest()


def _open_filesystem(url: str, attempts: int) -> tuple[pafs.FileSystem, str]:
    if "://" not in url:
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(url))
    scheme, _, rest = url.partition("://")
    try:
        if scheme == "s3":
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            filesystem = pafs.S3FileSystem(
                endpoint_override=endpoint,
                connect_timeout=CONNECT_SECONDS,
                request_timeout=REQUEST_SECONDS,
                retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=attempts),
            )
            return filesystem, rest
        filesystem, root = pafs.FileSystem.from_uri(url)
        return filesystem, str(root)
    except (ValueError, OSError) as error:
        raise StorageError(
            f"run_dir {url}: not a usable location ({brief(error)}); use a path, s3:// or gs://"
        ) from error


def _hidden(name: str) -> bool:
    return name.startswith(".")
