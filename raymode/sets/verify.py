"""Runs the candidates of a problem in a sandbox and makes the rows of its equivalence set."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raymode.config import SandboxConfig
from raymode.sandbox import Limits, Question, Sandbox, Status, Test, Verdict
from raymode.sandbox.verdict import QUARANTINED, UNSAFE
from raymode.sets.cluster import signature
from raymode.sets.features import features
from raymode.sets.normalize import Rejection
from raymode.sets.records import NO_CHECKER, Prepared, Row, rejected
from raymode.sets.select import REFERENCE
from raymode.sets.text import text_features
from raymode.sets.text_clusters import cluster_embeddings, cluster_texts

NOT_JUDGED = "sandbox_error"
"""Why a program that got no verdict is set aside."""
VARIES = "nondeterministic"
"""Why a program that got two verdicts is."""
UNRELIABLE = "unreliable_tests"
"""Why a problem is whose tests refuse what its source claims to be right."""
_VARYING = re.compile(
    r"\b(?:perf_counter|monotonic|process_time|time_ns|urandom|SystemRandom|uuid[14]|secrets)\b"
    r"|\b(?:time|clock|now|utcnow|today)\(\)|\bid\("
)
UNJUDGED = "the sandbox failed twice; the log says how"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}|\b[0-9]{12,}\b")  # differs from run to run
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


def pinned(config: SandboxConfig) -> SandboxConfig:
    """Return `config` with the level that this host gives, for all actors to judge alike; SandboxError if it has none."""
    with open_sandbox(config) as sandbox:
        return (
            config if sandbox.level == UNSAFE else dataclasses.replace(config, level=sandbox.level)
        )


def tests_and_limits(problem: Mapping[str, Any]) -> tuple[list[Test], Limits]:
    """Return what a row of the `problems` table asks of a program."""
    tests = [Test(test["input"], test["output"]) for test in problem["tests"]]
    return tests, Limits(cpu_s=float(problem["cpu_s"]), memory_mb=int(problem["memory_mb"]))


def judge(
    prepared: Prepared, sandbox: Judge, min_pass_share: float = 0.5, embedding: str = ""
) -> Judged:
    """Return the rows of `prepared`, every candidate run on the tests until one fails.

    embedding: the model that clusters texts, which nothing is run for; "" for clusters by their characters.

    A candidate that the sandbox could not judge, or judges now so and now so, says nothing: it is set aside. So is
    a problem whose tests refuse most of what its source claims to be right.
    """
    judged = Judged(rejected=list(prepared.rejected))
    problem = prepared.problem
    if problem is None:
        return judged
    if problem["checker"] == NO_CHECKER:
        judged.problems.append(problem)
        judged.solutions += _references(prepared, embedding)
        return judged
    verdicts = _run(prepared, sandbox)
    for candidate, verdict in zip(prepared.candidates, verdicts, strict=True):
        if isinstance(verdict, Rejection):
            name = candidate["solution_id"]
            judged.rejected.append(rejected("solutions", name, problem["problem_id"], verdict))
            continue
        judged.solutions.append(_solution(candidate, verdict))
        judged.executions.append(_execution(candidate, verdict))
    why = _unreliable(judged.solutions, min_pass_share)
    if why is not None:
        return _set_aside(problem, judged, why)
    judged.problems.append(problem)
    return judged


def _references(prepared: Prepared, embedding: str) -> list[Row]:
    """Return the rows of texts, which nothing is run for; the reward is the share of people who gave one."""
    assert prepared.problem is not None
    texts = prepared.candidates
    codes, labels = [row["code"] for row in texts], [row["label"] for row in texts]
    if embedding:
        clusters = cluster_embeddings(codes, labels, model=embedding)
    else:
        clusters = cluster_texts(codes, prepared.problem["prompt"], labels)
    total = sum(row["copies"] for row in texts)
    return [
        {
            **row,
            "verdict": REFERENCE,
            "failing_test": None,
            "message": "",
            "cluster_id": cluster,
            "features": sorted(text_features(row["code"])),
            "reward": row["copies"] / total,
            "isolated": None,
        }
        for row, cluster in zip(texts, clusters, strict=True)
    ]


def _run(prepared: Prepared, sandbox: Judge) -> list[Verdict | Rejection]:
    """Return the verdict on every candidate, or why there is none."""
    assert prepared.problem is not None
    tests, limits = tests_and_limits(prepared.problem)
    checker = prepared.problem["checker"]

    def judge_all(candidates: Sequence[Row], mark: str = "") -> list[Verdict]:
        # Another name, or a verdict given before would be given again.
        return sandbox.judge_many(
            [
                Question(each["code"], tests, limits, checker, name=each["solution_id"] + mark)
                for each in candidates
            ]
        )

    verdicts: list[Verdict | Rejection] = list(judge_all(prepared.candidates))
    doubtful = [i for i, each in enumerate(prepared.candidates) if may_vary(each["code"])]
    if doubtful:
        again = judge_all([prepared.candidates[i] for i in doubtful], "#again")
        for i, second in zip(doubtful, again, strict=True):
            verdicts[i] = _agreed(verdicts[i], second)
    return [
        Rejection(NOT_JUDGED, stable_message(verdict))
        if isinstance(verdict, Verdict) and verdict.status is Status.SANDBOX_ERROR
        else verdict
        for verdict in verdicts
    ]


def may_vary(code: str) -> bool:
    """Return whether a program names something that differs from run to run: the clock, entropy, addresses."""
    return _VARYING.search(code) is not None


def _agreed(first: Verdict | Rejection, second: Verdict) -> Verdict | Rejection:
    """Return the first verdict if the second is the same."""
    assert isinstance(first, Verdict)
    if Status.SANDBOX_ERROR in (first.status, second.status):
        return first if first.status is Status.SANDBOX_ERROR else second
    if (first.status, first.failing_test) == (second.status, second.failing_test):
        return first
    return Rejection(VARIES, "two runs on the same tests gave different verdicts")


def _unreliable(solutions: Sequence[Row], least: float) -> Rejection | None:
    """Return why the tests cannot be trusted, if they refuse too many of the solutions claimed to be right."""
    claimed = [row for row in solutions if row["claimed"]]
    passed = sum(row["verdict"] == Status.AC for row in claimed)
    if not claimed or passed >= least * len(claimed):
        return None
    counts = Counter(row["verdict"] for row in claimed)
    shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return Rejection(
        UNRELIABLE,
        f"{passed} of {len(claimed)} solutions claimed to be right pass its tests ({shown})",
    )


def _set_aside(problem: Row, judged: Judged, why: Rejection) -> Judged:
    """Return the rows of a problem that is not used: everything in table `rejected`."""
    name = problem["problem_id"]
    rows = [rejected("problems", name, name, why)]
    for row in judged.solutions:
        detail = f"{row['verdict']}: the problem was set aside: {why.reason}"
        reason = Rejection("problem_rejected", detail)
        rows.append(rejected("solutions", row["solution_id"], name, reason))
    return Judged(rejected=[*rows, *judged.rejected])


def stable_message(verdict: Verdict) -> str:
    """Return a verdict's message without what differs from run to run.

    That is seconds, megabytes, memory addresses, what a wrong program printed (it may print those), and how the
    sandbox failed, which the log tells.
    """
    if verdict.status is Status.SANDBOX_ERROR:
        return verdict.message if verdict.message == QUARANTINED else UNJUDGED
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
