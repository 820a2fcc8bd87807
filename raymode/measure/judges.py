"""Judging completions on a cluster: actors with a sandbox each, results written as they come."""

import functools
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raymode.actors import Timed, answers
from raymode.cluster import require, selector
from raymode.config import Config, SandboxConfig
from raymode.config_ray import is_in_process
from raymode.errors import DataError
from raymode.measure.given import Row
from raymode.measure.reading import Reader
from raymode.measure.verdicts import (
    Asked,
    different_texts,
    is_text_problem,
    judge_problem,
    judged_rows,
    references_by_problem,
)
from raymode.progress import Progress
from raymode.rundir import Clock
from raymode.sandbox import Status
from raymode.sets.verify import open_sandbox, pinned
from raymode.store import Store
from raymode.watch import WatchedSandbox, join, name_unjudged, watching

PROBLEMS_PER_PIECE = 8
RETRIES = 1000  # of a piece whose judge died; the watch, unless it dies too, gives up before


class JudgeActor:
    """One watched sandbox and one reader of programs.

    run: tells its problems from those of other runs at a watch that they share. alone: in an actor of its own.
    """

    def __init__(
        self, config: SandboxConfig, embedding: str, watch: Any, run: str, alone: bool
    ) -> None:
        if alone:
            join(watch)
        self.sandbox = WatchedSandbox(functools.partial(open_sandbox, config), watch)
        self.run = run
        self.reader = Reader()
        self.embedding = embedding

    def judge(self, piece: Sequence[Asked]) -> Timed:
        """Return for every problem of the piece what is said of its texts, in their order."""
        began = time.perf_counter()
        names = [f"{asked.problem['problem_id']} of {self.run}" for asked in piece]
        problems = zip(self.sandbox.problems(names), piece, strict=True)
        found = [
            judge_problem(asked, self.sandbox, self.reader, self.embedding) for _, asked in problems
        ]
        return Timed(found, time.perf_counter() - began)

    def close(self) -> None:
        """End the sandbox and the reader."""
        self.sandbox.close()
        self.reader.close()


def judge_completions(
    completions: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    solutions: Sequence[Mapping[str, Any]],
    config: Config,
    store: Store,
    clock: Clock | None = None,
) -> list[Row]:
    """Return the rows of the `judged` table, problem by problem, and write them part by part.

    solutions: those of the problems without tests, at least; they need `code`. Parts that stand
    already are read, not judged. clock: of the stage. Raises DataError for a completion of a problem that is not among
    `problems`.
    """
    clock = clock or Clock(store, "score")
    by_problem: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for completion in completions:
        by_problem[completion["problem_id"]].append(completion)
    names = list(by_problem)
    for name in names:
        if name not in problems:
            raise DataError(
                f"{store.url}/completions: problem {name!r} is not among the {len(problems)} that are scored; sample again"
                " with the configuration that is scored"
            )
    pieces = [
        names[start : start + PROBLEMS_PER_PIECE]
        for start in range(0, len(names), PROBLEMS_PER_PIECE)
    ]
    missing = {
        number: piece for number, piece in enumerate(pieces) if not store.exists(_part(number))
    }
    references = references_by_problem(solutions, problems)
    asked = {
        number: [
            Asked(problems[name], different_texts(by_problem[name]), references.get(name, ()))
            for name in piece
        ]
        for number, piece in missing.items()
    }
    progress = Progress(f"score {config.label}", len(names), "problems")
    progress.skip(len(names) - sum(len(piece) for piece in missing.values()))
    if asked:
        actors = min(config.score.actors, len(asked))
        require(actors, 0, f"score.actors={config.score.actors}", selector(config.ray, "verify"))
    for number, found in _judged(asked, config, store):
        rows = [
            row
            for name, said in zip(pieces[number], found.result, strict=True)
            for row in judged_rows(by_problem[name], said)
        ]
        store.write_rows(_part(number), "judged", rows)
        clock.work(found.seconds)
        progress.advance(len(pieces[number]), found.seconds)
    progress.close()
    rows = store.rows("judged") if names else []
    if asked:
        name_unjudged(f"score {config.label}", "judged", _not_judged(rows))
    return rows


def _judged(
    asked: Mapping[int, list[Asked]], config: Config, store: Store
) -> Iterator[tuple[int, Timed]]:
    """Yield (number of a piece, what its judge says of every problem), in any order."""
    if not asked:
        return
    is_run = any(not is_text_problem(one.problem) for piece in asked.values() for one in piece)
    sandbox = pinned(config.sandbox) if is_run else config.sandbox
    options = {"num_cpus": 1, "label_selector": selector(config.ray, "verify")}
    here = is_in_process(config)
    with watching() as watch:
        yield from answers(
            JudgeActor, (sandbox, config.references.embedding, watch, store.url, not here), options,
            config.score.actors, "judge", asked, RETRIES, here=here,
        )  # fmt: skip


def _not_judged(judged: Sequence[Row]) -> list[str]:
    return [
        f"problem {row['problem_id']!r}, completion {row['index']}"
        + ("" if row["decoding"] == "direct" else f" of {row['decoding']}")
        for row in judged
        if row["verdict"] == Status.SANDBOX_ERROR
    ]


def _part(number: int) -> str:
    return f"judged/part-{number:05d}.parquet"
