"""Checkers accept what is right and nothing else."""

import pytest

from raymode.sandbox.checkers import CHECKERS, same_token

BIG = b"1" + b"0" * 5000


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (b"7", b"7"),
        (b"007", b"7"),
        (b"-0", b"0"),
        (b"+5", b"5"),
        (BIG, b"0" + BIG),
        (b"0.333333", b"0.3333333333"),
        (b"1", b"1.0"),
        (b"1e3", b"1000.0"),
        (b"1000000.5", b"1000001.0"),
        (b".5", b"0.5"),
        (b"Yes", b"Yes"),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_same_tokens(printed: bytes, expected: bytes) -> None:
    assert same_token(printed, expected)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (b"123456788", b"123456789"),
        (b"12345678901234567890", b"12345678901234567891"),
        (BIG + b"1", BIG + b"2"),
        (b"-5", b"5"),
        (b"5.0", b"5"),  # an integer was asked for
        (b"0.34", b"0.33"),
        (b"nan", b"0.5"),
        (b"inf", b"1e308"),
        (b"yes", b"Yes"),
        (b"", b"0"),
        (b"1_000", b"1000"),
        ("\u0661".encode(), b"1"),
        (b"1e999999999", b"1.0"),
        (b"0x10", b"16"),
        (b"-9.9e999999", b"9.9e999999"),
    ],
)
def test_different_tokens(printed: bytes, expected: bytes) -> None:
    assert not same_token(printed, expected)


@pytest.mark.parametrize(
    ("checker", "printed", "expected", "right"),
    [
        ("tokens", b"1  2\n\n3", b"1 2 3\n", True),
        ("tokens", b"1 2", b"1 2 3", False),  # a right prefix
        ("tokens", b"1 2 3 4", b"1 2 3", False),
        ("tokens", b"", b"", True),
        ("tokens", b"", b"1", False),
        ("tokens", b"\x00\xff" * 100, b"1", False),
        ("tokens", b"YES", b"Yes", False),
        ("tokens_any_case", b"YES", b"Yes", True),
        ("tokens_any_case", b"NO", b"Yes", False),
        ("exact", b"a\n", b"a", True),
        ("exact", b"a ", b"a", False),
        ("exact", b"a\n\n", b"a", False),
        ("unordered_lines", b"b 2\na  1\n", b"a 1\nb 2", True),
        ("unordered_lines", b"a\na\nb", b"a\nb\nb", False),
        ("unordered_lines", b"1 2", b"2 1", False),
    ],
)
def test_checkers(checker: str, printed: bytes, expected: bytes, right: bool) -> None:
    difference = CHECKERS[checker](printed, expected)
    assert (difference == "") is right


def test_a_difference_is_shown_printable_and_short() -> None:
    difference = CHECKERS["tokens"](b"\x1b[2J" + b"A" * 10_000, b"1")
    assert difference.isprintable()
    assert len(difference) < 300
