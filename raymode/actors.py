"""Handing pieces of work to a few Ray actors: bounded, in any order, repeated when an actor dies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray
import ray.exceptions

from raymode.errors import RaymodeError

IN_FLIGHT = 2  # pieces per actor: one being worked on, one waiting


def answers(
    actor_class: type,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    actors: int,
    method: str,
    pieces: Mapping[int, Any],
    retries: int = 3,
) -> Iterator[tuple[int, Any]]:
    """Yield (number, result of `method` on the piece) as actors finish them; actors end with the iteration.

    An actor that dies is started again by Ray with the same `arguments`, and its unanswered pieces are repeated, each
    `retries` times; then RaymodeError is raised. An error of raymode's own that the method raises is raised here as it
    is; a constructor should raise none, for Ray hides its cause.
    """
    # "DEFAULT": not inside the placement group of a Tune trial, which holds next to nothing.
    remote: Any = ray.remote(actor_class).options(
        max_restarts=-1, max_task_retries=retries, scheduling_strategy="DEFAULT", **options
    )
    pool = [remote.remote(*arguments) for _ in range(min(actors, len(pieces)))]
    waiting = iter(pieces)
    asked: dict[Any, tuple[int, Any]] = {}

    def ask(actor: Any) -> None:
        number = next(waiting, None)
        if number is not None:
            asked[getattr(actor, method).remote(pieces[number])] = (number, actor)

    try:
        for _ in range(IN_FLIGHT):
            for actor in pool:
                ask(actor)
        while asked:
            done, _ = ray.wait(list(asked), num_returns=1)
            number, actor = asked.pop(done[0])
            ask(actor)
            yield number, _result(done[0], actor_class.__name__, retries)
    finally:
        for actor in pool:
            ray.kill(actor)


def _result(reference: Any, actor: str, retries: int) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayActorError as error:
        *_, said = str(error).strip().splitlines()
        raise own_error(error) or RaymodeError(
            f"{actor}: gave no answer in {retries + 1} attempts ({said}); see what ends its process (memory?), then"
            " give the same command again"
        ) from error
    except ray.exceptions.RayError as error:
        raise own_error(error) or error from error


def own_error(error: BaseException | None) -> RaymodeError | None:
    """Return the error of raymode that an error of Ray carries, if there is one."""
    while error is not None:
        # Ray's wrapper of an error is an instance of its class too, with a traceback for a message.
        if isinstance(error, RaymodeError) and not isinstance(error, ray.exceptions.RayError):
            return type(error)(str(error).partition("\n")[0])  # Ray appends advice of its own
        error = getattr(error, "cause", None) or error.__cause__
    return None
