"""Machines of a training that are announced to be taken away, as Ray Train knows them."""

import time

import ray.train
from ray.train.collective import broadcast_from_rank_zero

APART_S = 2.0  # between questions to Ray; it looks as often
GONE_S = 30.0  # for Ray to find out that a machine is gone, after the other ranks have noticed


class Leaving:
    """Tells which nodes of this training are about to be taken away.

    To ask Ray takes milliseconds and waits for all ranks, so it is asked every few updates: rank 0 says after how many.
    """

    def __init__(self, told: bool) -> None:
        """told: Ray Train watches the nodes here; if not, none will ever be named."""
        self._told = told
        self._nodes: frozenset[str] = frozenset()
        self._apart = self._left = 1  # updates from question to question, and to the next
        self._asked = time.monotonic()

    def __call__(self) -> frozenset[str]:
        """Return the ids of the nodes, the same on every rank; called after every update."""
        self._left -= 1
        if self._told and self._left <= 0:
            info = ray.train.get_preemption_info()
            self._nodes |= frozenset(info.preempted_node_ids if info else ())
            now = time.monotonic()
            wanted = self._apart * APART_S / (now - self._asked)
            self._asked = now
            self._apart = self._left = broadcast_from_rank_zero(max(1, int(wanted)))
        return self._nodes

    def wait_out(self) -> None:
        """Return at once, or, if a node was announced to go, when Ray must know whether it went.

        Ray takes what a lost node does to the other ranks for failures of their own if it hears of those first.
        """
        if self._nodes:
            time.sleep(GONE_S)
