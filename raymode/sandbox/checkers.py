"""Compare what a program printed with what was expected.

A checker is a function (printed, expected) -> "" if they agree, else one line that says where they differ.
It runs in the trusted process, on bytes a hostile program wrote: it only splits and compares.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

Checker = Callable[[bytes, bytes], str]


@dataclass(frozen=True, slots=True)
class SpecialJudge:
    """A program that decides whether an output is right, for problems with many right answers.

    It runs in the same sandbox as the programs it judges, reads one JSON object {"input", "expected",
    "printed"} from standard input and prints "AC", or "WA" and why.
    """

    program: str


REAL_TOLERANCE = Decimal("1e-6")
"""Allowed absolute or relative error where the expected token is a real number."""
_INTEGER = re.compile(rb"[+-]?[0-9]+\Z")
_REAL = re.compile(rb"[+-]?([0-9]+\.[0-9]*|\.?[0-9]+)([eE][+-]?[0-9]{1,4})?\Z")
_MAX_REAL_DIGITS = 400


def same_token(printed: bytes, expected: bytes) -> bool:
    """Whether one token agrees: same text, same integer of any size, or a real number within tolerance."""
    if printed == expected:
        return True
    if _INTEGER.match(expected):
        # Textual, because int() of a long token is quadratic and limited to 4300 digits.
        return bool(_INTEGER.match(printed)) and _canonical(printed) == _canonical(expected)
    if _is_real(expected) and _is_real(printed):
        return _close(Decimal(printed.decode()), Decimal(expected.decode()))
    return False


def _canonical(integer: bytes) -> bytes:
    digits = integer.lstrip(b"+-").lstrip(b"0")
    return b"-" + digits if integer.startswith(b"-") and digits else digits


def _is_real(token: bytes) -> bool:
    return len(token) <= _MAX_REAL_DIGITS and bool(_REAL.match(token))


def _close(printed: Decimal, expected: Decimal) -> bool:
    return abs(printed - expected) <= REAL_TOLERANCE * max(Decimal(1), abs(expected))


def tokens(printed: bytes, expected: bytes) -> str:
    """Whitespace-separated tokens in the same order; see `same_token`."""
    if printed == expected:
        return ""
    want = expected.split()
    got = printed.split(None, len(want) + 1)  # no more of a flood than it takes to tell
    if got == want:
        return ""
    for index, (g, w) in enumerate(zip(got, want, strict=False)):
        if not same_token(g, w):
            return f"token {index + 1}: printed {_show(g)}, expected {_show(w)}"
    if len(got) != len(want):
        return (
            f"printed {'more' if len(got) > len(want) else len(got)} tokens, expected {len(want)}"
        )
    return ""


def tokens_any_case(printed: bytes, expected: bytes) -> str:
    """`tokens`, with upper and lower case (ASCII) taken as the same."""
    return tokens(printed.lower(), expected.lower())


def exact(printed: bytes, expected: bytes) -> str:
    """The same bytes, one final newline more or less allowed."""
    if printed.removesuffix(b"\n") == expected.removesuffix(b"\n"):
        return ""
    return "output differs from the expected bytes"


def unordered_lines(printed: bytes, expected: bytes) -> str:
    """The same non-empty lines in any order; white space at line ends and between tokens is ignored."""
    is_flood = len(printed) > 10 * len(expected) + (1 << 20)
    if not is_flood and _sorted_lines(printed) == _sorted_lines(expected):
        return ""
    return "the lines printed are not the expected ones in any order"


def _sorted_lines(text: bytes) -> list[bytes]:
    return sorted(b" ".join(line.split()) for line in text.splitlines() if line.strip())


def _show(token: bytes) -> str:
    text = ascii(token[:40].decode("utf-8", "replace"))
    return text if len(token) <= 40 else f"{text} ({len(token)} bytes)"


CHECKERS: dict[str, Checker] = {
    "tokens": tokens,
    "tokens_any_case": tokens_any_case,
    "exact": exact,
    "unordered_lines": unordered_lines,
}
