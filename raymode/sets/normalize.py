"""One key for all the spellings of a Python program, so that a set holds each program once.

Formatting, comments, docstrings, local names, annotations and unused standard imports do not change
the key; the order of statements, constants, attributes and the names of builtins and imported
objects do. The program that is trained on stays as its author wrote it: only the key is canonical.
A program that Python 3 cannot parse gets a Rejection instead.
"""

import ast
import hashlib
import re
import warnings
from dataclasses import dataclass

from raymode.sets.canonical import canonical_text

KEY_DIGITS = 32

_PYTHON2_MESSAGES = (
    "Missing parentheses in call to 'print'",
    "Missing parentheses in call to 'exec'",
    "multiple exception types must be parenthesized",
    "leading zeros in decimal integer literals",
)
_PYTHON2_TEXT = re.compile(
    r"""
    (?:^|[:;])[ \t]*print[ \t]+[\w"'`{-]          # print "text", print x
    | (?:^|[:;])[ \t]*print[ \t]*>>               # print >> stream, x
    | ^[ \t]*except[ \t]+[\w.]+[ \t]*,[ \t]*\w+[ \t]*:   # except Error, e:
    | ^[ \t]*raise[ \t]+[\w.]+[ \t]*,             # raise Error, "text"
    | ^[ \t]*exec[ \t]+["'\w]                     # exec "code"
    | `[^`\n]+`                                   # `x` for repr(x)
    | [\w)\]][ \t]*<>[ \t]*[\w(\[]                # a <> b
    | \b\d+[lL]\b                                 # 10L
    | \bur["']
    """,
    re.VERBOSE | re.MULTILINE,
)
_PYTHON2_NAMES = frozenset({"raw_input", "xrange", "unichr"})
_BOTH_VERSIONS = ("NameError", "version")  # a program that mentions these chooses for itself


@dataclass(frozen=True, slots=True)
class Normalized:
    """A parsed program: `key` is a hexadecimal hash of `canonical`, its text without surface."""

    key: str
    canonical: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a row is set aside: `reason` is one word to count by, `detail` says more."""

    reason: str
    detail: str


def parse(code: str) -> ast.Module | Rejection:
    """Return the syntax tree, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string is the author's business
            return ast.parse(code)
    except SyntaxError as error:
        reason = "python2" if _is_python2(code, error) else "syntax"
        return Rejection(reason, f"line {error.lineno}: {error.msg}")
    except (RecursionError, MemoryError):
        return Rejection("too_nested", "the parser's nesting limit is exceeded")
    except ValueError as error:
        return Rejection("syntax", str(error))  # a NUL character


def normalize(code: str) -> Normalized | Rejection:
    """Return the key of `code`, a Python 3 program, or why it has none."""
    tree = parse(code)
    return tree if isinstance(tree, Rejection) else normalize_tree(tree, code)


def normalize_tree(tree: ast.Module, code: str) -> Normalized | Rejection:
    """Return the key of a program already parsed from `code`."""
    canonical, free = canonical_text(tree)
    old = sorted(free & _PYTHON2_NAMES)
    if old and not any(word in code for word in _BOTH_VERSIONS):
        return Rejection("python2", f"uses {old[0]}, which Python 3 does not have")
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return Normalized(digest[:KEY_DIGITS], canonical)


def _is_python2(code: str, error: SyntaxError) -> bool:
    return error.msg.startswith(_PYTHON2_MESSAGES) or _PYTHON2_TEXT.search(code) is not None
