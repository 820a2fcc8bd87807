"""A cluster of a head and three small nodes, a run that nobody disturbed, and the table of what the faults did.

RAYMODE_FAULTS_WHOLE names a directory that keeps the undisturbed runs from one call to the next.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disturb import NODES, Table
from tests.faults.nodes import Nodes
from tests.faults.road import LIMIT_S, STAGES, SWEEP
from tests.integration.test_jobs import head  # noqa: F401  # a fixture

# A shell has what it starts in the background ignore Ctrl-C, and so would the jobs of these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def table() -> Table:
    """Rows of what was seen; the file RAYMODE_FAULTS_TABLE gets them too, as they come."""
    return Table(os.environ.get("RAYMODE_FAULTS_TABLE", ""))


@pytest.fixture(scope="session")
def shared() -> Iterator[Nodes]:
    """One cluster for all tests; a test may kill any part of it."""
    with Nodes(NODES) as nodes:
        yield nodes


@pytest.fixture
def cluster(shared: Nodes) -> Nodes:
    """The shared cluster with all its nodes."""
    if not shared.head.find("raylet"):
        shared.restart(NODES)
    while len(shared.living()) < NODES:
        shared.add()
    return shared


def run(nodes: Nodes, command: list[str], log: Path) -> None:
    """Run a command on the head to its good end."""
    with nodes.driver(*command, log=log) as driver:
        try:
            code = driver.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            code = None
    assert code == 0, f"{code}: {log.read_text()[-4000:]}"


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the undisturbed runs are."""
    kept = Path(os.environ.get("RAYMODE_FAULTS_WHOLE") or tmp_path_factory.mktemp("whole"))
    kept.mkdir(parents=True, exist_ok=True)
    return kept


@pytest.fixture(scope="session")
def whole(shared: Nodes, kept: Path) -> Path:
    """A run directory where every stage ended undisturbed."""
    run_dir = kept / "stages"
    for stage in STAGES.values():
        run(shared, stage.command(shared.address, str(run_dir)), run_dir.with_suffix(".log"))
    return run_dir


@pytest.fixture(scope="session")
def whole_sweep(shared: Nodes, kept: Path) -> Path:
    """The directory of a sweep that nobody disturbed."""
    run_dir = kept / "sweep"
    run(shared, SWEEP.command(shared.address, str(run_dir)), run_dir.with_suffix(".log"))
    return run_dir
