"""The files of the set tables: parts that stand whole or not at all, and the summary over all of them.

Part n is problems/part-n.parquet and its like in solutions, executions and rejected; parts/part-n.json,
written last, says that the part is whole and what is in it. manifest.json, written after all parts,
says that the sets are.
"""

import contextlib
import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from raymode.errors import DataError
from raymode.schema import SCHEMAS
from raymode.sets import journal
from raymode.sets.effective import group_k_eff, implicit_responses
from raymode.sets.journal import TABLES
from raymode.sets.select import is_accepted
from raymode.sets.verify import NOT_JUDGED
from raymode.store import RowDigest, Store

Rows = Sequence[Mapping[str, Any]]
Compare = Callable[[Store, int], float | None]

MEASURED = "executions"
"""The one table whose values differ from run to run."""
READERS = 8
"""Journal files read at a time: an object store takes long to begin an answer, and the driver waits for all of them."""
MOST_COMPARED = 50_000
"""Problems whose prompts are looked through for near-duplicates."""
COMPARED_HERE = 1_000
"""Problems whose prompts are a few MiB: comparing them is done before another process could begin."""
RIGHT, WRONG = "claimed_right", "known_wrong"


def file_name(table: str, number: int) -> str:
    """Return the name of a part of a table."""
    return f"{table}/part-{number:05d}.parquet"


def is_whole(store: Store, number: int) -> bool:
    """Return whether a part was written completely."""
    return store.exists(_record_name(number))


def write_part(store: Store, number: int, size: int) -> None:
    """Write one part from what the journal holds of its `size` problems; holds `READERS` of them at a time."""
    count = _Count()
    digests = {name: RowDigest(SCHEMAS[name]) for name in TABLES if name != MEASURED}
    with contextlib.ExitStack() as files:
        writers = {
            name: files.enter_context(store.table_writer(file_name(name, number), name))
            for name in TABLES
        }
        for tables in files.enter_context(contextlib.closing(_problems(store, number, size))):
            rows = {name: table.to_pylist() for name, table in tables.items()}
            for name in TABLES:
                writers[name].write(tables[name])
            for name, digest in digests.items():
                digest.update(rows[name])
            count.add(rows)
    content = "".join(f"{name}:{digest.hexdigest()}\n" for name, digest in digests.items())
    record = count.record() | {"content": hashlib.sha256(content.encode()).hexdigest()}
    store.write_json(_record_name(number), record)
    journal.forget(store, number)


