"""What a source is, the embedded one, and how a configuration names one."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from raymode.config import SOURCES, Config, EmbeddedConfig
from raymode.errors import ConfigError

Rows = tuple[dict[str, Any], list[dict[str, Any]]]
"""One problem and its solutions."""


class Partition(Protocol):
    """A part of a source that one task reads; it can be pickled and read again with the same result."""

    @property
    def name(self) -> str:
        """What to call the part in messages; unique in its source."""

    @property
    def programs(self) -> int:
        """About how many solutions it holds; for progress lines only."""

    def read(self) -> Iterator[Rows]:
        """Yield every problem with its solutions; problem ids are unique over the whole source."""


class Source(Protocol):
    """Problems with solutions, in parts that can be read independently."""

    def partitions(self) -> Sequence[Partition]:
        """Return the parts, the same ones in the same order every time."""


def make_source(config: Config) -> Source:
    """Return the source that `config.source` names; ConfigError if there is none of that name."""
    makers = {
        "embedded": _embedded,
        "code_contests": _code_contests,
        "references": _references,
        "tables": _tables,
    }
    if config.source not in makers:
        raise ConfigError(
            f"source={config.source!r}: must be one of {', '.join(map(repr, SOURCES))}"
        )
    return makers[config.source](config)


def _embedded(config: Config) -> Source:
    return EmbeddedSource(config.seed, config.embedded, config.sets.problems_per_part)


def _code_contests(config: Config) -> Source:
    from raymode.sources.code_contests import CodeContestsSource

    read, own = config.read, config.code_contests
    return CodeContestsSource(
        config.path, config.seed, read.split, read.heldout_fraction, read.limit,
        cpu_s=own.cpu_s, memory_mb=own.memory_mb, max_tests=own.max_tests,
    )  # fmt: skip


def _references(config: Config) -> Source:
    from raymode.sources.references import ReferencesSource

    read, own = config.read, config.references
    return ReferencesSource(
        config.path, config.seed, read.split, read.heldout_fraction, read.limit,
        prompt=own.prompt, response=own.response, label=own.label, id=own.id,
    )  # fmt: skip


def _tables(config: Config) -> Source:
    from raymode.sources.tables import TablesSource

    return TablesSource(config.path, config.read.limit)


@dataclass(frozen=True)
class EmbeddedSource:
    """The generator of small problems that raymode brings along."""

    seed: int
    settings: EmbeddedConfig
    problems_per_part: int

    def partitions(self) -> list[Partition]:
        """Return slices of `problems_per_part` problems."""
        problems = _generated(self.seed, self.settings)
        step = self.problems_per_part
        return [
            EmbeddedPartition(
                self.seed,
                self.settings,
                start,
                min(start + step, len(problems)),
                sum(len(solutions) for _, solutions in problems[start : start + step]),
            )
            for start in range(0, len(problems), step)
        ]


@dataclass(frozen=True)
class EmbeddedPartition:
    """The generated problems number `start` to `stop` (exclusive)."""

    seed: int
    settings: EmbeddedConfig
    start: int
    stop: int
    programs: int

    @property
    def name(self) -> str:
        """What to call the part in messages."""
        return f"embedded[{self.start}:{self.stop}]"

    def read(self) -> Iterator[Rows]:
        """Yield the problems of the slice."""
        yield from _generated(self.seed, self.settings)[self.start : self.stop]


@functools.lru_cache(maxsize=1)  # all is generated in less than a second, so once per process
def _generated(seed: int, settings: EmbeddedConfig) -> list[Rows]:
    from raymode.sources.embedded import generate

    rows = generate(
        seed,
        families=settings.families,
        problems_per_family=settings.problems_per_family,
        tests_per_problem=settings.tests_per_problem,
        slow_every=settings.slow_every,
        heldout_families=settings.heldout_families,
        heldout_fraction=settings.heldout_fraction,
    )
    return [
        (dict(problem), [dict(solution) for solution in solutions]) for problem, solutions in rows
    ]
