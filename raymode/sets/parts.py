"""The files of the set tables: parts that stand whole or not at all, and the summary over all of them.

Part n is problems/part-n.parquet and its like in solutions, executions and rejected; parts/part-n.json,
written last, says that the part is whole and what is in it. manifest.json, written after all parts,
says that the sets are.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from raymode.errors import DataError
from raymode.schema import table_of
from raymode.sets.select import is_accepted
from raymode.sets.verify import NOT_JUDGED, Judged
from raymode.store import Store, table_hash

TABLES = ("problems", "solutions", "executions", "rejected")
MEASURED = "executions"
"""The one table whose values differ from run to run."""


def file_name(table: str, number: int) -> str:
    """Return the name of a part of a table."""
    return f"{table}/part-{number:05d}.parquet"


def is_whole(store: Store, number: int) -> bool:
    """Return whether a part was written completely."""
    return store.exists(_record_name(number))


def write_part(store: Store, number: int, judged: Sequence[Judged]) -> None:
    """Write one part; `judged` is in the order of its partition."""
    digest = hashlib.sha256()
    for name in TABLES:
        rows = [row for problem in judged for row in getattr(problem, name)]
        table = table_of(name, rows)
        if name != MEASURED:
            digest.update(f"{name}:{table_hash(table)}\n".encode())
        store.write_table(file_name(name, number), table)
    record = _count(judged) | {"content": digest.hexdigest()}
    store.write_json(_record_name(number), record)


def summarize(store: Store, parts: int) -> dict[str, Any]:
    """Return the counts over all parts; DataError if a problem id stands in two of them."""
    records = [store.read_json(_record_name(number)) for number in range(parts)]
    _check_unique([name for record in records for name in record["problem_ids"]])
    totals: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        totals.update(record["totals"])
        reasons.update(record["rejected"])
        for claim, counts in record["verdicts"].items():
            verdicts[claim].update(counts)
    content = hashlib.sha256("".join(record["content"] for record in records).encode())
    with_solutions = totals.pop("problems_with_accepted")
    wrong = verdicts["known_wrong"]
    return {
        **{
            name: totals[name]
            for name in ("problems", "programs", "copies", "solutions", "accepted")
        },
        "problems_with_accepted": with_solutions,
        "accepted_per_problem": _ratio(totals["accepted"], with_solutions),
        "clusters_per_problem": _ratio(totals["clusters"], with_solutions),
        "verdicts": {
            claim: dict(sorted(counts.items())) for claim, counts in sorted(verdicts.items())
        },
        "known_wrong": wrong.total(),
        "false_positives": wrong["AC"],
        "false_positive_share": _ratio(wrong["AC"], wrong.total()),
        "rejected": dict(sorted(reasons.items())),
        "content": content.hexdigest(),
    }


def not_judged(store: Store) -> list[str]:
    """Return what to call the programs that no sandbox could judge, in the order of the tables."""
    return [
        f"problem {row['problem_id']!r}, solution {row['row']!r}"
        for row in store.rows("rejected")
        if row["reason"] == NOT_JUDGED
    ]


def _record_name(number: int) -> str:
    return f"parts/part-{number:05d}.json"


def _count(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return what is in a part, for the summary."""
    solutions = [row for problem in judged for row in problem.solutions]
    rejected = [row for problem in judged for row in problem.rejected]
    accepted = [row for row in solutions if is_accepted(row)]
    bad = sum(row["table"] == "solutions" for row in rejected)
    copies = sum(row["copies"] - 1 for row in solutions)
    verdicts: dict[str, Counter[str]] = {"claimed_right": Counter(), "known_wrong": Counter()}
    for row in solutions:
        verdicts["claimed_right" if row["claimed"] else "known_wrong"][row["verdict"]] += 1
    return {
        "problem_ids": [row["problem_id"] for problem in judged for row in problem.problems],
        "totals": {
            "problems": sum(len(problem.problems) for problem in judged),
            "programs": len(solutions) + copies + bad,
            "copies": copies,
            "solutions": len(solutions),
            "accepted": len(accepted),
            "problems_with_accepted": len({row["problem_id"] for row in accepted}),
            "clusters": len({(row["problem_id"], row["cluster_id"]) for row in accepted}),
        },
        "verdicts": verdicts,
        "rejected": Counter(f"{row['table']}: {row['reason']}" for row in rejected),
    }


def _check_unique(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"problems: id {repeated[0]!r} stands more than once ({len(repeated)} such ids);"
            " give every problem of the source an id of its own"
        )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
