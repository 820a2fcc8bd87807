"""The model that training starts from, fetched from an object store once per machine: a sweep's trials all start there."""

import os
import shutil
import tempfile
from pathlib import Path

from raymode.errors import StorageError
from raymode.store import Store, content_hash


def fetched(base: str) -> str:
    """Return a local directory with what is in `base`, or `base` itself if it is local or a hub id.

    Copies are kept under `~/.cache/raymode/base`, or in XDG_CACHE_HOME, by their content, and found whole or not at all.
    Raises StorageError if what arrives is not what the manifest tells.
    """
    if "://" not in base or Store(base).is_local:
        return base
    stored = Store(base)
    content = stored.read_json("manifest.json")["content"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "raymode" / "base"
    place = cache / content
    if place.is_dir():
        return str(place)
    cache.mkdir(parents=True, exist_ok=True)
    arriving = Path(tempfile.mkdtemp(dir=cache, prefix=".arriving-"))
    try:
        stored.download("", arriving)
        files = stored.read_json("manifest.json")["files"]
        if content_hash(arriving, files) != content:
            raise StorageError(
                f"{base}: what was fetched is not what its manifest tells; try again"
            )
        try:
            arriving.rename(place)
        except OSError:  # another process was first
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return str(place)
