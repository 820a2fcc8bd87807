"""Runs the candidates of a problem in a sandbox and makes the rows of its equivalence set."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raymode.config import SandboxConfig
from raymode.sandbox import Limits, Question, Sandbox, Status, Test, Verdict
from raymode.sets.cluster import signature
from raymode.sets.features import features
from raymode.sets.normalize import Rejection
from raymode.sets.records import Prepared, Row, rejected

NOT_JUDGED = "sandbox_error"
"""Why a program that got no verdict is set aside."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")  # differs from run to run
_MEASURED = (Status.TLE, Status.MLE)  # their messages tell seconds and megabytes


@dataclass(slots=True)
class Judged:
    """The rows of one problem, by table."""

    problems: list[Row] = field(default_factory=list)
    solutions: list[Row] = field(default_factory=list)
    executions: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)


class Judge(Protocol):
    """A sandbox, or what stands before one."""

    def judge_many(self, questions: Sequence[Question]) -> list[Verdict]: ...


def open_sandbox(config: SandboxConfig) -> Sandbox:
    """Return a sandbox as configured; SandboxError if this host cannot isolate so, or lacks a package."""
    return Sandbox(
        level=config.level or None,
        allow_unsafe=config.allow_unsafe,
        packages=config.packages,
        shared=config.shared,
        lanes=config.lanes,
    )


def tests_and_limits(problem: Mapping[str, Any]) -> tuple[list[Test], Limits]:
    """Return what a row of the `problems` table asks of a program."""
    tests = [Test(test["input"], test["output"]) for test in problem["tests"]]
    return tests, Limits(cpu_s=float(problem["cpu_s"]), memory_mb=int(problem["memory_mb"]))


def judge(prepared: Prepared, sandbox: Judge) -> Judged:
    """Return the rows of `prepared`, every candidate run on the tests until one fails.

    A candidate that the sandbox could not judge says nothing about the program: it is set aside.
    """
    judged = Judged(rejected=list(prepared.rejected))
    if prepared.problem is None:
        return judged
    judged.problems.append(prepared.problem)
    problem = prepared.problem
    tests, limits = tests_and_limits(problem)
    checker = problem["checker"]
    questions = [
        Question(candidate["code"], tests, limits, checker, name=candidate["solution_id"])
        for candidate in prepared.candidates
    ]
    verdicts = sandbox.judge_many(questions)
    for candidate, verdict in zip(prepared.candidates, verdicts, strict=True):
        if verdict.status is Status.SANDBOX_ERROR:
            why = Rejection(NOT_JUDGED, verdict.message)
            name = candidate["solution_id"]
            judged.rejected.append(rejected("solutions", name, problem["problem_id"], why))
            continue
        judged.solutions.append(_solution(candidate, verdict))
        judged.executions.append(_execution(candidate, verdict))
    return judged


def stable_message(verdict: Verdict) -> str:
    """Return a verdict's message without what differs from run to run.

    That is seconds, megabytes, memory addresses, and what a wrong program printed: it may print those.
    """
    if verdict.status in _MEASURED:
        return ""
    if verdict.status is Status.WA:
        return "wrong answer"
    return _ADDRESS.sub("0x…", verdict.message)


def _solution(candidate: Row, verdict: Verdict) -> Row:
    words = sorted(features(candidate["code"])) if verdict.accepted else []
    return {
        **candidate,
        "verdict": str(verdict.status),
        "failing_test": verdict.failing_test,
        "message": stable_message(verdict),
        "cluster_id": signature(words) if verdict.accepted else None,
        "features": words,
        "reward": float(verdict.accepted),
        "isolated": verdict.isolated,
    }


def _execution(candidate: Row, verdict: Verdict) -> Row:
    measured = ("cpu_s", "total_cpu_s", "wall_s", "max_rss_mb", "tests_run", "level")
    return {
        "solution_id": candidate["solution_id"],
        "problem_id": candidate["problem_id"],
        **{name: getattr(verdict, name) for name in measured},
    }
