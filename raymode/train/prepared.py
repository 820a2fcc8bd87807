"""What training finds in a run directory besides its tables; imports no torch."""

import itertools
import json
from typing import Any

from raymode.store import Store

BASE = "base.json"
"""Names the model to start from."""


def seconds_before(store: Store) -> float:
    """Return what earlier sittings of a run spent on the updates that still count, so that a resumed run costs both.

    Every sitting counts its `elapsed_s` from 0.
    """
    if not store.exists("metrics.jsonl"):
        return 0.0
    rows = [json.loads(line) for line in store.read_bytes("metrics.jsonl").splitlines()]
    elapsed = [row["elapsed_s"] for row in rows] + [0.0]
    return float(sum(now for now, after in itertools.pairwise(elapsed) if after < now))


def training_summary(store: Store) -> dict[str, Any]:
    """Return how many prompts and updates a run was trained on, and the seconds in updates and held-out measurements."""
    rows = store.rows("groups.parquet", ["problem_id", "right"])
    lines = [json.loads(line) for line in store.read_bytes("metrics.jsonl").splitlines()]
    return {
        "prompts": len({row["problem_id"] for row in rows}),
        "pairs": sum(row["right"] for row in rows),
        "updates": len(lines),
        "work_s": sum(line["step_s"] + line.get("heldout_s", 0.0) for line in lines),
    }
