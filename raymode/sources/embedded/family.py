"""What one family of embedded programming problems is made of.

A family is a problem with small parameters: its statement and its programs are string.Template
texts in which every setting of the parameters is filled in, so one family gives dozens of problems.
The programs are grouped by what a judge should say about them; the right ones differ as algorithms.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Template

Setting = Mapping[str, int | str]


@dataclass(frozen=True)
class Family:
    """One family of problems; every text is a string.Template with $parameters.

    name: snake_case and unique. topic: "number theory", "strings", "sorting", "searching",
    "dynamic programming", "graphs", "simulation", "parsing" or the like.
    statement: says what is read and what to print, at most 90 characters once filled in.
    parameters: at least 24 settings, each with answers of its own; 60 or more where the statement
    stays natural, since a small model needs about so many to see what the parameters do.
    make_input: (rng, setting, index) -> stdin text; small and edge cases come first.
    answer: (stdin text, setting) -> stdout text, the trusted reference.
    right: strategy -> program, at least 6 that differ as algorithms.
    wrong: mistake -> program that fails at least one of the first ten distinct inputs.
    slow: idea -> program that needs more than 5 s of CPU whatever the input.
    crash: mistake -> program that raises on every input or on most.
    """

    name: str
    topic: str
    statement: str
    parameters: tuple[dict[str, int | str], ...]
    make_input: Callable[[random.Random, Setting, int], str]
    answer: Callable[[str, Setting], str]
    right: dict[str, str]
    wrong: dict[str, str]
    slow: dict[str, str]
    crash: dict[str, str]


def fill(template: str, setting: Setting) -> str:
    """Return `template` with every $parameter replaced; KeyError if the setting lacks one."""
    return Template(template).substitute({key: str(value) for key, value in setting.items()})


def grid(**values: Iterable[int | str]) -> tuple[dict[str, int | str], ...]:
    """Return every combination of the parameters' values, the last parameter changing fastest."""
    return tuple(dict(zip(values, row, strict=True)) for row in itertools.product(*values.values()))


def edge_or_random(rng: random.Random, index: int, edges: Sequence[int], high: int) -> int:
    """Return `edges[index]` while there is one, then a random integer in [1, high]."""
    return edges[index] if index < len(edges) else rng.randint(1, high)
