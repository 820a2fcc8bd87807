"""Handing pieces of work to a few Ray actors: bounded, in any order, repeated when an actor dies or hangs; or to a task."""

import functools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ray
import ray.exceptions

from raymode.cluster import leaving_nodes, node_of
from raymode.errors import RaymodeError
from raymode.signs import Guard, show_life

IN_FLIGHT = 2  # pieces per actor: one being worked on, one waiting
LOOK_S = 2.0  # between looks for machines that are about to go


class Timed(NamedTuple):
    """What an actor gives back for a piece."""

    result: Any
    seconds: float  # that the work took, without what the actor does once


def answers(
    actor_class: type,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    actors: int,
    method: str,
    pieces: Mapping[int, Any],
    retries: int = 3,
    hedged: bool = False,
    here: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Yield (number, result of `method` on the piece) once for each piece, as actors finish them.

    Pieces are handed out in their order, to actors that are up: a cluster that is still growing is not waited for. An
    actor for which nothing is left to do ends, and all end with the iteration.

    An actor that dies is started again by Ray with the same `arguments`, and its unanswered pieces are repeated, each
    `retries` times; then RaymodeError is raised. An error of raymode's own that the method raises is raised here as it
    is; a constructor should raise none, for Ray hides its cause.

    hedged: when nothing is left to hand out, an actor that has finished is given the piece that has been under way
    longest, once more; the first answer counts. An actor that hangs then holds nobody up. `method` must give the same
    answer twice and leave nothing behind.

    An actor on a machine that is announced to go gets no further piece, and another is started in its place; if hedged,
    the piece that it has is also asked elsewhere.

    here: no actor is started; one object does all pieces in this process, and its method `close` is called at the end.
    """
    if here:
        yield from _answers_here(actor_class(*arguments), method, pieces)
        return
    # "DEFAULT": not inside the placement group of a Tune trial, which holds next to nothing.
    remote: Any = ray.remote(_showing_life(actor_class)).options(
        max_restarts=-1, max_task_retries=retries, scheduling_strategy="DEFAULT", **options
    )
    start = functools.partial(remote.remote, *arguments)
    hand = _Hand(start, min(actors, len(pieces)), method, pieces, hedged)
    name = actor_class.__name__
    try:
        while hand.unanswered:
            reference = hand.wait()
            if reference in hand.starting:
                _result(reference, name, retries)
                hand.give(hand.starting.pop(reference))
                continue
            number, actor = hand.asked.pop(reference)
            try:
                result = _result(reference, name, retries)
            except ActorDied:
                if not hand.is_asked(number):
                    raise
                hand.give(actor)  # another actor has the piece
                continue
            fresh = number in hand.unanswered
            hand.unanswered.discard(number)
            hand.give(actor)
            if fresh:
                yield number, result
    finally:
        for actor in hand.pool:
            ray.kill(actor)


def _showing_life(actor_class: type) -> type:
    """Return the class of actors whose processes leave signs of life."""

    class Shown(actor_class):  # type: ignore[misc]  # not known before it runs
        def __init__(self, *arguments: Any) -> None:
            show_life()
            super().__init__(*arguments)

    Shown.__name__ = Shown.__qualname__ = actor_class.__name__
    return Shown


def _answers_here(worker: Any, method: str, pieces: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
    try:
        for number, piece in pieces.items():
            yield number, getattr(worker, method)(piece)
    finally:
        worker.close()


class ActorDied(RaymodeError):
    """An actor died at one piece as often as it may."""


class _Hand:
    """Which actor has which pieces. Actors are told by their place in the pool."""

    def __init__(
        self,
        start: Callable[[], Any],
        actors: int,
        method: str,
        pieces: Mapping[int, Any],
        hedged: bool,
    ) -> None:
        self.method, self.pieces, self.hedged = method, pieces, hedged
        self.waiting = deque(pieces)
        self.unanswered = set(pieces)
        self.asked: dict[Any, tuple[int, int]] = {}  # reference -> (piece, actor), oldest first
        self.pool: list[Any] = []
        self.starting: dict[Any, int] = {}
        self.leaving: set[int] = set()  # actors on machines that are about to go
        self._start = start
        self._looked = time.monotonic()
        self._guard = Guard()
        for _ in range(actors):
            self._add()

    def _add(self) -> None:
        actor = self._start()
        self.starting[actor.__ray_ready__.remote()] = len(self.pool)
        self.pool.append(actor)

    def wait(self) -> Any:
        """Return a reference that is done; see to machines that are about to go, and actors that hang, meanwhile."""
        while True:
            if time.monotonic() - self._looked >= LOOK_S:
                self._look()
            done, _ = ray.wait([*self.asked, *self.starting], num_returns=1, timeout=LOOK_S)
            if done:
                return done[0]

    def _look(self) -> None:
        self._looked = time.monotonic()
        self._guard.look(self.pool)
        self._let_go()
        nodes = leaving_nodes()
        if not nodes:
            return
        there = {place for _, place in self.asked.values()} | set(self.starting.values())
        for place in sorted(there - self.leaving):
            if node_of(self.pool[place]) in nodes:
                self._leave(place)

    def _leave(self, place: int) -> None:
        """Have another actor in place of one whose machine is about to go; it may finish what it has."""
        self.leaving.add(place)
        if self.hedged:
            once = self._once()
            held = [number for number, other in self.asked.values() if other == place]
            self.waiting.extendleft(number for number in held if number in once)
        self._add()

    def _let_go(self) -> None:
        """End leaving actors all of whose pieces others have answered: Ray would start them again elsewhere."""
        for place in self.leaving:
            held = {ref: number for ref, (number, other) in self.asked.items() if other == place}
            if held and not self.unanswered.intersection(held.values()):
                ray.kill(self.pool[place])
                for reference in held:
                    del self.asked[reference]

    def is_asked(self, number: int) -> bool:
        """Return whether an actor has the piece."""
        return any(number == other for other, _ in self.asked.values())

    def give(self, place: int) -> None:
        """Hand pieces to an actor that is up, or end it, and end those starting that will not be needed."""
        load = sum(place == other for _, other in self.asked.values())
        # A second piece only where actors still starting will find one each.
        while load < self._most(place, load) and (number := self._next()) is not None:
            actor = self.pool[place]
            self.asked[getattr(actor, self.method).remote(self.pieces[number])] = number, place
            load += 1
        if not load:
            ray.kill(self.pool[place])
        while len(self.starting) > len(self.waiting) + len(self._once()):
            _, unneeded = self.starting.popitem()
            ray.kill(self.pool[unneeded])

    def _most(self, place: int, load: int) -> int:
        """Return how many pieces an actor may have; one where a second actor may take over what waits at a first."""
        if place in self.leaving:
            return 0
        if self.hedged or (load and len(self.waiting) <= len(self.starting)):
            return 1
        return IN_FLIGHT

    def _next(self) -> int | None:
        """Return the piece to hand out next, if any."""
        while self.waiting:
            number = self.waiting.popleft()
            if (
                number in self.unanswered
            ):  # one that was left behind may have been answered after all
                return number
        return next(iter(self._once()), None)

    def _once(self) -> list[int]:
        """Return the pieces to ask a second time, the one longest under way first."""
        if not self.hedged:
            return []
        times = Counter(number for number, _ in self.asked.values())
        return [
            number for number, _ in self.asked.values()
            if times[number] == 1 and number in self.unanswered
        ]  # fmt: skip


def _result(reference: Any, actor: str, retries: int) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayActorError as error:
        *_, said = str(error).strip().splitlines()
        raise own_error(error) or ActorDied(
            f"{actor}: gave no answer in {retries + 1} attempts ({said}); see what ends its process (memory?) or stops it, then"
            " give the same command again"
        ) from error
    except ray.exceptions.RayError as error:
        raise own_error(error) or error from error


def in_a_task(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Return `function` as it is done somewhere in the cluster, by a task with these options of Ray.

    A task that is lost is repeated, and an error of raymode's own is raised here as it is.
    """
    # "DEFAULT": not inside the placement group of a Tune trial, which holds next to nothing.
    task: Any = ray.remote(function).options(scheduling_strategy="DEFAULT", **options)

    def call(*arguments: Any) -> Any:
        try:
            return ray.get(task.remote(*arguments))
        except ray.exceptions.RayError as error:
            raise own_error(error) or error from error

    return call


def own_error(error: BaseException | None) -> RaymodeError | None:
    """Return the error of raymode that an error of Ray carries, if there is one."""
    while error is not None:
        # Ray's wrapper of an error is an instance of its class too, with a traceback for a message.
        if isinstance(error, RaymodeError) and not isinstance(error, ray.exceptions.RayError):
            return type(error)(str(error).partition("\n")[0])  # Ray appends advice of its own
        error = getattr(error, "cause", None) or error.__cause__
    return None
