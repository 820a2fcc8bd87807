"""What is done to a job, and what is written down of it."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.nodes import Node, Nodes, pause
from tests.faults.road import LIMIT_S, STAGES, SWEEP, Stage, outcome, seen, wait_for

STALL_S = 30
UNDER_WAY = 4
"""Results that may be written twice: two actors with two pieces each, written but not yet told to the driver."""
NODES = 3


@dataclass
class Row:
    """One line of the table of faults."""

    fault: str
    stage: str
    moment: str
    went_on: str
    silent_s: str
    """The longest time without a result after it."""
    whole_s: str
    """What the job took in all, the repeated command included."""
    again: int
    """Results that were written twice."""
    equal: bool


@dataclass
class Table:
    """The rows so far, appended to a Markdown file where one is named."""

    file: str
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(" | ".join(map(str, asdict(row).values())), flush=True)
        if not self.file:
            return
        if not os.path.exists(self.file):
            names = list(asdict(row))
            head = f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
            Path(self.file).write_text(head)
        with open(self.file, "a") as file:
            file.write(f"| {' | '.join(map(str, asdict(row).values()))} |\n")


@dataclass
class Job:
    """A job under way on a cluster."""

    nodes: Nodes
    stage: Stage
    command: Sequence[str]
    log: Path
    driver: subprocess.Popen[bytes]
    chance: random.Random
    undo: list[Callable[[], object]] = field(default_factory=list)
    """Called at the end, whatever happened."""

    def victims(self, titles: tuple[str, ...]) -> list[tuple[Node, int]]:
        return [(node, one) for node in self.nodes.nodes for one in node.find(*titles)]

    def pick(self, titles: tuple[str, ...]) -> tuple[Node, int]:
        """Return a process with such a title, once there is one, and its node."""
        wait_for(lambda: self.victims(titles), f"a process of {titles}")
        return self.chance.choice(self.victims(titles))

    def actors(self) -> tuple[str, ...]:
        """The titles of the actors of the stage; of a sweep, those of the stage that it is in."""
        if self.stage.actors:
            return self.stage.actors
        for stage in STAGES.values():
            if self.victims(stage.actors):
                return stage.actors
        return tuple(title for stage in STAGES.values() for title in stage.actors)


Fault = Callable[[Job], str]
"""Does something to a job and returns who has to go on: "itself", or "same command" where its driver is gone."""
ITSELF, AGAIN = "itself", "same command"


def kill_actor(job: Job) -> str:
    _, victim = job.pick(job.actors())
    os.kill(victim, signal.SIGKILL)
    return ITSELF


def kill_worker(job: Job) -> str:
    """SIGKILL what is beside the actors."""
    _, victim = job.pick(job.stage.others)
    os.kill(victim, signal.SIGKILL)
    return ITSELF


def kill_node(job: Job) -> str:
    """SIGKILL a whole node that works for the stage."""
    node, _ = job.pick(job.actors())
    node.kill()
    return ITSELF


def kill_raylet(job: Job) -> str:
    """SIGKILL only the raylet of a node that works for the stage; its workers are left to find out."""
    node, _ = job.pick(job.actors())
    (raylet,) = node.find("raylet")
    os.kill(raylet, signal.SIGKILL)
    return ITSELF


def kill_head(job: Job) -> str:
    """SIGKILL the head, with the driver on it; nodes of a cluster without a head are of no use."""
    job.nodes.head.kill()
    job.driver.kill()
    return AGAIN


def add_node(job: Job) -> str:
    """Have a node join."""
    job.nodes.add()
    return ITSELF


def second_driver(job: Job) -> str:
    """Give the same command on another node."""
    log = Path(f"{job.log}.second")
    with job.nodes.driver(*job.command, log=log, node=job.nodes.living()[0]) as second:
        code = second.wait(LIMIT_S)
    assert code == 2 and "another driver is at work here" in log.read_text(), log.read_text()
    return ITSELF


def kill_driver(job: Job) -> str:
    job.driver.kill()
    return AGAIN


def interrupt_driver(job: Job) -> str:
    """What Ctrl-C does."""
    job.driver.send_signal(signal.SIGINT)
    assert job.driver.wait(60) == 130, job.log.read_text()[-4000:]
    assert "stopped; give the same command again to go on" in job.log.read_text()
    return AGAIN


def hang_actor(job: Job) -> str:
    """SIGSTOP an actor for good."""
    _, victim = job.pick(job.actors())
    pause([victim])
    job.undo.append(lambda: _end(victim))
    return ITSELF


def hang_worker(job: Job) -> str:
    """SIGSTOP for good what is beside the actors."""
    _, victim = job.pick(job.stage.others)
    pause([victim])
    job.undo.append(lambda: _end(victim))
    return ITSELF


def stall_actor(job: Job) -> str:
    """SIGSTOP an actor for 30 seconds."""
    _, victim = job.pick(job.actors())
    pause([victim])
    time.sleep(STALL_S)
    with suppress(ProcessLookupError):
        pause([victim], resume=True)
    return ITSELF


def _end(victim: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)


def out_of_memory(job: Job) -> str:
    """Put an actor into a memory cgroup with next to no memory: the kernel's OOM killer ends it."""
    _, victim = job.pick(job.actors())
    group = Path(f"/sys/fs/cgroup/memory/raymode-faults-{os.getpid()}-{victim}")
    group.mkdir()
    job.undo.append(group.rmdir)
    (group / "memory.limit_in_bytes").write_text(str(1 << 20))
    (group / "cgroup.procs").write_text(str(victim))
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "a process out of memory", 60)
    said = (group / "memory.oom_control").read_text()
    assert "oom_kill 0" not in said.splitlines(), "it ended before it asked for memory"
    return ITSELF


