"""Quarantine: finds the programs that take their judge down with them, and goes on without them.

A judge is a Ray actor with a sandbox. If its process ends, Ray repeats the work it had, so a program that ends its
judge would do so for ever. One `Watch` per stage, an actor on the driver's node, outlives the judges. It is told before
a problem is judged; a problem that was begun before and never finished is judged with care: its programs are noted one
by one, and the one that was running at two deaths is not run again. Only then does a judge wait for the watch: an
answer takes longer than a small program.

A judge whose process stands still is ended by the watch: Ray would wait for it for ever.
"""

import contextlib
import hashlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raymode.actors import own_error
from raymode.errors import SandboxError
from raymode.sandbox import Question, Sandbox, Status, Verdict
from raymode.sandbox.verdict import QUARANTINED
from raymode.signs import BEAT_S, Guard, show_life

DEATHS = 2  # of its judge, while it ran: a program is then in quarantine
PATIENCE = 6  # deaths over one problem that put nothing in quarantine: programs are not the cause
SHARED = "raymode-watch"  # the name of a watch for all stages of this job
SHOWN = 20  # programs named in one line


@dataclass(frozen=True, slots=True)
class Past:
    """What became of the judges that had a problem before."""

    deaths: int = 0
    quarantined: frozenset[str] = frozenset()

    @property
    def calls_for_care(self) -> bool:
        """Whether the problem's programs are to be noted one by one."""
        return bool(self.deaths or self.quarantined)


@dataclass(slots=True)
class _Problem:
    """What is known of a problem that is being judged, or of which a program is in quarantine."""

    begun: bool = False
    running: str = ""
    deaths: int = 0
    in_vain: int = 0  # deaths since the last program was put in quarantine
    blamed: Counter[str] = field(default_factory=Counter)

    def quarantined(self) -> frozenset[str]:
        return frozenset(program for program, deaths in self.blamed.items() if deaths >= DEATHS)


class Watch:
    """Counts the deaths of a stage's judges, by problem and program, and ends those that hang.

    If it dies itself, it starts from nothing, with the judges that join it from then on.
    """

    def __init__(self) -> None:
        self._problems: dict[str, _Problem] = {}
        self._judges: list[Any] = []
        threading.Thread(target=self._end_hung, daemon=True).start()

    def _end_hung(self) -> None:
        guard = Guard()
        while True:
            time.sleep(BEAT_S)
            guard.look(self._judges)

    def join(self, judge: Any) -> None:
        """Take note of a judge's handle."""
        self._judges.append(judge)

    def judges(self) -> list[Any]:
        """Return the handles of all judges there were."""
        return self._judges

    def pasts(self, names: Sequence[str]) -> list[Past]:
        """Return the past of problems that are given to a judge. Raises SandboxError if that was in vain too often."""
        return [self._past(name) for name in names]

    def _past(self, name: str) -> Past:
        problem = self._problems.get(name)
        if problem is None:
            return Past()
        if problem.begun:
            self._count_death(problem)
        if problem.in_vain >= PATIENCE:
            raise SandboxError(
                f"problem {name!r}: its judge died {problem.deaths} times, and no single program is to blame;"
                " see what ends processes on these machines (memory?), then give the same command again"
            )
        return Past(problem.deaths, problem.quarantined())

    def begin(self, name: str) -> None:
        """Note that a problem is being judged from now on."""
        self._problems.setdefault(name, _Problem()).begun = True

    def _count_death(self, problem: _Problem) -> None:
        problem.begun = False
        problem.deaths += 1
        problem.in_vain += 1
        if problem.running:
            problem.blamed[problem.running] += 1
            if problem.blamed[problem.running] == DEATHS:
                problem.in_vain = 0
        problem.running = ""

    def run(self, name: str, program: str) -> None:
        """Note that a program of a problem is being run from now on, "" for none."""
        self._problems.setdefault(name, _Problem()).running = program

    def done(self, name: str) -> None:
        """Note that a problem was judged; only what is in quarantine is remembered."""
        problem = self._problems.pop(name, _Problem())
        kept = problem.quarantined()
        if kept:  # its answer may get lost with a node, and be asked for again
            self._problems[name] = _Problem(blamed=Counter(dict.fromkeys(kept, DEATHS)))


