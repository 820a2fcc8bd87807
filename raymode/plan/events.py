"""One stage as a sequence of events: nodes join, take pieces, fail; the driver, scheduler and storage serve one at a time.

A machine is what fails together: a node with its slots, or a gang of nodes with one. Failures come at random with a constant
rate while a machine is up, none while it starts. What a lost machine worked on goes back to the front of the queue.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from raymode.plan.load import Plant, Stage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one stage took. Times in seconds."""

    nodes: int
    """That were asked for: no more than there are pieces for."""
    wall_s: float
    cost: float
    work_s: float
    """Slot-seconds of work, that which was lost included."""
    lost_s: float
    failures: int
    busy: dict[str, float]
    """Shares of the wall time, 0 to 1, of the slots, the driver, the scheduler and the storage; start: until the first
    slot is ready."""

    @property
    def limit(self) -> str:
        """What is busiest: more of it, or less asked of it, would help most."""
        return max(self.busy, key=lambda name: self.busy[name])


def run_stage(stage: Stage, plant: Plant, nodes: int, seed: int) -> Outcome:
    """Return what the stage takes on `nodes` nodes of its own, at least 1. The same seed gives the same outcome."""
    return _Run(stage, plant, nodes, random.Random(seed)).outcome()


class _Server:
    """Serves one request after the other, in the order of asking."""

    def __init__(self) -> None:
        self.free_at = self.busy_s = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """Return when a request that comes now is done."""
        self.free_at = max(now, self.free_at) + seconds
        self.busy_s += seconds
        return self.free_at


@dataclass(slots=True)
class _Machine:
    life: int = 0  # events of an earlier life are void
    running: dict[int, tuple[float, float]] = field(default_factory=dict)  # slot: (begun, left)


class _Run:
    def __init__(self, stage: Stage, plant: Plant, nodes: int, random_: random.Random) -> None:
        self.stage, self.plant, self.random = stage, plant, random_
        self.gang = min(stage.gang, nodes)
        machines = min(nodes // self.gang, math.ceil(stage.pieces / stage.slots))
        self.machines = [_Machine() for _ in range(machines)]
        self.rate = stage.failures * self.gang / 3600  # per second and machine
        # A smaller gang does the same work in more time.
        self.piece_s = stage.piece_s * stage.gang / self.gang
        self.queue = deque([self.piece_s] * stage.pieces)
        self.unfinished = stage.pieces
        self.idle: list[tuple[int, int, int]] = []  # machine, slot, life
        self.driver, self.scheduler, self.storage = _Server(), _Server(), _Server()
        self.events: list[tuple[float, int, Callable[..., None], tuple[int, ...]]] = []
        self.asked = self.failures = 0
        self.first_ready = math.inf
        self.ended = self.work_s = self.lost_s = 0.0

    def outcome(self) -> Outcome:
        """Run to the end."""
        for number in range(len(self.machines)):
            self._at(self.plant.boot_s, self._up, number, 0)
        while self.unfinished:
            now, _, event, (number, life, *rest) = heapq.heappop(self.events)
            if self.machines[number].life == life:
                event(now, number, life, *rest)
        wall = self.ended
        nodes = len(self.machines) * self.gang
        slots = len(self.machines) * self.stage.slots
        servers = {"driver": self.driver, "scheduler": self.scheduler, "storage": self.storage}
        busy = {"slots": self.work_s / (slots * wall), "start": self.first_ready / wall}
        busy |= {name: server.busy_s / wall for name, server in servers.items()}
        cost = nodes * self.stage.price * wall / 3600
        return Outcome(nodes, wall, cost, self.work_s, self.lost_s, self.failures, busy)

    def _at(self, when: float, event: Callable[..., None], *what: int) -> None:
        self.asked += 1  # events of the same moment come in the order of asking
        heapq.heappush(self.events, (when, self.asked, event, what))

    def _up(self, now: float, number: int, life: int) -> None:
        if self.rate:
            self._at(now + self.random.expovariate(self.rate), self._fail, number, life)
        for slot in range(self.stage.slots):
            ready = self.scheduler.serve(now, self.plant.scheduler_s) + self.stage.start_s
            self.first_ready = min(self.first_ready, ready)
            self._at(ready, self._take, number, life, slot)

    def _take(self, now: float, number: int, life: int, slot: int) -> None:
        if not self.queue:
            self.idle.append((number, slot, life))
            return
        begun = self.driver.serve(now, self.plant.driver_s)
        left = self.queue.popleft()
        self.machines[number].running[slot] = begun, left
        self._at(begun + left, self._done, number, life, slot)

    def _done(self, now: float, number: int, life: int, slot: int) -> None:
        begun, _ = self.machines[number].running.pop(slot)
        self.work_s += now - begun
        self.unfinished -= 1
        stage, plant = self.stage, self.plant
        told = self.driver.serve(now, stage.files * plant.file_s / stage.at_once)
        stored = stage.files / plant.storage_requests + stage.megabytes / plant.storage_mb
        self.ended = max(self.ended, self.storage.serve(told, stored))
        self._take(now, number, life, slot)

    def _fail(self, now: float, number: int, life: int) -> None:
        machine = self.machines[number]
        self.failures += 1
        for begun, left in machine.running.values():
            done = max(0.0, now - begun)
            kept = self._kept(done)
            self.work_s += done
            self.lost_s += done - kept
            self.queue.appendleft(left - kept)
        machine.running.clear()
        machine.life += 1
        self._at(now + self.plant.boot_s, self._up, number, machine.life)
        waiting, self.idle = self.idle, []
        for other, slot, other_life in waiting:
            if self.machines[other].life == other_life:
                self._take(now, other, other_life, slot)

    def _kept(self, done: float) -> float:
        """Return how much of `done` seconds, counted from a checkpoint, is in a later one."""
        step = self.stage.checkpoint_s
        return math.floor(done / step) * step if step else 0.0
