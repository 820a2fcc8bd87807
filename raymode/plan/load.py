"""What there is to do, what a unit of it costs, and what it is done with. Every number can be given: key=value."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from raymode.errors import ConfigError

NODES = (1, 10, 100, 1000)
DRAWS = 5


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: equal pieces of work on nodes of one kind. Times in seconds, prices and failure rates per node-hour."""

    pieces: int
    piece_s: float
    """Of one piece on one slot; for a gang, with all of its nodes."""
    slots: int = 1
    """Pieces that a node works on at a time."""
    gang: int = 1
    """Nodes that work on one piece together and lose it together; then `slots` is 1."""
    start_s: float = 0.0
    """Of a slot, before its first piece: its process, its model."""
    failures: float = 0.0
    price: float = 0.0
    checkpoint_s: float = 0.0
    """A lost piece goes on from its last multiple of this; 0 = from its beginning."""
    files: float = 1.0
    """That the driver writes or reads per piece."""
    at_once: float = 1.0
    """Files that it has under way at a time, on average."""
    megabytes: float = 0.0
    """That the driver writes per piece; what nodes write themselves belongs in `piece_s`."""


@dataclass(frozen=True, slots=True)
class Plant:
    """What all stages share: one driver, one scheduler, one storage."""

    boot_s: float = 240.0
    """From asking for a node until it has joined the cluster, for the first and every one that replaces a lost one."""
    driver_s: float = 0.001
    """Of the driver per piece: handing it out, taking its answer."""
    file_s: float = 0.1
    """Of the driver per file: it waits for the storage."""
    scheduler_s: float = 0.01
    """Of Ray's scheduler per slot that starts."""
    storage_requests: float = 3500.0
    """Files per second that the storage serves."""
    storage_mb: float = 300.0
    """MB per second between the driver and the storage: the network of one machine."""
    head_price: float = 0.4


def default_stages() -> dict[str, Stage]:
    """Return the example of docs/cluster.md: 10,000 problems, 100 programs each; 24 cells; 500 held-out prompts, 64 times."""
    spot, on_demand = 0.02, 1.6e-4
    return {
        "verify": Stage(
            pieces=10_000, piece_s=10.5, slots=16, start_s=5, failures=spot, price=0.3, files=1.3, at_once=3.5, megabytes=0.1,
        ),
        "train": Stage(
            pieces=24, piece_s=3600, gang=1, start_s=60, failures=on_demand, price=10.5, checkpoint_s=600, files=8,
        ),
        "sample": Stage(pieces=768, piece_s=60, start_s=90, failures=spot, price=0.8, megabytes=2),
        "score": Stage(
            pieces=1_500, piece_s=54, slots=16, start_s=5, failures=spot, price=0.3, megabytes=0.5,
        ),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """A question: these stages on so many nodes, each stage with nodes of its own, one stage after the other."""

    nodes: tuple[int, ...] = NODES
    draws: int = DRAWS
    seed: int = 0
    plant: Plant = Plant()
    stages: dict[str, Stage] = field(default_factory=default_stages)


def read_plan(arguments: Sequence[str]) -> Plan:
    """Return the plan of `nodes=1,10 verify.piece_s=8 plant.boot_s=60 ...`.

    Raises ConfigError for an unknown key, a wrong number, or work that would hardly ever end.
    """
    plan = Plan()
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: give key=value; --help lists the keys")
        plan = _with(plan, name, text)
    for name, stage in plan.stages.items():
        check(name, stage)
    return plan


def _with(plan: Plan, name: str, text: str) -> Plan:
    group, dot, key = name.partition(".")
    if name == "nodes":
        return dataclasses.replace(plan, nodes=tuple(_number(name, n, 1) for n in text.split(",")))
    if name == "draws":
        return dataclasses.replace(plan, draws=_number(name, text, 1))
    if name == "seed":
        return dataclasses.replace(plan, seed=_number(name, text, 0))
    if dot and group == "plant":
        return dataclasses.replace(plan, plant=_set(plan.plant, name, key, text))
    if dot and group in plan.stages:
        stages = {**plan.stages, group: _set(plan.stages[group], name, key, text)}
        return dataclasses.replace(plan, stages=stages)
    raise ConfigError(f"unknown key {name!r}; --help lists the keys")


def _set(group: Any, name: str, key: str, text: str) -> Any:
    kinds = {item.name: item.type for item in dataclasses.fields(group)}
    if key not in kinds:
        raise ConfigError(f"unknown key {name!r}; {name.partition('.')[0]} has {', '.join(kinds)}")
    if kinds[key] is int:
        return dataclasses.replace(group, **{key: _number(name, text, 1)})
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (value == 0 and key in _POSITIVE):
        raise ConfigError(f"{name}={text}: give a number that is not negative, in {_unit(key)}")
    return dataclasses.replace(group, **{key: value})


_POSITIVE = ("piece_s", "storage_requests", "storage_mb")


def _unit(key: str) -> str:
    if key.endswith("_s"):
        return "seconds"
    return {"failures": "failures per node-hour", "price": "money per node-hour"}.get(
        key, "its unit and above 0 where it divides"
    )


def _number(name: str, text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ConfigError(f"{name}={text}: give a whole number of at least {least}")
    return value


HOPELESS = 10.0
"""Failures expected within work that cannot be cut: e^10 attempts would be needed."""


def check(name: str, stage: Stage) -> None:
    """Raise ConfigError where a stage contradicts itself or would hardly ever end."""
    if stage.gang > 1 and stage.slots > 1:
        raise ConfigError(
            f"{name}.slots={stage.slots}: a gang of {stage.gang} nodes works on one piece: give slots=1"
        )
    whole = min(stage.piece_s, stage.checkpoint_s or stage.piece_s)
    expected = stage.failures * stage.gang / 3600 * whole
    if expected > HOPELESS:
        raise ConfigError(
            f"{name}.failures={stage.failures:g}: {expected:.0f} failures in {whole:g} s that must go through at once;"
            f" give smaller pieces or {name}.checkpoint_s"
        )
