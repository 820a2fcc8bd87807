"""What a dead actor had reserved comes free, and nothing else does."""

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from raymode.train.place import free_lost_workers
from tests.faults.road import wait_for


@ray.remote(num_cpus=0)
class Controller:
    def reserve(self) -> str:
        group = placement_group([{"CPU": 0.5}])
        ray.get(group.ready())
        return str(group.id.hex())


def reserved() -> float:
    return 2 - ray.available_resources().get("CPU", 0)


def test_what_a_dead_actor_reserved_comes_free_and_nothing_else(cluster):
    own = placement_group([{"CPU": 0.5}])
    ray.get(own.ready())
    living, lost = Controller.remote(), Controller.remote()
    ray.get([living.reserve.remote(), lost.reserve.remote()])
    ray.kill(lost)
    try:
        wait_for(lambda: reserved() == 1.5, "three reservations")
        wait_for(lambda: free_lost_workers() or reserved() == 1, "one of them freed")
        free_lost_workers()
        assert reserved() == 1
    finally:
        remove_placement_group(own)
        ray.kill(living)
        wait_for(lambda: free_lost_workers() or reserved() == 0, "all of them freed")
