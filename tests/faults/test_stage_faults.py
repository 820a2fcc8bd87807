"""Something is lost in the middle of a stage: it goes on, alone or with the same command, and decides the same."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import disturb
from tests.faults.conftest import run
from tests.faults.disturb import Fault, Table, disturbed
from tests.faults.nodes import Nodes
from tests.faults.road import STAGES, begin_at, wait_for

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("RAYMODE_FAULT_SEED", "0"))
FAULTS = (
    disturb.kill_actor, disturb.kill_node, disturb.kill_raylet, disturb.kill_driver, disturb.interrupt_driver,
    disturb.kill_head, disturb.stall_actor, disturb.hang_actor, disturb.second_driver,
)  # fmt: skip


@pytest.fixture
def broken(cluster: Nodes, whole: Path, tmp_path: Path, table: Table) -> Callable[..., None]:
    """Begin a stage where the one before it has ended, do something to it, and compare what it decides."""

    def broken(
        name: str,
        fault: Fault,
        *more: str,
        title: str = "",
        at_s: tuple[float, float] | None = None,
    ) -> None:
        run_dir = str(tmp_path / "run")
        begin_at(name, whole, run_dir)
        disturbed(cluster, name, fault, run_dir, SEED, table, whole, more, title, at_s=at_s)

    return broken


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_stage_goes_on(broken: Callable[..., None], name: str, fault: Fault) -> None:
    broken(name, fault)


def test_the_only_engine_hangs(broken: Callable[..., None]) -> None:
    broken("sample", disturb.hang_actor, "sample.engines=1", title="hang the only engine")


def test_a_trial_of_a_sweep_hangs(
    cluster: Nodes, whole_sweep: Path, tmp_path: Path, table: Table
) -> None:
    run_dir = str(tmp_path / "run")
    disturbed(cluster, "sweep", disturb.hang_worker, run_dir, SEED, table, whole_sweep)


@pytest.mark.parametrize("name", ["verify", "train", "sample"])
def test_an_actor_without_memory(broken: Callable[..., None], name: str) -> None:
    """Not of scoring: its judges have what they need before the first result."""
    if not os.access("/sys/fs/cgroup/memory", os.W_OK):
        pytest.skip("to take away memory takes root and version 1 of the memory cgroup")
    broken(name, disturb.out_of_memory)


@pytest.mark.parametrize("name", STAGES)
def test_the_process_beside_the_actors_is_lost(broken: Callable[..., None], name: str) -> None:
    """The reader of a source, Ray Train's controller, the judges' watch."""
    if not STAGES[name].others:
        pytest.skip("sampling has engines and its driver, and nothing beside them")
    # A source this small is read before the first result: its reader is looked for from the start.
    broken(name, disturb.kill_worker, at_s=(0, 0) if name == "verify" else None)


@pytest.mark.parametrize("name", STAGES)
def test_a_node_that_comes_late(broken: Callable[..., None], cluster: Nodes, name: str) -> None:
    while len(cluster.living()) > 1:
        cluster.living()[0].kill()
    wait_for(lambda: len(cluster.known()) == 1, "the head to miss two nodes")
    broken(name, disturb.add_node, at_s=(0, 1) if name == "score" else (3, 10))


def test_a_vllm_engine_is_lost(cluster: Nodes, whole: Path, tmp_path: Path, table: Table) -> None:
    undisturbed, engine = tmp_path / "undisturbed", "sample.engine=vllm"
    for run_dir in (undisturbed, tmp_path / "run"):
        begin_at("sample", whole, str(run_dir))
    command = STAGES["sample"].command(cluster.address, str(undisturbed), engine)
    run(cluster, command, tmp_path / "log")
    disturbed(
        cluster, "sample", disturb.kill_actor, str(tmp_path / "run"), SEED, table, undisturbed,
        (engine,), "kill actor with vLLM",
    )  # fmt: skip
