"""What is judged of the parts under way: a file per problem, so that no problem is judged twice.

journal/part-n/position.arrow holds the problem's rows of every table, each as an Arrow stream. It goes when the part
is whole.
"""

import pyarrow as pa

from raymode.schema import table_of
from raymode.sets.verify import Judged
from raymode.store import Store

FOLDER = "journal"
TABLES = ("problems", "solutions", "executions", "rejected")


def save(store: Store, part: int, position: int, judged: Judged) -> None:
    """Keep the rows of one problem. Raises DataError if a row does not fit its table."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    for name in TABLES:
        table = table_of(name, getattr(judged, name))
        with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
            stream.write_table(table)
    store.write_bytes(_file(part, position), sink.getvalue())


def load(store: Store, part: int, position: int) -> dict[str, pa.Table]:
    """Return the tables of one problem by name."""
    source = pa.BufferReader(store.read_bytes(_file(part, position)))
    return {name: pa.ipc.open_stream(source).read_all() for name in TABLES}


def positions(store: Store, part: int) -> frozenset[int]:
    """Return which problems of a part are judged."""
    names = store.names(_folder(part))
    return frozenset(int(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX))


def forget(store: Store, part: int) -> None:
    """Delete what is kept of a part."""
    store.delete(_folder(part))


_SUFFIX = ".arrow"


def _folder(part: int) -> str:
    return f"{FOLDER}/part-{part:05d}"


def _file(part: int, position: int) -> str:
    return f"{_folder(part)}/{position:06d}{_SUFFIX}"
