"""Run programs under one zygote, replacing the zygote if it dies.

The trusted side of the sandbox below the judge: it knows nothing of expected outputs.
"""

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from raymode.errors import SandboxError
from raymode.sandbox import syscalls
from raymode.sandbox.client import Zygote, ZygoteDied
from raymode.sandbox.interpreter import find_interpreter
from raymode.sandbox.learned import Learned
from raymode.sandbox.limits import Limits
from raymode.sandbox.memfile import InputFiles, opened_file, sealed_file
from raymode.sandbox.packages import PackageError, Packages
from raymode.sandbox.probes import PROBE_LIMITS, breaches, probe_code
from raymode.sandbox.protocol import FLAG_SHARED, MAX_TESTS, RUN, START, Request
from raymode.sandbox.runs import MIB, Run, explain
from raymode.sandbox.starts import ChildKilled, Code, Started, checked, compile_once, start_once
from raymode.sandbox.turn import Turn
from raymode.sandbox.verdict import UNSAFE

LEVELS = ("L4", "L3", "L2")
MAX_SOURCE_BYTES = 1 << 20
# Beside the program's own memory: the interpreter, one thread with the customary 512 MB stack, and the
# stacks of the other threads. Peak resident memory decides; this only ends what grows without bound.
_ADDRESS_SPACE_EXTRA = 768 * MIB
_TRIES = 2
_STARTS = 3
_PROBE_EVERY = 5000

T = TypeVar("T")


class Runner:
    """Owns one zygote, at the first of `levels` that works here."""

    def __init__(self, levels: Sequence[str], shared: bool, packages: Packages, turn: Turn) -> None:
        """See `Sandbox`. Raises SandboxError if none of the levels works here."""
        self._packages = packages
        self._shared = shared
        self._turn = turn
        self._inputs = InputFiles()
        self._learned = Learned()
        self._asked = 0
        reasons = []
        for candidate in levels:
            try:
                self.level = candidate
                self._zygote = self._begin()
                return
            except PackageError:
                raise
            except SandboxError as error:
                reasons.append(str(error))
            except (
                ZygoteDied
            ) as death:  # says nothing about the level, so that no lower one is tried
                raise SandboxError(
                    f"sandbox: {candidate}: no process could be started in {_STARTS} attempts ({death}); see what "
                    "ends processes on this machine (memory?)"
                ) from None
        raise SandboxError(
            f"sandbox: no safe way to run programs on this host ({'; '.join(reasons)}); see docs/sandbox.md, "
            "or set sandbox.allow_unsafe=true to run them unprotected"
        )

    def _begin(self) -> Zygote:
        """Start a zygote at the level of this runner; it serves only if it holds.

        One that dies on the way (somebody killed it) says nothing about the level: it is tried again. Raises
        SandboxError if the level does not hold here, ZygoteDied.
        """
        for _ in range(_STARTS - 1):
            try:
                return self._begin_once()
            except ZygoteDied:
                continue
        return self._begin_once()

    def _begin_once(self) -> Zygote:
        zygote = Zygote(
            find_interpreter(),
            self.level,
            self._shared,
            self._learned.modules,
            self._packages,
            self._turn,
        )
        try:
            if self.level != UNSAFE:
                _probe(zygote, self.level)
        except BaseException:
            zygote.close()
            raise
        return zygote

    def close(self) -> None:
        """End the zygote and everything in it."""
        self._zygote.close()
        self._inputs.close()

    @property
    def has_cgroup(self) -> bool:
        """Whether a cgroup bounds memory and tasks of the zygote's processes together."""
        return self._zygote.has_cgroup

    def processes(self) -> list[int]:
        """Ids of the processes the zygote consists of: its monitor, itself, children."""
        return self._zygote.processes()

    def start(
        self,
        program: str,
        given: Sequence[str],
        limits: Limits,
        kill_at: float,
        passes: Callable[[bytes], bool],
    ) -> Started:
        """Compile `program` and run it with the first of `given` on standard input, in one confined child.

        With several inputs (in shared mode) it runs with each of them there, if it is pure and the
        first run passes. kill_at: CPU seconds. Raises ZygoteDied.
        """
        source = _encode_source(program)
        if isinstance(source, str):
            return Started(source)
        if self._learned.note(program):
            self._replace_zygote()
        files = self._inputs.get(given)
        request = self._request(START, len(given), limits, kill_at)
        if len(given) > 1:
            request = request._replace(flags=FLAG_SHARED)
        started = self._retried(
            lambda zygote: start_once(zygote, request, source, files, limits, passes)
        )
        self._inputs.trim()
        return started or Started(self.compile(program))

    def compile(self, program: str) -> Code | str:
        """Compile in a confined child. Returns the code, or why there is none. Raises ZygoteDied."""
        source = _encode_source(program)
        if isinstance(source, str):
            return source
        return self._retried(lambda zygote: compile_once(zygote, source))

    def run(
        self, code: Code, given: Sequence[str], limits: Limits, kill_at: float | None = None
    ) -> Iterator[Run]:
        """Run `code` with each of `given` on standard input; yield the runs until one does not end well.

        kill_at: CPU seconds at which a run is killed, limits.cpu_s if None. Raises ZygoteDied if the work failed
        twice, SandboxError if there is no zygote any more.
        """
        done, deaths = 0, 0
        while done < len(given):
            files = self._inputs.get(given[done : done + MAX_TESTS])
            request = self._request(RUN, len(files), limits, kill_at or limits.cpu_s)
            try:
                for run in _run_batch(self._ready_zygote(), request, code, files, limits):
                    yield run
                    if not run.ended_well:
                        return
                    done, deaths = done + 1, 0
            except ZygoteDied as death:
                deaths += 1
                self._recover(death)
                if deaths == _TRIES:
                    raise
            finally:
                self._inputs.trim()

    def _request(self, operation: int, tests: int, limits: Limits, kill_at: float) -> Request:
        request = _request(operation, tests, limits, kill_at)
        return request._replace(address_space=request.address_space + self._packages.address_space)

    def _retried(self, work: Callable[[Zygote], T]) -> T:
        """Do `work`, once more if the zygote or the child was killed from outside. Raises ZygoteDied."""
        for attempt in range(_TRIES):
            try:
                return work(self._ready_zygote())
            except ZygoteDied as death:
                self._recover(death)
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _ready_zygote(self) -> Zygote:
        """The zygote, after it proved again every so often that it holds."""
        self._asked += 1
        if self._asked % _PROBE_EVERY == 0 and self.level != UNSAFE:
            try:
                _probe(self._zygote, self.level)
            except (SandboxError, ZygoteDied):
                self._replace_zygote()
        return self._zygote

    def _recover(self, death: ZygoteDied) -> None:
        if not isinstance(death, ChildKilled):
            self._replace_zygote()

    def _replace_zygote(self) -> None:
        """Start another zygote; on a machine in trouble try for a while. Raises SandboxError."""
        self._zygote.close()
        for wait_s in (0.2, 1.0, 5.0, None):
            try:
                self._zygote = self._begin()
                return
            except (SandboxError, ZygoteDied) as error:
                if wait_s is None:
                    raise SandboxError(
                        f"sandbox: the zygote died and no other could be started: {error}"
                    ) from None
                time.sleep(wait_s)


