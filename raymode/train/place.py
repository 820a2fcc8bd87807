"""What the workers of a training hold of the cluster, so that it can be freed when the training is killed.

Ray Train loses track of its workers' CPUs and GPUs then: its own cleaner asks the dashboard's server, which a local
cluster does not have.
"""

import ray.train
from ray.util.placement_group import (
    PlacementGroup,
    PlacementGroupID,
    get_current_placement_group,
    remove_placement_group,
)

from raymode.store import Store

PLACE = "workers.json"
"""Names the placement group of a training that is under way."""


def note_workers(store: Store) -> None:
    """Leave a note of what `free_workers` may have to free; every worker calls this."""
    group = get_current_placement_group()
    if group is not None and ray.train.get_context().get_world_rank() == 0:
        store.write_json(PLACE, {"placement_group": group.id.hex()})


def free_workers(store: Store) -> None:
    """Free what the workers of a killed training hold; nothing is to be done after one that ended by itself."""
    if store.exists(PLACE):
        group = PlacementGroupID(bytes.fromhex(store.read_json(PLACE)["placement_group"]))
        remove_placement_group(PlacementGroup(group))
        store.delete(PLACE)
