"""What the judge says about a program."""

import enum
from dataclasses import dataclass

UNSAFE = "unsafe"
"""The level of programs that ran under resource limits alone, which only `allow_unsafe` allows."""


QUARANTINED = "quarantined: its judge died twice while running it"
"""The message of a program that is not run any more because it takes judges down (raymode/watch.py)."""


class Status(enum.StrEnum):
    """The outcome of judging one program on its tests."""

    AC = "AC"
    """Accepted: every test passed."""
    WA = "WA"
    """Wrong answer: the program ended well, but its output is not the expected one."""
    TLE = "TLE"
    """Time limit exceeded; `Verdict.message` is "cpu" or "wall"."""
    MLE = "MLE"
    """Memory limit exceeded."""
    OLE = "OLE"
    """Output limit exceeded, on standard output or standard error."""
    RE = "RE"
    """Run-time error: an uncaught exception, a crash or an exit code other than 0."""
    CE = "CE"
    """Compile error: the source is not a Python program of this interpreter."""
    SV = "SV"
    """Sandbox violation: the kernel ended the program at a forbidden system call."""
    SANDBOX_ERROR = "SANDBOX_ERROR"
    """The judge itself failed twice; says nothing about the program."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status and what was measured on the way to it."""

    status: Status
    failing_test: int | None
    """Index of the first failing test in the sequence given; None for AC and CE."""
    cpu_s: float
    """CPU seconds (user + system, all threads) of the test that used most."""
    total_cpu_s: float
    """CPU seconds of all tests run."""
    wall_s: float
    """Seconds from the call to the answer, compilation and checking included."""
    max_rss_mb: float
    """Largest resident memory of one test, in MiB; the bare interpreter takes about 10."""
    message: str
    """"" for AC; else one printable line, at most 300 characters."""
    level: str
    """Isolation the program ran under: "L4", "L3", "L2" or "unsafe"."""
    tests_run: int
    """How many tests were started; the first failing one is the last."""

    @property
    def accepted(self) -> bool:
        """Whether every test passed."""
        return self.status is Status.AC

    @property
    def isolated(self) -> bool:
        """Whether the program ran, if it did, under the kernel's isolation."""
        return self.level != UNSAFE
