"""Problems, tests and programs of the embedded families, all derived from one seed.

Every choice about a problem depends on the seed and on the problem's own id, so a problem is the
same whatever else is asked for and in whatever order.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TypedDict

from raymode.errors import ConfigError, DataError
from raymode.seed import derive_seed

from . import families_a, families_b, families_c, families_d, families_e, families_f, families_g
from .family import Family, Setting, fill
from .rename import renamed

FAMILIES: tuple[Family, ...] = (
    families_a.FAMILIES
    + families_b.FAMILIES
    + families_c.FAMILIES
    + families_d.FAMILIES
    + families_e.FAMILIES
    + families_f.FAMILIES
    + families_g.FAMILIES
)
# a small model trained on fewer settings of a family learns them by heart
RICH_SETTINGS = 60
CPU_S = 0.5
MEMORY_MB = 256


class TestRow(TypedDict):
    input: str
    output: str


class ProblemRow(TypedDict):
    """One problem; `split` is "train", "heldout_parameters" or "heldout_families"."""

    problem_id: str
    prompt: str
    tests: list[TestRow]
    checker: str
    cpu_s: float
    memory_mb: int
    source: str
    family: str
    topic: str
    split: str


class SolutionRow(TypedDict):
    """One program; `label` is a strategy or "renamed:", "wrong:", "slow:", "crash:" and a name."""

    problem_id: str
    code: str
    language: str
    label: str
    claimed: bool


def generate(
    seed: int,
    *,
    families: int | None = None,
    problems_per_family: int = 25,
    tests_per_problem: int = 12,
    slow_every: int = 12,
    heldout_families: int = 4,
    heldout_fraction: float = 0.2,
) -> Iterator[tuple[ProblemRow, list[SolutionRow]]]:
    """Yield every problem with its solutions, family by family.

    families: how many of `ordered_families()` to use; None or 0 is all.
    problems_per_family: a family with more settings gives so many of them, drawn by the seed from
    its whole range; one with fewer gives all it has.
    slow_every: about one problem in so many gets its slow programs, each of which costs the judge
    the whole time limit; 0 is none.
    heldout_families: so many whole families get the split "heldout_families".
    heldout_fraction: this share of every other family's problems, at least one if above 0, gets the
    split "heldout_parameters"; the rest is "train".
    Raises ConfigError, before the first problem, if the numbers do not fit together.
    """
    chosen = ordered_families()[: families or None]
    _check_arguments(families, problems_per_family, tests_per_problem, slow_every)
    _check_heldout(heldout_families, heldout_fraction, len(chosen))
    return _problems(
        seed,
        chosen,
        problems_per_family,
        tests_per_problem,
        slow_every,
        heldout_family_names(seed, chosen, heldout_families),
        heldout_fraction,
    )


def ordered_families() -> list[Family]:
    """Return all families, those with RICH_SETTINGS settings or more before the rest.

    In both parts the topics take turns, the family with the shortest programs of each topic first.
    So the first n families have many settings, are of as many topics as can be, and are the easier
    families of each topic.
    """
    rich = [family for family in FAMILIES if len(family.parameters) >= RICH_SETTINGS]
    rest = [family for family in FAMILIES if len(family.parameters) < RICH_SETTINGS]
    return _topics_in_turn(rich) + _topics_in_turn(rest)


def heldout_family_names(seed: int, families: Sequence[Family], count: int) -> set[str]:
    """Return `count` names drawn by the seed; every topic keeps a family in training if it can."""
    ranked = sorted(families, key=lambda family: derive_seed(seed, "heldout family", family.name))
    left: dict[str, int] = defaultdict(int)
    for family in families:
        left[family.topic] += 1
    spare: list[str] = []
    last: list[str] = []
    for family in ranked:
        left[family.topic] -= 1
        (spare if left[family.topic] else last).append(family.name)
    return set((spare + last)[:count])


def problem_id(family: Family, setting: Setting) -> str:
    """Return "family/k=7", or "family/a=2,b=5"."""
    return f"{family.name}/" + ",".join(f"{key}={value}" for key, value in setting.items())


def _problems(
    seed: int,
    families: Sequence[Family],
    problems_per_family: int,
    tests_per_problem: int,
    slow_every: int,
    heldout_names: set[str],
    heldout_fraction: float,
) -> Iterator[tuple[ProblemRow, list[SolutionRow]]]:
    for family in families:
        settings = _draw(seed, "setting", family, family.parameters, problems_per_family)
        count = max(1, round(heldout_fraction * len(settings))) if heldout_fraction else 0
        heldout = _draw(seed, "heldout setting", family, settings, count)
        for setting in settings:
            split = "heldout_parameters" if setting in heldout else "train"
            if family.name in heldout_names:
                split = "heldout_families"
            name = problem_id(family, setting)
            slow = slow_every > 0 and derive_seed(seed, "slow", name) % slow_every == 0
            tests = _tests(seed, family, setting, tests_per_problem)
            yield _problem(family, setting, tests, split), _solutions(seed, family, setting, slow)


def _topics_in_turn(families: Sequence[Family]) -> list[Family]:
    by_topic: dict[str, list[Family]] = defaultdict(list)
    for family in sorted(families, key=lambda family: (_mean_length(family), family.name)):
        by_topic[family.topic].append(family)
    rounds = zip_longest(*by_topic.values())
    return [family for members in rounds for family in members if family is not None]


def _mean_length(family: Family) -> float:
    return sum(map(len, family.right.values())) / len(family.right)


def _draw(
    seed: int, purpose: str, family: Family, settings: Sequence[dict[str, int | str]], count: int
) -> list[dict[str, int | str]]:
    """Return `count` of the settings in their own order; a larger count adds to a smaller one's."""
    ranked = sorted(
        settings, key=lambda setting: derive_seed(seed, purpose, problem_id(family, setting))
    )
    drawn = ranked[:count]
    return [setting for setting in settings if setting in drawn]


