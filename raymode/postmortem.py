"""What a job that failed leaves behind: what went wrong, where, what is safe, and the command that goes on.

`failure.json` and `report/failure.html` of the run directory; the same job deletes them when it ends well.
"""

import datetime
import os
import shlex
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raymode.config import Config
from raymode.events import stage_of
from raymode.report.failure import failure_html
from raymode.store import Store

RECORD, PAGE = "failure.json", "report/failure.html"
STAGES = ("sets", "train", "sample", "score")
SHOWN = 50  # failed cells of a sweep
PARTS = {"sample": "completions", "score": "judged"}
"""Tables that a stage writes part by part, so that what stands is not done again."""
SUBMITTED = (
    "RAY_JOB_CONFIG_JSON_ENV_VAR"  # stands in the environment of what `ray job submit` starts
)


def leave(config: Config, error: BaseException | None) -> str:
    """Write the post-mortem of this process's job and return its place; "" if there is no run directory yet.

    error: what ended the job; None if it came to its end and cells of its sweep failed.
    """
    store = Store(config.run_dir)
    if not store.exists("config.yaml"):
        return ""
    record = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "run_dir": store.url,
        "job": _job(),
        "what": _what(error),
        "stage": stage_of(error),
        "where": _where(error),
        "stages": [_standing(config, store, stage) for stage in STAGES],
        "cells": _cells(store),
        "go_on": go_on(sys.argv),
        "traceback": traceback.format_exception(error) if error else [],
    }
    store.write_json(RECORD, record)
    store.write_bytes(PAGE, failure_html(record).encode())
    return f"{store.url}/{PAGE}"


def clear(config: Config) -> None:
    """Delete what an earlier attempt of this job left, for it has ended well."""
    store = Store(config.run_dir)
    if store.exists(RECORD) and store.read_json(RECORD)["job"] == _job():
        store.delete(PAGE)
        store.delete(RECORD)


def go_on(arguments: Sequence[str]) -> str:
    """Return the command that goes on where this process ended."""
    command = shlex.join(["python", *arguments])
    if SUBMITTED in os.environ:
        return f"ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- {command}"
    address = os.environ.get("RAY_ADDRESS", "")
    return f"RAY_ADDRESS={shlex.quote(address)} {command}" if address else command


def _job() -> str:
    return Path(sys.argv[0]).stem


def _what(error: BaseException | None) -> str:
    if error is None:
        return "cells of the sweep failed"
    return f"{type(error).__name__}: {error}".strip().rstrip(":")


def _where(error: BaseException | None) -> str:
    """Return the line of raymode that raised an error; what it is about, file and row, its message says."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    here = Path(__file__).parent
    ours = [frame for frame in frames if here in Path(frame.filename).parents]
    if not ours:
        return ""
    last = ours[-1]
    return (
        f"raymode/{Path(last.filename).relative_to(here).as_posix()}:{last.lineno} in {last.name}"
    )


def _standing(config: Config, store: Store, stage: str) -> dict[str, str]:
    """Return how far a stage is, and what of it is safe."""
    if stage == "sets":
        status, safe = _sets(Store(config.sets_path))
    elif not store.exists(f"{stage}.json"):
        status, safe = "not begun", ""
    elif store.read_json(f"{stage}.json")["summary"] is not None:
        status, safe = "finished", ""
    else:
        status, safe = "begun", _checkpoint(store) if stage == "train" else ""
        if stage in PARTS:
            safe = f"{len(store.names(PARTS[stage]))} parts of {PARTS[stage]}"
    return {"stage": stage, "status": status, "safe": safe}


def _sets(store: Store) -> tuple[str, str]:
    if store.exists("manifest.json"):
        return "finished", ""
    if not store.exists("inputs.json"):
        return "not begun", ""
    under_way = store.names("journal")
    problems = sum(len(store.names(f"journal/{part}")) for part in under_way)
    return "begun", f"{len(store.names('parts'))} parts, and {problems} problems of others"


def _checkpoint(store: Store) -> str:
    whole = [
        name
        for name in store.names("checkpoints")
        if store.exists(f"checkpoints/{name}/manifest.json")
    ]
    return f"checkpoints/{whole[-1]}" if whole else "no checkpoint yet"


def _cells(store: Store) -> dict[str, Any]:
    """Return how many cells of a sweep came to what, and those that failed; {} if there is no table of them."""
    if not store.exists("runs.parquet"):
        return {}
    rows = store.rows("runs.parquet")
    failed = [row for row in rows if row["status"] == "failed"]
    return {
        "begun": len(store.names("runs")),
        "ended": dict(Counter(row["status"] for row in rows)),
        "failed": [
            {"run_dir": f"{store.url}/runs/{row['run_id']}", "error": row["error"]}
            for row in failed[:SHOWN]
        ],
    }
