"""One cell of a sweep, from its training to its row."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raymode import stages
from raymode.config_ray import as_trial
from raymode.errors import RaymodeError
from raymode.store import Store
from raymode.sweep.metrics import outcome
from raymode.sweep.rows import failed_row, finished_row
from raymode.sweep.space import SweepCell
from raymode.tables import share_tables

ENDED = "ended"
"""Of a trial's last answer: "" for a cell that came to its end, or why it failed."""


def run_cell(cell: SweepCell, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Train, sample and score a cell, write its row last, and return what it came to by `sweep.metric`.

    tables: `tables.light_tables` of the sweep's sets. What stopped an earlier attempt is not done again. An error of
    raymode's own makes the cell a failed one, for trying again at once cannot mend it: `ENDED` then says why. With a
    scheduler training tells Tune each held-out measurement, and ends there with SystemExit if Tune will have it so.
    """
    config, store = as_trial(cell.config), Store(cell.config.run_dir)
    share_tables(config, tables)
    try:
        stages.train(config, reports=bool(config.sweep.scheduler))
        stages.sample(config)
        stages.score(config)
        row = finished_row(cell)
    except RaymodeError as error:
        reason = f"{type(error).__name__}: {error}"
        store.write_json("failed.json", failed_row(cell, reason))
        return {ENDED: reason}
    for name in ("failed.json", "stopped.json"):
        store.delete(name)
    store.write_json("run.json", row)
    return told(cell, row)


def told(cell: SweepCell, row: dict[str, Any]) -> dict[str, Any]:
    """Return what Tune is told of a cell that ended."""
    name = cell.config.sweep.metric
    value = outcome(Store(cell.config.run_dir), row, name)
    return {ENDED: ""} if value is None else {ENDED: "", name: value}
