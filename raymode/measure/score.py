"""Verifying completions in sandbox actors, and scoring every problem."""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raymode.actors import answers
from raymode.cluster import require
from raymode.config import Config, SandboxConfig
from raymode.errors import DataError
from raymode.measure.problem import score_problem
from raymode.progress import Progress
from raymode.sandbox import Question, Status
from raymode.sets.cluster import signature
from raymode.sets.features import features
from raymode.sets.normalize import Rejection, normalize
from raymode.sets.records import NO_CHECKER
from raymode.sets.select import is_accepted
from raymode.sets.verify import open_sandbox, pinned, stable_message, tests_and_limits
from raymode.store import Store
from raymode.watch import WatchedSandbox, name_unjudged, watching

PROBLEMS_PER_PIECE = 8
ACCEPTED = "AC"
RETRIES = 1000  # of a piece whose judge died; the watch, unless it dies too, gives up before


@dataclass(frozen=True, slots=True)
class Asked:
    """One problem and the different programs that were sampled for it, by key."""

    problem: Mapping[str, Any]
    programs: Mapping[str, str]


class JudgeActor:
    """One watched sandbox in a process of its own."""

    def __init__(self, config: SandboxConfig, watch: Any) -> None:
        self.sandbox = WatchedSandbox(functools.partial(open_sandbox, config), watch)

    def judge(self, piece: Sequence[Asked]) -> list[dict[str, dict[str, Any]]]:
        """Return for every problem of the piece: key -> what the judge says, by column of table `judged`."""
        names = [asked.problem["problem_id"] for asked in piece]
        problems = zip(self.sandbox.problems(names), piece, strict=True)
        return [_judge_problem(self.sandbox, asked) for _, asked in problems]


def _judge_problem(sandbox: WatchedSandbox, asked: Asked) -> dict[str, dict[str, Any]]:
    problem = asked.problem
    tests, limits = tests_and_limits(problem)
    questions = [
        # The problem too: a message tells of the very program, and another problem may have the same tests.
        Question(program, tests, limits, problem["checker"], name=f"{problem['problem_id']}/{key}")
        for key, program in asked.programs.items()
    ]
    verdicts = sandbox.judge_many(questions)
    return {
        key: {
            "verdict": str(verdict.status),
            "message": stable_message(verdict),
            "isolated": verdict.isolated,
        }
        for key, verdict in zip(asked.programs, verdicts, strict=True)
    }


def judge_completions(
    completions: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    config: Config,
    store: Store,
) -> list[dict[str, Any]]:
    """Return the rows of the `judged` table, in the order of `completions`, and write them part by part.

    Completions that are the same program after normalisation run once. Parts that stand already are read, not judged.
    """
    untested = [name for name, row in problems.items() if row["checker"] == NO_CHECKER]
    if untested:
        raise DataError(
            f"score: {len(untested)} of {len(problems)} problems, such as {untested[0]!r}, have no tests to verify"
            f" completions with; these stand in {store.url}/completions"
        )
    by_problem: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for completion in completions:
        by_problem[completion["problem_id"]].append(completion)
    names = list(by_problem)
    pieces = [
        names[start : start + PROBLEMS_PER_PIECE]
        for start in range(0, len(names), PROBLEMS_PER_PIECE)
    ]
    missing = {
        number: piece for number, piece in enumerate(pieces) if not store.exists(_part(number))
    }
    asked = {
        number: [Asked(problems[name], _programs(by_problem[name])) for name in piece]
        for number, piece in missing.items()
    }
    progress = Progress(f"score {config.label}", len(names), "problems")
    progress.skip(len(names) - sum(len(piece) for piece in missing.values()))
    if asked:
        actors = min(config.score.actors, len(asked))
        require(actors, 0, f"score.actors={config.score.actors}")
    for number, verdicts in _verdicts(asked, config):
        rows = [
            _row(completion, judged)
            for name, judged in zip(pieces[number], verdicts, strict=True)
            for completion in by_problem[name]
        ]
        store.write_rows(_part(number), "judged", rows)
        progress.advance(len(pieces[number]))
    progress.close()
    rows = store.rows("judged") if names else []
    if asked:
        name_unjudged(f"score {config.label}", "judged", _not_judged(rows))
    return rows


def _verdicts(
    asked: Mapping[int, list[Asked]], config: Config
) -> Iterator[tuple[int, list[dict[str, dict[str, Any]]]]]:
    """Yield (number of a piece, what its judge says of every problem), in any order."""
    if not asked:
        return
    sandbox = pinned(config.sandbox)
    with watching() as watch:
        yield from answers(
            JudgeActor, (sandbox, watch), {"num_cpus": 1}, config.score.actors, "judge", asked, RETRIES
        )  # fmt: skip


def _not_judged(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"problem {row['problem_id']!r}, completion {row['index']}"
        for row in judged
        if row["verdict"] == Status.SANDBOX_ERROR
    ]


def score_table(
    completions: Sequence[Mapping[str, Any]],
    judged: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    solutions: Sequence[Mapping[str, Any]],
    config: Config,
    run_id: str,
) -> pa.Table:
    """Return the `scores` table: one row per problem that was sampled, one column per metric."""
    texts = {(row["problem_id"], row["index"]): row["text"] for row in completions}
    data_clusters: dict[str, list[str]] = defaultdict(list)
    for solution in solutions:
        if is_accepted(solution):
            data_clusters[solution["problem_id"]].append(solution["cluster_id"])
    grouped: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in judged:
        grouped[row["problem_id"]].append(row)
    rows = []
    for name, members in grouped.items():
        own = [texts[name, row["index"]] for row in members]
        right = [row["verdict"] == ACCEPTED for row in members]
        metrics = score_problem(
            statuses=[row["verdict"] for row in members],
            texts=own,
            clusters=[row["cluster_id"] for row in members],
            keys=[row["solution_key"] for row in members],
            features=[
                features(text) if is_right else frozenset()
                for text, is_right in zip(own, right, strict=True)
            ],
            data_clusters=data_clusters[name],
            pass_ks=config.score.pass_ks,
            rarefy_to=config.score.rarefy_to,
        )
        rows.append(
            {
                "run_id": run_id,
                "problem_id": name,
                "split": problems[name]["split"],
                "isolated": all(row["isolated"] for row in members),
                **metrics,
            }
        )
    return pa.Table.from_pylist(rows)


def program_key(text: str) -> tuple[str, bool]:
    """Return a completion's key (normalised if it parses, else of its text) and whether it parses."""
    normalized = normalize(text)
    if isinstance(normalized, Rejection):
        return "text:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[
            :16
        ], False
    return normalized.key, True


def _programs(completions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return key -> program, the first of each key."""
    programs: dict[str, str] = {}
    for completion in completions:
        programs.setdefault(program_key(completion["text"])[0], completion["text"])
    return programs


def _row(completion: Mapping[str, Any], judged: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    key, parses = program_key(completion["text"])
    accepted = judged[key]["verdict"] == ACCEPTED
    return {
        "run_id": completion["run_id"],
        "problem_id": completion["problem_id"],
        "index": completion["index"],
        "solution_key": key if parses else None,
        **judged[key],
        "cluster_id": signature(features(completion["text"])) if accepted else None,
    }


def _part(number: int) -> str:
    return f"judged/part-{number:05d}.parquet"
