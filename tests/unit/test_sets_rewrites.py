"""Rewrites that keep what a program does keep its features, its signature, its tree and its cluster.

Every rewritten program is run, too: it must print what the first one printed. The programs are the
embedded source's, run in this process, and, if RAYMODE_SHARED names a folder with data/ inside,
people's programs for LeetCode problems, run in the sandbox.
"""

import contextlib
import functools
import io
import itertools
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program_rewrites import REWRITES, SURFACE, Rewrite, wrap

from raymode.sandbox import Limits, Question, Sandbox, Test
from raymode.sets.cluster import cluster_agglomerative, cluster_signature
from raymode.sets.features import features
from raymode.sets.normalize import normalize
from raymode.sets.program_tree import program_tree
from raymode.sets.tree_distance import cluster_tree_edit
from raymode.sources.embedded import generate
from raymode.sources.embedded.rename import renamed

LEETCODE = "data/code/leetcode_public.parquet"
ALL = {**REWRITES, "rename": renamed}
PROGRAMS = 6  # of each embedded problem
PEOPLE = 3  # of each LeetCode problem


@dataclass(frozen=True)
class Problem:
    """Right programs of one problem, and an input for them."""

    programs: tuple[str, ...]
    stdin: str


def _embedded() -> list[Problem]:
    found = []
    for problem, solutions in itertools.islice(generate(seed=1, problems_per_family=1), 32):
        programs = tuple(row["code"] for row in solutions if row["claimed"])[:PROGRAMS]
        found.append(Problem(programs, problem["tests"][0]["input"]))
    return found


EMBEDDED = _embedded()


@functools.cache
def printed(code: str, stdin: str) -> str:
    """Return what a trusted program prints, run in this process."""
    out, given = io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            exec(compile(code, "program", "exec"), {"__name__": "__main__"})
    finally:
        sys.stdin = given
    return out.getvalue()


@functools.cache
def algorithm(code: str) -> frozenset[str]:
    """Return the words of a program that do not tell of reading and printing."""
    return frozenset(word for word in features(code) if not word.startswith("io:"))


def assert_same(code: str, other: str) -> None:
    story = f"{code}\n--- became\n{other}"
    assert algorithm(other) == algorithm(code), story
    assert program_tree(other) == program_tree(code), story


def assert_prints_the_same(code: str, other: str, problem: Problem) -> None:
    assert printed(other, problem.stdin) == printed(code, problem.stdin), other


@pytest.mark.parametrize("name", ALL)
def test_a_rewrite_keeps_features_and_tree_and_what_is_printed(name: str) -> None:
    rng = random.Random(name)
    changed = 0
    for problem in EMBEDDED:
        for code in problem.programs:
            other = ALL[name](code, rng)
            changed += other != code
            assert_prints_the_same(code, other, problem)
            assert_same(code, other)
            if name in SURFACE:
                assert normalize(other) == normalize(code), f"{code}\n--- became\n{other}"
    assert changed > 20


def test_wrapping_into_a_function_keeps_the_features() -> None:
    rng = random.Random(0)
    for problem in EMBEDDED:
        for code in problem.programs:
            other = wrap(code, rng)
            assert_prints_the_same(code, other, problem)
            assert algorithm(other) == algorithm(code), other


def _several(code: str, rng: random.Random, rewrites: dict[str, Rewrite]) -> str:
    for name in rng.sample(sorted(rewrites), 5):
        code = rewrites[name](code, rng)
    return code


@pytest.mark.parametrize("seed", range(3))
def test_rewrites_after_one_another_keep_the_clusters(seed: int) -> None:
    rng = random.Random(seed)
    for problem in EMBEDDED[seed::3]:
        others = [_several(code, rng, REWRITES) for code in problem.programs]
        for code, other in zip(problem.programs, others, strict=True):
            assert_prints_the_same(code, other, problem)
            assert_same(code, other)
        words = [[features(code) for code in codes] for codes in (problem.programs, others)]
        assert cluster_signature(words[0]) == cluster_signature(words[1])
        assert cluster_agglomerative(words[0]) == cluster_agglomerative(words[1])
        assert cluster_tree_edit(problem.programs) == cluster_tree_edit(others)


def _shared_problems() -> Iterator[dict[str, Any]]:
    folder = os.environ.get("RAYMODE_SHARED")
    if not folder or not Path(folder, LEETCODE).exists():
        pytest.skip(f"RAYMODE_SHARED names no folder with {LEETCODE} inside")
    parquet = pytest.importorskip("pyarrow.parquet")
    yield from parquet.read_table(Path(folder, LEETCODE)).to_pylist()


def test_rewrites_of_peoples_programs() -> None:
    """Sixty programs rewritten in several ways at once; the sandbox says they stay right."""
    rng = random.Random(5)
    rows = [row for row in _shared_problems() if len(row["solutions"]["solution"]) >= PEOPLE]
    questions = []
    for row in rng.sample(rows, 20):
        codes = row["solutions"]["solution"][:PEOPLE]
        others = [_several(code, rng, REWRITES) for code in codes]
        for code, other in zip(codes, others, strict=True):
            assert_same(code, other)
        words = [[features(code) for code in group] for group in (codes, others)]
        assert cluster_signature(words[0]) == cluster_signature(words[1])
        assert cluster_agglomerative(words[0]) == cluster_agglomerative(words[1])
        assert cluster_tree_edit(codes) == cluster_tree_edit(others)
        given = row["public_tests"]
        pairs = zip(given["input"], given["output"], strict=True)
        tests = [Test(*pair) for pair in itertools.islice(pairs, 1)]
        limits = Limits(cpu_s=8.0, memory_mb=1024)
        questions += [Question(code, tests, limits) for code in [*codes, *others]]
    with Sandbox(allow_unsafe=True) as sandbox:
        verdicts = sandbox.judge_many(questions)
    right = [verdict.accepted for verdict in verdicts]
    for start in range(0, len(right), 2 * PEOPLE):
        for i in range(start, start + PEOPLE):
            assert right[i] == right[i + PEOPLE], questions[i + PEOPLE].program
    assert sum(right) > 0.8 * len(right)