def disturbed(
    nodes: Nodes, name: str, fault: Fault, run_dir: str, seed: int, table: Table, whole: Path,
    more: tuple[str, ...] = (), title: str = "", at_s: tuple[float, float] | None = None,
) -> Row:  # fmt: skip
    """Run a stage, do something to it at a random moment, give the command again if need be, and compare.

    The command is given again to the same cluster, or to a new one where the head is lost. at_s: so many seconds after
    the start, between two numbers; results and actors are not waited for.
    """
    stage = SWEEP if name == "sweep" else STAGES[name]
    chance = random.Random(f"{seed} {name} {title or fault.__name__}")
    after = 0 if at_s else chance.randint(0, stage.most)
    delay = chance.uniform(*(at_s or (0, 0.5)))
    log = Path(f"{whole}.{name}.{title or fault.__name__}.log")
    began = time.monotonic()
    with seen(run_dir, stage) as results:
        command = stage.command(nodes.address, run_dir, *more)
        with nodes.driver(*command, log=log) as driver:
            job = Job(nodes, stage, command, log, driver, chance)
            wait_for(lambda: results.count() >= after or driver.poll() is not None, "results")
            if not (after or at_s) and stage.actors:
                job.pick(stage.actors)
            time.sleep(delay)
            assert driver.poll() is None, f"ended before: {log.read_text()[-3000:]}"
            stood, moment = results.count(), time.monotonic()
            try:
                who = fault(job)
                code = _ended(driver)
            finally:
                for each in job.undo:
                    each()
        if code == 0:
            assert who == ITSELF, f"went on as if nothing were: {log.read_text()[-4000:]}"
        else:
            print(
                f"{title or fault.__name__}: ended with {code}: {log.read_text()[-600:]}",
                flush=True,
            )
            assert who == AGAIN, f"ended with {code}: {log.read_text()[-4000:]}"
            if not nodes.head.find("raylet"):
                nodes.restart(NODES)
            with nodes.driver(*stage.command(nodes.address, run_dir, *more), log=log) as driver:
                assert _ended(driver) == 0, log.read_text()[-4000:]
    results.look()
    equal = outcome(name, run_dir) == outcome(name, str(whole))
    row = Row(
        (title or fault.__name__).replace("_", " "), name, f"{stood} results stood",
        ITSELF if code == 0 else AGAIN, f"{results.silence(moment):.1f}",
        f"{time.monotonic() - began:.0f}", results.again(), equal,
    )  # fmt: skip
    table.add(row)
    assert equal, row
    assert row.again <= UNDER_WAY, row
    return row


def _ended(driver: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code of a driver; None if it does not end."""
    try:
        return driver.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        return None