def _tests(seed: int, family: Family, setting: Setting, count: int) -> list[TestRow]:
    """Return `count` tests with different inputs; each input has a seed of its own."""
    name = problem_id(family, setting)
    tests: dict[str, TestRow] = {}
    for index in range(20 * count):
        rng = random.Random(derive_seed(seed, "test", name, index))
        text = family.make_input(rng, setting, index)
        tests.setdefault(text, {"input": text, "output": family.answer(text, setting)})
        if len(tests) == count:
            return list(tests.values())
    raise DataError(
        f"{name}: only {len(tests)} different inputs where {count} tests are asked for; "
        "lower tests_per_problem"
    )


def _problem(family: Family, setting: Setting, tests: list[TestRow], split: str) -> ProblemRow:
    return {
        "problem_id": problem_id(family, setting),
        "prompt": fill(family.statement, setting),
        "tests": tests,
        "checker": "tokens",
        "cpu_s": CPU_S,
        "memory_mb": MEMORY_MB,
        "source": "embedded",
        "family": family.name,
        "topic": family.topic,
        "split": split,
    }


def _solutions(seed: int, family: Family, setting: Setting, slow: bool) -> list[SolutionRow]:
    """Return the right programs, one or two renamed, the wrong ones, maybe the slow, one crash."""
    name = problem_id(family, setting)
    rng = random.Random(derive_seed(seed, "solutions", name))
    right = {strategy: fill(code, setting) for strategy, code in family.right.items()}
    copied = rng.sample(sorted(right), rng.randint(1, 2))
    crash = rng.choice(sorted(family.crash))
    claimed = right | {f"renamed:{key}": renamed(right[key], rng) for key in copied}
    failing = {f"wrong:{key}": code for key, code in family.wrong.items()}
    if slow:
        failing |= {f"slow:{key}": code for key, code in family.slow.items()}
    failing[f"crash:{crash}"] = family.crash[crash]
    return [_solution(name, code, label, True) for label, code in claimed.items()] + [
        _solution(name, fill(code, setting), label, False) for label, code in failing.items()
    ]


def _solution(name: str, code: str, label: str, claimed: bool) -> SolutionRow:
    return {
        "problem_id": name,
        "code": code,
        "language": "python",
        "label": label,
        "claimed": claimed,
    }


def _check_arguments(
    families: int | None, problems_per_family: int, tests_per_problem: int, slow_every: int
) -> None:
    if families is not None and not 0 <= families <= len(FAMILIES):
        raise ConfigError(f"families={families}: give 1 to {len(FAMILIES)}, or 0 for all")
    for key, value, least in (
        ("problems_per_family", problems_per_family, 1),
        ("tests_per_problem", tests_per_problem, 1),
        ("slow_every", slow_every, 0),
    ):
        if value < least:
            raise ConfigError(f"{key}={value} is too small; give {least} or more")


def _check_heldout(heldout_families: int, heldout_fraction: float, families: int) -> None:
    if not 0 <= heldout_families < families:
        raise ConfigError(
            f"heldout_families={heldout_families} leaves nothing to train on or is negative; "
            f"with {families} families give 0 to {families - 1}"
        )
    if not 0 <= heldout_fraction < 1:
        raise ConfigError(f"heldout_fraction={heldout_fraction}: give at least 0 and less than 1")
