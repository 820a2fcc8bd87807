"""What a program may use, and what it is tested on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

MIN_WALL_S = 10.0
WALL_PER_CPU = 20.0
MOST: Mapping[str, float] = {
    "cpu_s": 3600, "wall_s": 86400, "memory_mb": 1 << 20, "output_mb": 1 << 10, "threads": 1 << 15,
}  # fmt: skip
"""The highest limits: beyond an hour and a terabyte somebody has mixed up units."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one test; every test starts with fresh ones. Raises ValueError on impossible values."""

    cpu_s: float = 2.0
    """CPU seconds (user + system, all threads); decides TLE."""
    wall_s: float | None = None
    """Seconds on the clock, a backstop against sleeping; None means 20 × cpu_s, at least 10."""
    memory_mb: int = 512
    """Peak resident memory in MiB; decides MLE."""
    output_mb: int = 16
    """Size in MiB of standard output, and of standard error; decides OLE."""
    threads: int = 16
    """Threads beside the main one; starting more fails inside the program."""

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            value = getattr(self, name)
            if value is None and name == "wall_s":
                continue
            if name not in ("cpu_s", "wall_s") and not isinstance(value, int):
                raise ValueError(f"limits.{name}: {value!r} is not a whole number")
            if not (0 < value <= most or (name == "threads" and value == 0)):  # nor a NaN
                least = "from 0" if name == "threads" else "above 0"
                raise ValueError(f"limits.{name}: {value!r} must be {least} and at most {most}")

    @property
    def effective_wall_s(self) -> float:
        """The wall limit with None resolved, in seconds."""
        if self.wall_s is not None:
            return self.wall_s
        return max(MIN_WALL_S, WALL_PER_CPU * self.cpu_s)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Test:
    """What a program reads from standard input, and what it should print."""

    __test__: ClassVar[bool] = False  # keeps pytest from collecting this class

    input: str
    output: str
