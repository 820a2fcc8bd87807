"""Counts what is in finished sets, part by part: the numbers of their card, without the page.

Nothing here grows with the number of problems: values are counted in histograms, examples are the
few first of a seeded order.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raymode.seed import derive_seed
from raymode.sets.parts import RIGHT, WRONG
from raymode.sets.reading import part_names, part_rows, tests_per_problem
from raymode.sets.select import is_accepted
from raymode.store import Store

Row = Mapping[str, Any]

EXAMPLES = 3
READABLE_CHARACTERS = 3000
"""A problem with two programs is preferred as an example up to this length of the three together."""
NORMAL_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
BARS = 24
# Steps of a decade, from the finest; the coarsest that is needed to have at most BARS bins.
_STEPS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,))


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie in [low, high], both included."""

    low: int
    high: int
    count: int


@dataclass
class Histogram:
    """Whole numbers >= 0, counted with their first two digits: exact below 100, within 10 % above."""

    counts: Counter[int] = field(default_factory=Counter)
    n: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, value: int) -> None:
        """Count a value."""
        self.least = min(self.least, value) if self.n else value
        self.most = max(self.most, value)
        self.n += 1
        self.total += value
        self.counts[_two_digits(value)] += 1

    @property
    def mean(self) -> float | None:
        """The mean, exact; None without values."""
        return self.total / self.n if self.n else None

    def quantile(self, share: float) -> int | None:
        """Return the least value with at least `share` of all at or below it, to two digits; None without values."""
        seen = 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            if seen >= share * self.n:
                return max(value, self.least)
        return None

    def bins(self) -> list[Bin]:
        """Return at most about BARS bins without gaps: single numbers, or steps of decades if they spread wider."""
        if not self.n:
            return []
        if self.most - self.least < BARS and self.most < 100:
            return [
                Bin(value, value, self.counts[value]) for value in range(self.least, self.most + 1)
            ]
        edges = _edges(self.least, self.most)
        counts = [0] * (len(edges) - 1)
        place = 0
        for value, count in sorted(self.counts.items()):
            while value >= edges[place + 1]:
                place += 1
            counts[place] += count
        spans = zip(edges, edges[1:], counts, strict=False)
        return [Bin(low, following - 1, count) for low, following, count in spans]


class Interval(NamedTuple):
    """A share of `n` trials with its 95 % interval; all NaN if there are none."""

    share: float
    low: float
    high: float
    n: int


@dataclass
class SourceCount:
    """What one source gave. `wrong` programs are those it knows to be wrong, `passed` those of them the tests accept."""

    problems: int = 0
    programs: int = 0
    accepted: int = 0
    wrong: int = 0
    passed: int = 0

    @property
    def false_positives(self) -> Interval:
        """The share of known-wrong programs that pass."""
        return wilson(self.passed, self.wrong)


@dataclass(frozen=True)
class Example:
    """A problem and one accepted solution of each of two clusters."""

    problem_id: str
    source: str
    prompt: str
    solutions: tuple[tuple[str, str], tuple[str, str]]  # cluster_id, code


@dataclass
class Census:
    """The counts. Programs are different ones after normalisation; `accepted` of them are in the sets."""

    problems: int = 0
    programs: int = 0
    copies: int = 0
    accepted: int = 0
    clusters: int = 0
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)  # (table, reason)
    verdicts: dict[str, Counter[str]] = field(
        default_factory=lambda: {RIGHT: Counter(), WRONG: Counter()}
    )
    languages: Counter[str] = field(default_factory=Counter)  # of accepted programs
    split_problems: Counter[str] = field(default_factory=Counter)
    split_accepted: Counter[str] = field(default_factory=Counter)
    sources: dict[str, SourceCount] = field(default_factory=lambda: defaultdict(SourceCount))
    solutions_per_problem: Histogram = field(default_factory=Histogram)  # 0 included
    clusters_per_problem: Histogram = field(default_factory=Histogram)  # where there are any
    tests_per_problem: Histogram = field(default_factory=Histogram)
    prompt_characters: Histogram = field(default_factory=Histogram)
    prompt_lines: Histogram = field(default_factory=Histogram)
    program_characters: Histogram = field(default_factory=Histogram)  # of accepted programs
    program_lines: Histogram = field(default_factory=Histogram)
    examples: list[Example] = field(default_factory=list)

    def set_aside(self, table: str) -> int:
        """Return how many rows of `table` were set aside, for all reasons."""
        return sum(count for (name, _), count in self.rejected.items() if name == table)

    @property
    def problems_read(self) -> int:
        """Problems that the source gave."""
        return self.problems + self.set_aside("problems")

    @property
    def programs_read(self) -> int:
        """Programs that the source gave, equal ones counted each time."""
        return self.programs + self.copies + self.set_aside("solutions")


def take_census(store: Store) -> Census:
    """Return the counts over all parts of the finished sets in `store`; memory is bounded by one part."""
    census = Census()
    for part in part_names(store):
        _count_part(census, store, part)
    return census


