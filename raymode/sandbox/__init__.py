"""Runs untrusted programs and judges them. Plain Python, Linux only; docs/sandbox.md says how it isolates.

with Sandbox() as sandbox:
    verdict = sandbox.judge("print(int(input()) + 1)", [Test("1\\n", "2\\n")])
"""

from raymode.sandbox.checkers import SpecialJudge
from raymode.sandbox.judge import Sandbox
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.question import Question
from raymode.sandbox.verdict import Status, Verdict

__all__ = ["Limits", "Question", "Sandbox", "SpecialJudge", "Status", "Test", "Verdict"]
