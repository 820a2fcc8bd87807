"""Reading the tables of finished sets, once per process where several runs read the same ones."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from raymode.config import Config
from raymode.errors import ConfigError, StorageError
from raymode.rundir import first_difference, inputs
from raymode.store import Store

LIGHT = {
    "problems": ["problem_id", "prompt", "split"],  # tests may be large, and a run needs few
    "solutions": [
        *("problem_id", "solution_id", "code", "verdict", "claimed"),
        *("cluster_id", "features", "reward"),
    ],
}
"""The columns that every run reads whole."""
_shared: dict[str, Mapping[str, pa.Table]] = {}


def light_tables(config: Config) -> dict[str, pa.Table]:
    """Return what `share_tables` takes: of each table the columns that every run needs."""
    return {name: set_table(config, name, columns) for name, columns in LIGHT.items()}


def share_tables(config: Config, tables: Mapping[str, pa.Table]) -> None:
    """Have `set_table` answer from `tables` for the sets of `config` from now on; those of other sets are forgotten."""
    _shared.clear()
    _shared[Store(config.sets_path).url] = tables


def set_table(
    config: Config,
    name: str,
    columns: list[str] | None = None,
    where: tuple[str, list[str]] | None = None,
) -> pa.Table:
    """Return a table of the finished sets; see `Store.read_table`.

    Raises StorageError if they are not finished, ConfigError if the run's own sets were made with another
    configuration; sets named by `sets.path` are taken as they are.
    """
    sets = Store(config.sets_path)
    table = _shared.get(sets.url, {}).get(name)
    if table is not None and columns and set(columns) <= set(table.column_names):
        if where:
            table = table.filter(pc.is_in(table.column(where[0]), pa.array(where[1], pa.string())))
        return table.select(columns)
    _check(config, sets)
    return sets.read_table(name, columns, where)


def _check(config: Config, sets: Store) -> None:
    if not sets.exists("manifest.json"):
        raise StorageError(
            f"{sets.url}: holds no finished sets; run jobs/build_sets.py first, or set sets.path"
        )
    if not config.sets.path:
        difference = first_difference(
            sets.read_json("inputs.json"), inputs(config, "sets"), only_new=True
        )
        if difference:
            raise ConfigError(
                f"{sets.url}: was built with another configuration: {difference}; set sets.path to use it as it is"
            )
