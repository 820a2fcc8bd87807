"""What is asked of the judge about one program."""

from collections.abc import Sequence
from dataclasses import dataclass

from raymode.sandbox.checkers import CHECKERS, SpecialJudge
from raymode.sandbox.limits import DEFAULT_LIMITS, Limits, Test


@dataclass(frozen=True, slots=True)
class Question:
    """A program and what it is to be judged by. Raises ValueError for no tests or an unknown checker."""

    program: str
    tests: Sequence[Test]
    limits: Limits = DEFAULT_LIMITS
    checker: str | SpecialJudge = "tokens"
    """A name in `checkers.CHECKERS`, or a special judge."""
    name: str = ""
    """Programs of one name are taken for the same, like two that differ in their variables' names alone."""

    def __post_init__(self) -> None:
        if not self.tests:
            raise ValueError("judge: no tests, and a program is right on nothing")
        if isinstance(self.checker, str) and self.checker not in CHECKERS:
            known = ", ".join(CHECKERS)
            raise ValueError(f"judge: checker {self.checker!r} is not one of {known}")
