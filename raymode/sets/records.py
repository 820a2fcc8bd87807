"""Checks the rows of a source, sets the bad ones aside, and makes one candidate of equal programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from raymode.sandbox.checkers import CHECKERS
from raymode.sandbox.limits import MOST
from raymode.schema import PROBLEMS
from raymode.sets.normalize import Rejection, normalize
from raymode.sets.text import near_duplicates, text_key
from raymode.sources.slices import SET_ASIDE

Row = dict[str, Any]

LANGUAGES = ("python",)
TEXT = "text"
"""Language of the responses of a problem that nothing is run for."""
NO_CHECKER = "none"
"""Checker of such a problem: its responses are references."""
_TEXTS = ("problem_id", "prompt", "checker", "source", "split")
_DETAIL_CHARACTERS = 300


@dataclass(slots=True)
class Prepared:
    """One problem on its way: `problem` is None if it was set aside, then there are no candidates."""

    problem: Row | None
    candidates: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)


def prepare(problem: Any, solutions: Any, place: str) -> Prepared:
    """Return the checked problem with its different programs; `place` names it where it has no id."""
    found = check_problem(problem)
    name = problem.get("problem_id") if isinstance(problem, dict) else None
    name = name if isinstance(name, str) and name and is_text(name) else None
    listed = list(solutions) if isinstance(solutions, list | tuple) else []
    if found is not None or name is None:
        found = found or Rejection("no_problem_id", "the problem has no id")
        missed = f"{found.detail}; its {len(listed)} solutions are not run"
        rows = [rejected("problems", name or place, name, Rejection(found.reason, missed))]
        reason = Rejection("problem_rejected", f"the problem was set aside: {found.reason}")
        rows += [
            rejected("solutions", f"{name or place}#{i}", name, reason) for i in range(len(listed))
        ]
        return Prepared(None, [], rows)
    prepared = Prepared({column: problem.get(column) for column in PROBLEMS.names})
    _add_candidates(prepared, name, listed)
    return prepared


def check_problem(problem: Any) -> Rejection | None:
    """Return what is wrong with a problem, or None."""
    if not isinstance(problem, dict):
        return Rejection(
            "wrong_type", f"expected columns and values, found {type(problem).__name__}"
        )
    if SET_ASIDE in problem:
        return Rejection(**problem[SET_ASIDE])
    for column in _TEXTS:
        value = problem.get(column)
        if not isinstance(value, str) or not value.strip() or not is_text(value):
            return Rejection(
                f"no_{column}", f"column {column!r}: expected text, found {_shown(value)}"
            )
    if problem["checker"] == NO_CHECKER:
        if problem.get("tests"):
            return Rejection("bad_checker", f"checker {NO_CHECKER!r} and tests do not go together")
        return _check_optional(problem)
    for column in ("cpu_s", "memory_mb"):
        most = MOST[column]
        if not _is_limit(problem.get(column), column == "memory_mb", most):
            shown = _shown(problem.get(column))
            return Rejection(
                "bad_limits",
                f"column {column!r}: expected a number above 0 and at most {most}, found {shown}",
            )
    if problem["checker"] not in CHECKERS:
        return Rejection(
            "bad_checker", f"checker {problem['checker']!r} is not one of {', '.join(CHECKERS)}"
        )
    return _check_tests(problem.get("tests")) or _check_optional(problem)


def is_text(value: str) -> bool:
    """Return whether a text can be stored: a lone surrogate cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def rejected(table: str, row: str, problem_id: str | None, why: Rejection) -> Row:
    """Return a row of table `rejected`."""
    detail = " ".join(why.detail.split()).encode(errors="replace").decode()[:_DETAIL_CHARACTERS]
    return {
        "table": table,
        "row": row,
        "problem_id": problem_id,
        "reason": why.reason,
        "detail": detail,
    }


def _is_limit(value: Any, whole: bool, most: float) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value <= most and (not whole or value == int(value))  # nor a NaN


