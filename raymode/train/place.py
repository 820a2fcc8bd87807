"""What the workers of a lost training hold of the cluster, so that it comes free.

A training's controller asks for its workers' CPUs and GPUs as one placement group. Ray keeps that while the job lives,
even if the controller dies; Ray Train's own cleaner asks the dashboard's server, which a local cluster does not have.
"""

import ray
import ray._private.state
from ray._raylet import ActorID
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util.placement_group import PlacementGroup, PlacementGroupID, remove_placement_group


def free_lost_workers() -> None:
    """Free what actors of this job reserved that died, even if Ray started them again; the driver's own groups stay."""
    job = ray.get_runtime_context().get_job_id()
    # Ray tells who made a placement group nowhere else.
    accessor = ray._private.state.state._connect_and_get_accessor()
    for content in accessor.get_placement_group_table():
        group = PlacementGroupTableData.FromString(content)
        by_actor = group.creator_actor_id not in (b"", ActorID.nil().binary())
        mine = by_actor and group.creator_job_id.hex() == job and not group.is_detached
        if mine and group.creator_actor_dead and group.state != PlacementGroupTableData.REMOVED:
            remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
