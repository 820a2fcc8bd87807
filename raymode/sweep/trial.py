"""One cell of a sweep, from its training to its row."""

from collections.abc import Mapping

import pyarrow as pa

from raymode import stages
from raymode.config_ray import as_trial
from raymode.errors import RaymodeError
from raymode.store import Store
from raymode.sweep.rows import failed_row, finished_row
from raymode.sweep.space import SweepCell
from raymode.tables import share_tables


def run_cell(cell: SweepCell, tables: Mapping[str, pa.Table]) -> str:
    """Train, sample and score a cell, write its row last, and return "", or why it failed.

    tables: `tables.light_tables` of the sweep's sets. What stopped an earlier attempt is not done again. An error of
    raymode's own makes the cell a failed one, for trying again at once cannot mend it.
    """
    config, store = as_trial(cell.config), Store(cell.config.run_dir)
    share_tables(config, tables)
    try:
        stages.train(config)
        stages.sample(config)
        stages.score(config)
        row = finished_row(cell)
    except RaymodeError as error:
        reason = f"{type(error).__name__}: {error}"
        store.write_json("failed.json", failed_row(cell, reason))
        return reason
    store.delete("failed.json")
    store.write_json("run.json", row)
    return ""