def _check_tests(tests: Any) -> Rejection | None:
    if not isinstance(tests, list | tuple) or not tests:
        return Rejection(
            "no_tests", f"column 'tests': expected at least one test, found {_shown(tests)}"
        )
    for number, test in enumerate(tests):
        parts = [test.get("input"), test.get("output")] if isinstance(test, dict) else [None]
        if not all(isinstance(part, str) and is_text(part) for part in parts):
            return Rejection(
                "bad_test", f"test {number}: expected input and output texts, found {_shown(test)}"
            )
    return None


def _check_optional(problem: Row) -> Rejection | None:
    for column in ("family", "topic"):
        value = problem.get(column)
        if value is not None and not (isinstance(value, str) and is_text(value)):
            return Rejection(
                "wrong_type", f"column {column!r}: expected text or nothing, found {_shown(value)}"
            )
    return None


def _add_candidates(prepared: Prepared, name: str, solutions: Sequence[Any]) -> None:
    """Make the first of equal responses a candidate, and count the others as its copies."""
    assert prepared.problem is not None
    is_text = prepared.problem["checker"] == NO_CHECKER
    by_key: dict[str, Row] = {}
    for number, solution in enumerate(solutions):
        why = _check_solution(solution, name, (TEXT,) if is_text else LANGUAGES)
        key = why or (text_key(solution["code"]) if is_text else _program_key(solution["code"]))
        if isinstance(key, Rejection):
            prepared.rejected.append(rejected("solutions", f"{name}#{number}", name, key))
        elif key in by_key:
            _add_copy(by_key[key], solution)
        else:
            by_key[key] = {
                "solution_id": f"{name}/{key}",
                "problem_id": name,
                "code": solution["code"],
                "language": solution["language"],
                "label": solution.get("label"),
                "claimed": solution["claimed"],
                "copies": solution.get("copies", 1),
            }
    different = list(by_key.values())
    prepared.candidates = _without_near_duplicates(different) if is_text else different


def _program_key(code: str) -> str | Rejection:
    normal = normalize(code)
    return normal if isinstance(normal, Rejection) else normal.key


def _add_copy(known: Row, solution: Row) -> None:
    known["copies"] += solution.get("copies", 1)
    known["claimed"] = known["claimed"] or solution["claimed"]


def _without_near_duplicates(texts: Sequence[Row]) -> list[Row]:
    """Return the first text of every group that says the same in almost the same words."""
    kept: dict[int, Row] = {}
    for text, group in zip(texts, near_duplicates([row["code"] for row in texts]), strict=True):
        if group in kept:
            _add_copy(kept[group], text)
        else:
            kept[group] = text
    return list(kept.values())


def _check_solution(solution: Any, name: str, languages: Sequence[str]) -> Rejection | None:
    if not isinstance(solution, dict):
        return Rejection(
            "wrong_type", f"expected columns and values, found {type(solution).__name__}"
        )
    code, label = solution.get("code"), solution.get("label")
    if not isinstance(code, str) or not is_text(code):
        return Rejection("wrong_type", f"column 'code': expected text, found {_shown(code)}")
    if not code.strip():
        return Rejection("no_code", "it is empty")
    language = solution.get("language")
    if language not in languages:
        reason = language if language == "python2" else "language"
        return Rejection(
            reason, f"language {_shown(language)} is not one of {', '.join(languages)}"
        )
    if solution.get("problem_id") != name:
        return Rejection(
            "wrong_problem", f"belongs to problem {_shown(solution.get('problem_id'))}"
        )
    if not isinstance(solution.get("claimed"), bool):
        return Rejection(
            "wrong_type",
            f"column 'claimed': expected true or false, found {_shown(solution.get('claimed'))}",
        )
    copies = solution.get("copies", 1)
    if not isinstance(copies, int) or isinstance(copies, bool) or copies < 1:
        return Rejection(
            "wrong_type",
            f"column 'copies': expected a number of at least 1, found {_shown(copies)}",
        )
    if label is not None and not (isinstance(label, str) and is_text(label)):
        return Rejection(
            "wrong_type", f"column 'label': expected text or nothing, found {_shown(label)}"
        )
    return None


def _shown(value: object) -> str:
    return ascii(value)[:80]