def _problems(store: Store, number: int, size: int) -> Generator[dict[str, pa.Table]]:
    """Yield the tables of a part's problems in their order, read a few ahead."""
    with ThreadPoolExecutor(READERS) as pool:
        coming: deque[Future[dict[str, pa.Table]]] = deque()
        for position in range(size):
            coming.append(pool.submit(journal.load, store, number, position))
            if len(coming) == READERS:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def summarize(
    store: Store, parts: int, elsewhere: Callable[[Compare], Compare] = lambda compare: compare
) -> dict[str, Any]:
    """Return the counts over all parts; DataError if a problem id stands in two of them.

    elsewhere: returns its argument as another process does it; that alone holds the text of every prompt.
    """
    totals: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    sources: dict[str, Counter[str]] = defaultdict(Counter)
    names: Counter[str] = Counter()
    content = hashlib.sha256()
    k_eff = 0.0
    for number in range(parts):
        record = store.read_json(_record_name(number))
        names.update(record["problem_ids"])
        totals.update(record["totals"])
        k_eff += record["k_eff"]
        reasons.update(record["rejected"])
        for counters, counted in ((verdicts, record["verdicts"]), (sources, record["sources"])):
            for name, counts in counted.items():
                counters[name].update(counts)
        content.update(record["content"].encode())
    _check_unique(names)
    with_solutions = totals.pop("problems_with_accepted")
    wrong = verdicts[WRONG]
    return {
        **{
            name: totals[name]
            for name in ("problems", "programs", "copies", "solutions", "accepted")
        },
        "problems_with_accepted": with_solutions,
        "accepted_per_problem": _ratio(totals["accepted"], with_solutions),
        "clusters_per_problem": _ratio(totals["clusters"], with_solutions),
        "k_eff": _ratio(k_eff, with_solutions),
        "implicit_k": _compared(store, parts, totals["problems"], elsewhere),
        "verdicts": {
            claim: dict(sorted(counts.items())) for claim, counts in sorted(verdicts.items())
        },
        "known_wrong": wrong.total(),
        "false_positives": wrong["AC"],
        "false_positive_share": _ratio(wrong["AC"], wrong.total()),
        "sources": {
            name: {
                **counts,
                "false_positive_share": _ratio(counts["false_positives"], counts["known_wrong"]),
            }
            for name, counts in sorted(sources.items())
        },
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


class _Count:
    """Counts what is in a part, for the summary."""

    def __init__(self) -> None:
        self._problem_ids: list[str] = []
        self._totals: Counter[str] = Counter()
        self._k_eff = 0.0
        self._rejected: Counter[str] = Counter()
        self._verdicts: dict[str, Counter[str]] = {RIGHT: Counter(), WRONG: Counter()}
        self._sources: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, rows: Mapping[str, Rows]) -> None:
        """Count the rows of one problem, by table."""
        problems, solutions, rejected = rows["problems"], rows["solutions"], rows["rejected"]
        accepted = [row for row in solutions if is_accepted(row)]
        copies = sum(row["copies"] - 1 for row in solutions)
        bad = sum(row["table"] == "solutions" for row in rejected)
        self._problem_ids += [row["problem_id"] for row in problems]
        self._totals.update(
            problems=len(problems),
            programs=len(solutions) + copies + bad,
            copies=copies,
            solutions=len(solutions),
            accepted=len(accepted),
            problems_with_accepted=bool(accepted),
            clusters=len({row["cluster_id"] for row in accepted}),
        )
        if accepted:
            self._k_eff += group_k_eff([row["features"] for row in accepted])
        self._rejected.update(f"{row['table']}: {row['reason']}" for row in rejected)
        for row in solutions:
            self._verdicts[RIGHT if row["claimed"] else WRONG][row["verdict"]] += 1
        wrong = [row for row in solutions if not row["claimed"]]
        for problem in problems:
            self._sources[problem["source"]].update(
                known_wrong=len(wrong), false_positives=sum(row["verdict"] == "AC" for row in wrong)
            )

    def record(self) -> dict[str, Any]:
        """Return the counts as JSON can hold them."""
        return {
            "problem_ids": self._problem_ids,
            "totals": self._totals,
            "k_eff": self._k_eff,
            "verdicts": self._verdicts,
            "sources": self._sources,
            "rejected": self._rejected,
        }


def _check_unique(names: Counter[str]) -> None:
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise DataError(
            f"problems: id {repeated[0]!r} stands more than once ({len(repeated)} such ids);"
            " give every problem of the source an id of its own"
        )


def _compared(
    store: Store, parts: int, problems: int, elsewhere: Callable[[Compare], Compare]
) -> float | None:
    if problems > MOST_COMPARED:
        return None
    compare = elsewhere(implicit_k) if problems > COMPARED_HERE else implicit_k
    return compare(store, parts)


def implicit_k(store: Store, parts: int) -> float | None:
    """Return the responses per prompt of so many parts once near-duplicate prompts are one; None if there are none.

    Holds the text of every prompt and the key of every response: memory that grows with the tables.
    """
    responses: dict[str, set[str]] = defaultdict(set)
    for number in range(parts):
        prompts = {
            row["problem_id"]: row["prompt"]
            for row in store.rows(file_name("problems", number), ["problem_id", "prompt"])
        }
        columns = ["problem_id", "solution_id", "verdict", "claimed"]
        for row in store.rows(file_name("solutions", number), columns):
            if is_accepted(row):
                key = row["solution_id"].rpartition("/")[2]
                responses[prompts[row["problem_id"]]].add(key)
    found = implicit_responses({prompt: sorted(keys) for prompt, keys in responses.items()})
    return found.implicit_k if responses else None


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
