"""Nodes whose clocks are an hour ahead and an hour behind the driver's.

libfaketime makes them so: the file that RAYMODE_FAKETIME names, or a package's. It takes version 0.9.12: with 0.9.10, of
Debian 12, sleeping fails.
"""

import os
import subprocess
import sys
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
    if subprocess.run(
        [*clock("-1h"), sys.executable, "-c", "import time; time.sleep(0.1)"]
    ).returncode:
        pytest.skip(f"no process sleeps with {LIBRARY}: it takes libfaketime 0.9.12")
    with Nodes() as nodes:
        for skew in ("+1h", "-1h"):
            nodes.add(before=clock(skew))
        yield nodes


def clock(skew: str) -> list[str]:
    """Return what has a command see a wrong time of day, written before it; what it waits for stays right."""
    return ["env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME={skew}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]


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
