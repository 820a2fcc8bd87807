"""Storage that errs, does not answer, or is full, in the middle of a stage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.background import repeating
from tests.faults.disturb import AGAIN, ITSELF, NODES, STALL_S, Job, Table, disturbed
from tests.faults.nodes import Nodes
from tests.faults.road import LIMIT_S, STAGES, begin_at
from tests.faults.storage import Disk, Gate, bucket, can_mount
from tests.faults.test_stage_faults import SEED

pytestmark = pytest.mark.slow
ROOM_MB = 20
"""More than a stage writes."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    if not can_mount():
        pytest.skip("a disk to fill takes root, loop devices, mkfs.ext4 and fsfreeze")
    found = Disk(tmp_path_factory.mktemp("disk"))
    found.mount()
    yield found
    found.unmount()


@pytest.fixture(scope="module")
def beside_disk(disk: Disk) -> Iterator[Nodes]:
    """A cluster that was started when the disk was there: its nodes see it."""
    with Nodes(NODES) as nodes:
        yield nodes


@pytest.mark.parametrize("name", STAGES)
def test_a_full_disk(beside_disk: Nodes, disk: Disk, whole: Path, table: Table, name: str) -> None:
    def full_disk(job: Job) -> str:
        job.undo.append(disk.empty)
        with repeating(disk.fill, 0.2):  # room that the file system had set aside comes free
            job.driver.wait(LIMIT_S)
        return AGAIN

    run_dir = str(disk.place / f"full-{name}")
    begin_at(name, whole, run_dir)
    disk.leave(ROOM_MB)  # to fill all of it takes as long as scoring
    at_s = (1.0, 3.0) if name == "score" else None  # its judges are soon done
    try:
        disturbed(beside_disk, name, full_disk, run_dir, SEED, table, whole, at_s=at_s)
    finally:
        disk.empty()


@pytest.mark.parametrize("name", STAGES)
def test_a_disk_that_does_not_answer(
    beside_disk: Nodes, disk: Disk, whole: Path, table: Table, name: str
) -> None:
    def disk_stalls(job: Job) -> str:
        disk.freeze(STALL_S)
        return ITSELF

    run_dir = str(disk.place / f"frozen-{name}")
    begin_at(name, whole, run_dir)
    disturbed(beside_disk, name, disk_stalls, run_dir, SEED, table, whole)


@pytest.fixture(scope="module")
def behind_gate() -> Iterator[tuple[Nodes, str, Gate]]:
    """A cluster whose bucket can be made to fail, and the bucket's URL."""
    with bucket() as (url, gate, past, through), pytest.MonkeyPatch.context() as patch:
        for name, value in past.items():
            patch.setenv(name, value)
        with Nodes(NODES, **through) as nodes:
            yield nodes, url, gate


@pytest.mark.parametrize("mode", ["fail", "stall"])
@pytest.mark.parametrize("name", STAGES)
def test_a_bucket_in_trouble(
    behind_gate: tuple[Nodes, str, Gate], whole: Path, table: Table, name: str, mode: str
) -> None:
    nodes, url, gate = behind_gate

    def trouble(job: Job) -> str:
        gate.disturb(mode, STALL_S)
        return ITSELF

    run_dir = f"{url}/{mode}-{name}"
    begin_at(name, whole, run_dir)
    disturbed(
        nodes, name, trouble, run_dir, SEED, table, whole, title=f"bucket {mode}s for {STALL_S} s"
    )
