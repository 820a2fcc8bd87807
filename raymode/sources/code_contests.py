"""Rows in the schema of deepmind/code_contests: one row per problem, its tests and programs nested in it.

Only programs in Python 3 are raymode's; the others are handed over under their language's name, to be set aside.
So are those labelled Python 2, even where Python 3 can parse them: that they are right is claimed for another
language (`/`, `input()` and `map` differ), so running them would blur two rates that must mean something, the
share of known-right programs that pass and the share of known-wrong ones that do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from raymode.sources.files import slices
from raymode.sources.slices import (
    SET_ASIDE,
    BadRow,
    Row,
    Slice,
    choose_split,
    first_rows,
    set_aside,
)

REQUIRED = ("name", "description", "public_tests", "solutions")
COLUMNS = (
    *REQUIRED, "private_tests", "generated_tests", "incorrect_solutions", "source", "cf_tags", "time_limit",
    "memory_limit_bytes", "input_file", "output_file", "split",
)  # fmt: skip
TESTS = ("public_tests", "private_tests", "generated_tests")  # the order in which tests are run
LANGUAGES = ("unknown", "python2", "cpp", "python", "java")
"""The language enum; "python" is Python 3."""
SITES = ("unknown", "codechef", "codeforces", "hackerearth", "codejam", "atcoder", "aizu")
"""The source enum."""
_LANGUAGE_NAMES = {
    "UNKNOWN_LANGUAGE": "unknown", "PYTHON": "python2", "CPP": "cpp", "PYTHON3": "python", "JAVA": "java",
}  # fmt: skip
FILE_IO = "file_io"
"""Why a problem is set aside whose programs read or write files."""


@dataclass(frozen=True, slots=True)
class CodeContestsSource:
    """CodeContests, or data in its schema.

    path, split: see `files.slices`. seed, heldout_fraction: problems of which neither the row (column `split`)
    nor the file or data set says a split are held out at this share. limit: problems read, 0 = all. cpu_s (seconds)
    and memory_mb (MiB): limits of one test where the row has none. max_tests: tests kept per problem, 0 = all.
    """

    path: str
    seed: int
    split: str = ""
    heldout_fraction: float = 0.1
    limit: int = 0
    cpu_s: float = 2.0
    memory_mb: int = 256
    max_tests: int = 0

    def partitions(self) -> list["CodeContestsPartition"]:
        """Return one part per slice; DataError if a file lacks one of the columns REQUIRED."""
        parts = slices(self.path, self.split)
        for part in parts:
            part.require(REQUIRED)
        return [CodeContestsPartition(part, self) for part in first_rows(parts, self.limit)]


@dataclass(frozen=True, slots=True)
class CodeContestsPartition:
    """The problems of one slice."""

    part: Slice
    settings: CodeContestsSource

    @property
    def name(self) -> str:
        """What to call the part in messages."""
        return self.part.name

    @property
    def programs(self) -> int:
        """About how many programs the slice holds."""
        return self.part.values(("solutions", "incorrect_solutions"))

    def read(self) -> Iterator[tuple[Row, list[Row]]]:
        """Yield every problem with its programs, the incorrect ones last."""
        for row in self.part.rows(COLUMNS):
            if isinstance(row, BadRow):
                yield set_aside(None, row), []
                continue
            problem = _problem(row, self.part.split, self.settings)
            right = _solutions(problem, row.get("solutions"), True)
            wrong = _solutions(problem, row.get("incorrect_solutions"), False)
            yield problem, right + wrong


def _problem(row: Row, split: str, settings: CodeContestsSource) -> Row:
    name, tags = row.get("name"), row.get("cf_tags")
    problem = {
        "problem_id": name,
        "prompt": row.get("description"),
        "tests": _tests(row, settings.max_tests),
        "checker": "tokens",
        "cpu_s": _seconds(row.get("time_limit"), settings.cpu_s),
        "memory_mb": _mebibytes(row.get("memory_limit_bytes"), settings.memory_mb),
        "source": f"code_contests/{_word(row.get('source'), SITES)}",
        "family": None,
        "topic": ", ".join(map(str, tags)) if isinstance(tags, list) and tags else None,
        "split": choose_split(
            (row.get("split"), split), str(name), settings.seed, settings.heldout_fraction
        ),
    }
    files = [str(row[key]) for key in ("input_file", "output_file") if row.get(key)]
    if files:
        detail = f"programs use {' and '.join(files)}, not standard input and output"
        problem[SET_ASIDE] = {"reason": FILE_IO, "detail": detail}
    return problem


def _tests(row: Row, most: int) -> Any:
    """Return the different tests, at most `most` unless it is 0; a cell that holds no tests as it is."""
    tests: list[Row] = []
    seen: set[tuple[str, str]] = set()
    for column in TESTS:
        cell = row.get(column)
        pairs = _pairs(cell, "input", "output")
        if pairs is None:
            return cell
        for given, expected in pairs:
            if isinstance(given, str) and isinstance(expected, str):
                if (given, expected) in seen:
                    continue
                seen.add((given, expected))
            tests.append({"input": given, "output": expected})
    return tests[:most] if most else tests


def _solutions(problem: Row, cell: Any, claimed: bool) -> list[Row]:
    """Return the programs of a cell; one that is none of the known shapes marks the problem as unusable."""
    pairs = _pairs(cell, "language", "solution")
    if pairs is None:
        detail = f"programs: expected language and solution, found {ascii(cell)[:80]}"
        problem.setdefault(SET_ASIDE, {"reason": "wrong_type", "detail": detail})
        return []
    return [
        {
            "problem_id": problem["problem_id"],
            "code": code,
            "language": _word(language, LANGUAGES),
            "label": None,
            "claimed": claimed,
        }
        for language, code in pairs
    ]


def _pairs(cell: Any, first: str, second: str) -> list[tuple[Any, Any]] | None:
    """Return the pairs of a struct of two lists or of a list of structs; None if it is neither."""
    if cell is None:
        return []
    if isinstance(cell, dict):
        lists = [cell.get(first) or [], cell.get(second) or []]
        if not all(isinstance(items, list) for items in lists):
            return None
        return list(zip_longest(*lists))
    if isinstance(cell, list) and all(isinstance(item, dict) for item in cell):
        return [(item.get(first), item.get(second)) for item in cell]
    return None


def _word(value: Any, words: tuple[str, ...]) -> str:
    """Return the name of an enum's value, which is a number or already a name."""
    if isinstance(value, int) and 0 <= value < len(words):
        return words[value]
    if isinstance(value, str) and value:
        return _LANGUAGE_NAMES.get(value, value.lower())
    return words[0]


def _seconds(limit: Any, default: float) -> Any:
    """Return a time limit in seconds: seconds and nanos, or a number; `default` if there is none."""
    if isinstance(limit, dict):
        seconds, nanos = limit.get("seconds") or 0, limit.get("nanos") or 0
        if not isinstance(seconds, int | float) or not isinstance(nanos, int | float):
            return limit  # not a number of seconds, which the check of the row will say
        limit = seconds + nanos / 1e9
    return limit or default


def _mebibytes(limit: Any, default: int) -> Any:
    """Return a memory limit in MiB, at least 1; `default` if there is none."""
    if not limit:
        return default
    return max(1, limit >> 20) if isinstance(limit, int) and limit > 0 else limit