def _encode_source(program: str) -> bytes | str:
    """The bytes to compile, or why there is nothing to compile."""
    try:
        source = program.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "the source is not valid Unicode"
    if len(source) > MAX_SOURCE_BYTES:
        return f"the source has {len(source)} bytes, more than {MAX_SOURCE_BYTES}"
    return source


def _request(operation: int, tests: int, limits: Limits, kill_at: float) -> Request:
    return Request(
        operation, 0, tests, limits.threads, kill_at, limits.effective_wall_s,
        limits.memory_mb * MIB + _ADDRESS_SPACE_EXTRA, limits.output_mb * MIB + 1,
    )  # fmt: skip


def _run_batch(
    zygote: Zygote, request: Request, code: Code, inputs: Sequence[int], limits: Limits
) -> Iterator[Run]:
    with contextlib.ExitStack() as opened:
        stderr, *outputs = (opened_file(opened) for _ in range(len(inputs) + 1))
        files = [code.descriptor, stderr]
        for standard_input, output in zip(inputs, outputs, strict=True):
            files += [standard_input, output]
        outcomes = zygote.ask(request, files, limits.memory_mb * MIB)
        for outcome, output in zip(outcomes, outputs, strict=False):
            checked(outcome)
            # After a run that ended well among others, the next one has the file already.
            readable = outcome.status or outcome.reason or len(outputs) == 1
            yield explain(outcome, limits, output, stderr if readable else None)


def _probe(zygote: Zygote, level: str) -> None:
    """Raise SandboxError unless a child of `zygote` fails at everything it must not be able to do; ZygoteDied."""
    request = _request(RUN, 1, PROBE_LIMITS, PROBE_LIMITS.cpu_s)
    code, standard_input = Code(sealed_file(probe_code())), sealed_file(b"")
    try:
        (run,) = _run_batch(zygote, request, code, [standard_input], PROBE_LIMITS)
    finally:
        code.close()
        os.close(standard_input)
    if found := breaches(run.output):
        why = f" ({run.status} {run.message})" if run.message else ""
        raise SandboxError(f"{level}: a program inside could {', '.join(found)}{why}")


def check_machine() -> None:
    """Raise SandboxError where programs cannot be isolated at all."""
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            f"sandbox: {platform.system()} cannot isolate programs; run raymode in a Linux container, for "
            'example: docker run -it -v "$PWD":/raymode -w /raymode python:3.11 bash (see docs/sandbox.md)'
        )
    if syscalls.MACHINE not in syscalls.SUPPORTED_MACHINES:
        known = " and ".join(syscalls.SUPPORTED_MACHINES)
        raise SandboxError(f"sandbox: {syscalls.MACHINE} machines are not supported, only {known}")
