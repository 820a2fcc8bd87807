"""Nodes whose clocks are an hour ahead and an hour behind the driver's.

libfaketime makes them so: Debian's package of that name, or the file that RAYMODE_FAKETIME names.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import run
from tests.faults.disturb import ITSELF, Row, Table
from tests.faults.nodes import Nodes
from tests.faults.road import STAGES, begin_at, outcome

pytestmark = pytest.mark.slow
LIBRARY = Path(
    os.environ.get("RAYMODE_FAKETIME", "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
)


@pytest.fixture(scope="module")
def skewed() -> Iterator[Nodes]:
    if not LIBRARY.exists():
        pytest.skip(f"no libfaketime at {LIBRARY}; install it, or set RAYMODE_FAKETIME")
    with Nodes() as nodes:
        for skew in ("+1h", "-1h"):
            clock = ["env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME={skew}"]
            nodes.add(before=[*clock, "FAKETIME_DONT_FAKE_MONOTONIC=1"])
        yield nodes


@pytest.mark.parametrize("name", STAGES)
def test_clocks_do_not_matter(
    skewed: Nodes, whole: Path, tmp_path: Path, table: Table, name: str
) -> None:
    run_dir = str(tmp_path / "run")
    begin_at(name, whole, run_dir)
    began = time.monotonic()
    run(skewed, STAGES[name].command(skewed.address, run_dir), tmp_path / "log")
    equal = outcome(name, run_dir) == outcome(name, str(whole))
    took = f"{time.monotonic() - began:.0f}"
    table.add(Row("clocks an hour off", name, "all the time", ITSELF, "–", took, 0, equal))
    assert equal