def wilson(successes: int, n: int) -> Interval:
    """Return the share with its 95 % score interval (Wilson 1927), which is sensible at 0 and at n as well."""
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0)
    share, z2 = successes / n, NORMAL_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At 0 and n the ends are exactly 0 and 1; rounding would leave 1e-17 of them.
    low = centre - half if successes else 0.0
    high = centre + half if successes < n else 1.0
    return Interval(share, low, high, n)


@dataclass(slots=True)
class _ProblemCount:
    """The accepted solutions of one problem."""

    accepted: int = 0
    # Cluster -> its size and its shortest program (by length, then id).
    clusters: dict[str, tuple[int, tuple[int, str, str]]] = field(default_factory=dict)


def _count_part(census: Census, store: Store, part: str) -> None:
    problems: dict[str, Row] = {}
    for row in part_rows(store, "problems", part, ("problem_id", "prompt", "source", "split")):
        problems[row["problem_id"]] = row
        census.problems += 1
        census.split_problems[row["split"]] += 1
        census.sources[row["source"]].problems += 1
        census.prompt_characters.add(len(row["prompt"]))
        census.prompt_lines.add(_lines(row["prompt"]))
    for tests in tests_per_problem(store, part):
        census.tests_per_problem.add(tests)
    columns = ("problem_id", "solution_id", "code", "language", "claimed", "copies", "verdict")
    counts = {name: _ProblemCount() for name in problems}
    for row in part_rows(store, "solutions", part, (*columns, "cluster_id")):
        name = row["problem_id"]
        _count_program(census, problems[name], row)
        if is_accepted(row):
            _count_accepted(census, counts[name], problems[name], row)
    for row in part_rows(store, "rejected", part, ("table", "reason")):
        census.rejected[row["table"], row["reason"]] += 1
    for count in counts.values():
        census.solutions_per_problem.add(count.accepted)
        if count.clusters:
            census.clusters += len(count.clusters)
            census.clusters_per_problem.add(len(count.clusters))
    _keep_examples(census, problems, counts)


def _count_program(census: Census, problem: Row, row: Row) -> None:
    source = census.sources[problem["source"]]
    census.programs += 1
    census.copies += row["copies"] - 1
    source.programs += 1
    census.verdicts[RIGHT if row["claimed"] else WRONG][row["verdict"]] += 1
    if not row["claimed"]:
        source.wrong += 1
        source.passed += row["verdict"] == "AC"


def _count_accepted(census: Census, count: _ProblemCount, problem: Row, row: Row) -> None:
    code = row["code"]
    census.accepted += 1
    census.sources[problem["source"]].accepted += 1
    census.split_accepted[problem["split"]] += 1
    census.languages[row["language"]] += 1
    census.program_characters.add(len(code))
    census.program_lines.add(_lines(code))
    count.accepted += 1
    if row["cluster_id"] is not None:
        shortest = (len(code), row["solution_id"], code)
        size, known = count.clusters.get(row["cluster_id"], (0, shortest))
        count.clusters[row["cluster_id"]] = (size + 1, min(known, shortest))


def _keep_examples(
    census: Census, problems: Mapping[str, Row], counts: Mapping[str, _ProblemCount]
) -> None:
    """Keep the EXAMPLES first of all problems with two clusters: readable ones first, then in seeded order."""
    found = census.examples
    for name, count in counts.items():
        if len(count.clusters) > 1:
            found.append(_example(problems[name], count))
    census.examples = heapq.nsmallest(EXAMPLES, found, key=_example_order)


def _example(problem: Row, count: _ProblemCount) -> Example:
    """Return the shortest programs of the two largest clusters."""
    sizes = sorted(count.clusters, key=lambda name: (-count.clusters[name][0], name))
    first, second = ((name, count.clusters[name][1][2]) for name in sizes[:2])
    return Example(problem["problem_id"], problem["source"], problem["prompt"], (first, second))


def _example_order(example: Example) -> tuple[bool, int, str]:
    length = len(example.prompt) + sum(len(code) for _, code in example.solutions)
    name = example.problem_id
    return length > READABLE_CHARACTERS, derive_seed(0, "example", name), name


def _two_digits(value: int) -> int:
    unit = int(10 ** max(0, len(str(value)) - 2))
    return value // unit * unit


def _lines(text: str) -> int:
    """Return the lines of a text; a line break at its end starts no further one."""
    return text.count("\n") + (not text.endswith("\n")) if text else 0


def _edges(least: int, most: int) -> list[int]:
    """Return rising edges, the first at most `least` and the last above `most`, in the finest steps that are few enough."""
    decades = range(len(str(most)) + 1)
    for steps in _STEPS:
        rising = sorted({0} | {int(step * 10**decade) for decade in decades for step in steps})
        first = max(place for place, edge in enumerate(rising) if edge <= least)
        last = min(place for place, edge in enumerate(rising) if edge > most)
        if last - first <= BARS:
            break
    return rising[first : last + 1]
