"""What a sweep's runs are compared by."""

import json
import math
from collections.abc import Iterator
from typing import Any

from raymode.config import HELDOUT_METRICS
from raymode.errors import DataError
from raymode.measure.problem import is_metric, metric
from raymode.store import Store


def higher_is_better(name: str) -> bool:
    """Return which end of a metric is the better one; DataError if it is no metric, or neither end is."""
    bare = name.removeprefix("families_")
    if bare in HELDOUT_METRICS:
        return False
    better = metric(bare).higher_is_better if is_metric(bare) else None
    if better is None:
        raise DataError(
            f"metric {name!r}: is none, or neither end of it is better; order by it with sql() instead"
        )
    return better


def measurements(store: Store, name: str) -> Iterator[dict[str, Any]]:
    """Yield what a run measured of a held-out metric while it trained, with `step`, the update after which it did."""
    if store.exists("metrics.jsonl"):
        for line in store.read_bytes("metrics.jsonl").splitlines():
            row = json.loads(line)
            if name in row:
                yield {"step": row["step"], name: row[name]}


def outcome(store: Store, row: dict[str, Any], name: str) -> float | None:
    """Return what a run that ended with `row` came to by a metric; None if it did not get there."""
    value = row.get(name)
    if value is None:
        value = next((each[name] for each in reversed([*measurements(store, name)])), None)
    return None if value is None or math.isnan(value) else float(value)
