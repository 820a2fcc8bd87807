"""Further keys of a sweep, each with its values: grids, random draws, and keys that only some cells have.

An axis is `key=VALUES` or `key=VALUES if other.key=value`, with VALUES one of

    [1,2,4]             each of them
    linear(0,1,5)       five values from 0 to 1
    log(1e-4,1e-2,3)    three values from 1e-4 to 1e-2 at equal ratios
    uniform(0,1)        one at random per draw
    loguniform(1e-4,1)  one at random per draw, its logarithm uniform
"""

import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raymode.config import Config
from raymode.config_load import get, replace, value_of
from raymode.errors import ConfigError
from raymode.seed import derive_seed

Settings = dict[str, Any]
"""Keys of the configuration with dots, and their values in one cell."""

SWEPT = ("model", "train", "eco", "loss", "sample", "score")
_AXIS = re.compile(r"\s*([\w.]+)\s*=\s*(.+?)\s*(?:\sif\s+([\w.]+)\s*=\s*(.+?)\s*)?", re.DOTALL)
_CALL = re.compile(r"(linear|log|uniform|loguniform)\(([^()]*)\)")
RANDOM = ("uniform", "loguniform")


@dataclass(frozen=True, slots=True)
class Axis:
    """One key: fixed `values`, or an `interval` for random ones; `condition` is a key and the value it must have."""

    key: str
    values: tuple[Any, ...] = ()
    interval: tuple[float, float] | None = None
    is_log: bool = False  # the logarithm is uniform over the interval, not the value
    condition: tuple[str, Any] | None = None

    def draw(self, source: random.Random) -> float:
        """Return a value from the interval."""
        assert self.interval
        if not self.is_log:
            return source.uniform(*self.interval)
        low, high = self.interval
        return math.exp(source.uniform(math.log(low), math.log(high)))


def read_axis(text: str) -> Axis:
    """Return the axis that `text` describes; ConfigError says what cannot be read."""
    found = _AXIS.fullmatch(text)
    if not found:
        raise ConfigError(f"sweep.space: {text!r} is not key=VALUES [if key=value]")
    key, values, other, wanted = found.groups()
    for name in (key, other) if other else (key,):
        if name.partition(".")[0] not in SWEPT or "." not in name:
            raise ConfigError(
                f"sweep.space: {name!r} cannot be swept; the groups that can are {', '.join(SWEPT)}"
            )
    condition = (other, value_of(other, wanted)) if other else None
    call = _CALL.fullmatch(values)
    if not call:
        if not (values.startswith("[") and values.endswith("]")):
            raise ConfigError(
                f"sweep.space: {text!r}: values are [a,b,…], linear(low,high,n), log(low,high,n), uniform(low,high)"
                " or loguniform(low,high)"
            )
        listed = [each.strip() for each in values[1:-1].split(",")]
        return Axis(key, tuple(value_of(key, each) for each in listed), condition=condition)
    kind, numbers = call[1], _numbers(text, call[2], 2 if call[1] in RANDOM else 3)
    if "log" in kind and not 0 < numbers[0] <= numbers[1]:
        raise ConfigError(f"sweep.space: {text!r}: needs 0 < low <= high")
    low, high = numbers[:2]
    if kind in RANDOM:
        return Axis(key, interval=(low, high), is_log=kind == "loguniform", condition=condition)
    count = int(numbers[2])
    if count != numbers[2] or count < 1:
        raise ConfigError(f"sweep.space: {text!r}: the number of values must be 1 or more")
    shares = [place / max(1, count - 1) for place in range(count)]
    spread = [
        low * (high / low) ** share if kind == "log" else low + (high - low) * share
        for share in shares
    ]
    return Axis(key, tuple(rounded(value) for value in spread), condition=condition)


def expand(config: Config, axes: Sequence[Axis], draws: int) -> Iterator[Settings]:
    """Yield the settings of every point of `axes`, in their order; random axes are drawn `draws` times anew.

    An axis whose condition does not hold, with the unconditional axes and the conditional ones before it, adds nothing
    there, and points that come out the same are one. Draws depend on `config.seed` and the key alone.
    """
    seen = []
    random_axes = [axis for axis in axes if axis.interval]
    for number in range(draws if random_axes else 1):
        drawn = {
            axis.key: rounded(
                axis.draw(random.Random(derive_seed(config.seed, "space", axis.key, number)))
            )
            for axis in random_axes
        }
        choices = [(drawn[axis.key],) if axis.interval else axis.values for axis in axes]
        for point in itertools.product(*choices):
            settings = _settings(config, axes, point)
            if settings not in seen:
                seen.append(settings)
                yield settings


def rounded(value: float) -> float:
    """Return `value` to 12 digits: the last ones differ between machines, and a cell's name must not."""
    return float(f"{value:.12g}")


def _settings(config: Config, axes: Sequence[Axis], point: Sequence[Any]) -> Settings:
    given = dict(zip((axis.key for axis in axes), point, strict=True))
    return chosen(config, axes, lambda axis: given[axis.key])


def chosen(config: Config, axes: Sequence[Axis], choose: Callable[[Axis], Any]) -> Settings:
    """Return the settings with what `choose` says for every axis whose condition holds, the unconditional ones first."""
    settings: Settings = {axis.key: choose(axis) for axis in axes if axis.condition is None}
    for axis in axes:
        if axis.condition and _holds(config, settings, axis.condition):
            settings[axis.key] = choose(axis)
    return settings


def _holds(config: Config, settings: Mapping[str, Any], condition: tuple[str, Any]) -> bool:
    return bool(get(replace(config, settings), condition[0]) == condition[1])


def _numbers(text: str, inner: str, count: int) -> list[float]:
    try:
        numbers = [float(each) for each in inner.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ConfigError(f"sweep.space: {text!r}: needs {count} numbers in the brackets")
    return numbers