@contextlib.contextmanager
def watching(shared: bool = False) -> Iterator[Any]:
    """Yield the handle of a new watch on this node; it and the judges that joined it end with the block.

    A judge that is only let go of may live on, after an error, and keep its CPU from the next stage.

    shared: stages that this job begins meanwhile, anywhere, have this watch in place of one of their own.
    """
    there = shared_watch()
    if there is not None:
        yield there
        return
    here = ray.get_runtime_context().get_node_id()
    remote: Any = ray.remote(Watch).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, name=SHARED if shared else None,
        # Not soft: Ray places what is softly bound to a node without CPUs, as the head is, on another.
        scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
    )  # fmt: skip
    watch = remote.remote()
    try:
        yield watch
    finally:
        with contextlib.suppress(ray.exceptions.RayError):  # it died, or the cluster did
            for judge in ray.get(watch.judges.remote()):
                ray.kill(judge)
        ray.kill(watch)


def shared_watch() -> Any:
    """Return the handle of this job's shared watch, None if there is none."""
    try:
        return ray.get_actor(SHARED)
    except ValueError:
        return None


def join(watch: Any) -> None:
    """Have this actor end when the watch does, or when it hangs: a judge, or the process of a sweep's trial."""
    show_life()
    watch.join.remote(ray.get_runtime_context().current_actor)


class WatchedSandbox:
    """A sandbox whose owner tells the watch what it is at; the sandbox is opened for the first problem."""

    def __init__(self, open_sandbox: Callable[[], Sandbox], watch: Any) -> None:
        self._open = open_sandbox
        self._sandbox: Sandbox | None = None
        self._watch = watch
        self._name, self._past = "", Past()

    def problems(self, names: Sequence[str]) -> Iterator[str]:
        """Yield the names of problems one by one; programs judged meanwhile are of that problem.

        Raises SandboxError if the judges of one of them die without a cause.
        """
        try:
            pasts = ray.get(self._watch.pasts.remote(list(names)))
        except ray.exceptions.RayError as error:
            raise own_error(error) or error from error
        for name, past in zip(names, pasts, strict=True):
            self._name, self._past = name, past
            self._watch.begin.remote(
                name
            )  # nobody waits for this, or for done: calls arrive in order
            yield name
            self._watch.done.remote(name)

    def judge_many(self, questions: Sequence[Question]) -> list[Verdict]:
        """Return the verdicts on programs of the problem; SANDBOX_ERROR on those in quarantine."""
        sandbox = self._sandbox = self._sandbox or self._open()
        if not self._past.calls_for_care:
            return sandbox.judge_many(questions)
        verdicts = [self._judge_with_care(sandbox, question) for question in questions]
        self._watch.run.remote(self._name, "")  # what ends the judge from here on is no program
        return verdicts

    def close(self) -> None:
        """End the sandbox, if it was opened."""
        if self._sandbox:
            self._sandbox.close()

    def _judge_with_care(self, sandbox: Sandbox, question: Question) -> Verdict:
        key = hashlib.sha256(question.program.encode("utf-8", "surrogatepass")).hexdigest()
        if key in self._past.quarantined:
            return _quarantined(sandbox.level)
        # Waited for, so that it is known before the program runs; noted until the next one is.
        ray.get(self._watch.run.remote(self._name, key))
        return sandbox.judge_many([question])[0]


def _quarantined(level: str) -> Verdict:
    return Verdict(
        status=Status.SANDBOX_ERROR, failing_test=None, cpu_s=0.0, total_cpu_s=0.0, wall_s=0.0, max_rss_mb=0.0,
        message=QUARANTINED, level=level, tests_run=0,
    )  # fmt: skip


def name_unjudged(stage: str, table: str, programs: Sequence[str]) -> None:
    """Print one line that names the programs without a verdict, if there are any, and how to try again."""
    if not programs:
        return
    more = f" and {len(programs) - SHOWN} more" if len(programs) > SHOWN else ""
    print(
        f"warning: {stage}: {len(programs)} programs could not be judged (table {table} says why): "
        + "; ".join(programs[:SHOWN]) + more + "; to try again, see docs/sets.md, Resuming",
        file=sys.stderr, flush=True,
    )  # fmt: skip
