"""One fault after another, drawn by chance, over the whole road on three nodes: no table is ever wrong.

RAYMODE_FAULT_RUNS says how many, RAYMODE_FAULT_SEED which, RAYMODE_FAULT_FIRST where a row that was cut short goes on.
"""

import os
import random
from pathlib import Path

import pytest

from tests.faults import disturb
from tests.faults.disturb import Table, disturbed
from tests.faults.nodes import Nodes

pytestmark = pytest.mark.slow
RUNS = int(os.environ.get("RAYMODE_FAULT_RUNS", "3"))
FIRST = int(os.environ.get("RAYMODE_FAULT_FIRST", "0"))
SEED = int(os.environ.get("RAYMODE_FAULT_SEED", "0"))
FAULTS = (
    disturb.kill_actor, disturb.kill_worker, disturb.kill_node, disturb.kill_raylet, disturb.kill_driver,
    disturb.kill_head, disturb.interrupt_driver, disturb.stall_actor, disturb.add_node, disturb.second_driver,
)  # fmt: skip


@pytest.mark.parametrize("number", range(FIRST, FIRST + RUNS))
def test_random_faults_change_nothing(
    cluster: Nodes, whole_sweep: Path, tmp_path: Path, table: Table, number: int
) -> None:
    seed = 1000 * SEED + number
    fault = random.Random(seed).choice(FAULTS)
    disturbed(cluster, "sweep", fault, str(tmp_path / "run"), seed, table, whole_sweep)
