"""Which prompts and which of their responses are trained on: seeded and nested.

Everything is ranked by a number that derives from the seed and the row's own id. So a larger P or K
adds to a smaller one, every response is as likely as any other to be among the first K (random
K-of-N selection is unbiased), and neither the order of the tables nor the other problems matter.
Selections other than random start from that order (see strategies.py); held-out responses are
always chosen at random, so that what is measured does not depend on what is trained on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from raymode.errors import DataError
from raymode.seed import derive_seed
from raymode.sets.strategies import DIVERSITY_WEIGHT, Pool, Strategy, random, strategy

Row = Mapping[str, Any]

REFERENCE = "reference"
"""Verdict of a text that nothing was run for."""
ACCEPTED = frozenset({"AC", REFERENCE})


def order_responses(problem_id: str, solution_ids: Iterable[str], seed: int) -> list[str]:
    """Return the ids in random order; the first K are the responses kept of N."""
    return sorted(
        solution_ids, key=lambda name: (derive_seed(seed, "responses", problem_id, name), name)
    )


def order_prompts(problem_ids: Iterable[str], seed: int) -> list[str]:
    """Return the ids in random order; the first P are the prompts kept."""
    return sorted(problem_ids, key=lambda name: (derive_seed(seed, "prompts", name), name))


def select_groups(
    problems: Iterable[Row],
    solutions: Iterable[Row],
    *,
    prompts: int | None,
    responses: int,
    seed: int,
    minimum_responses: int = 0,
    selection: str = "random",
    diversity_weight: float = DIVERSITY_WEIGHT,
) -> list[dict[str, Any]]:
    """Return the rows of table `groups`: P prompts of split "train" with K responses each.

    prompts: P; None or 0 is all that have enough responses. responses: K, at least 1.
    minimum_responses: accepted solutions a problem needs to be chosen from; never less than K, so a
    sweep over K that gives its largest K here draws all its prompts from the same problems.
    selection: a name of strategies.STRATEGIES; diversity_weight: for quality_diversity only.
    Raises DataError if there are fewer such problems than `prompts`, or none, or if a solution lacks
    what the selection looks at; ConfigError for an unknown selection.
    """
    choose = strategy(selection)
    if responses < 1:
        raise DataError(f"train.responses={responses}: a group needs at least 1 response")
    needed = max(minimum_responses, responses)
    by_problem = _accepted(solutions)
    trainable = {
        str(problem["problem_id"]): problem
        for problem in problems
        if problem["split"] == "train" and len(by_problem[str(problem["problem_id"])]) >= needed
    }
    key = "minimum_responses" if minimum_responses > responses else "responses"
    _check_enough(len(trainable), prompts, needed, key)
    rows = []
    for rank, name in enumerate(order_prompts(trainable, seed)[: prompts or None]):
        pool = _pool(name, by_problem[name], seed, diversity_weight)
        rows += _group(rank, trainable[name], _keep(pool, choose, responses))
    return rows


def heldout_groups(
    problems: Iterable[Row],
    solutions: Iterable[Row],
    splits: Iterable[str],
    responses: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the rows of table `groups` for every problem of `splits` with an accepted solution.

    At most `responses` each, in the seeded order; a problem with fewer keeps all it has.
    """
    wanted, by_problem = set(splits), _accepted(solutions)
    chosen = {
        str(problem["problem_id"]): problem
        for problem in problems
        if problem["split"] in wanted and by_problem[str(problem["problem_id"])]
    }
    return [
        row
        for rank, name in enumerate(order_prompts(chosen, seed))
        for row in _group(
            rank, chosen[name], _keep(_pool(name, by_problem[name], seed), random, responses)
        )
    ]


def is_accepted(solution: Row) -> bool:
    """Say whether a solution belongs to its problem's equivalence set.

    A program that the source knows to be wrong does not, even if the tests let it through.
    """
    return solution["verdict"] in ACCEPTED and bool(solution["claimed"])


def _accepted(solutions: Iterable[Row]) -> dict[str, dict[str, Row]]:
    """Return problem id -> solution id -> row of the accepted solutions.

    A program that passes the tests although its source knows it to be wrong is not one of them.
    """
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for solution in solutions:
        if is_accepted(solution):
            found[str(solution["problem_id"])][str(solution["solution_id"])] = solution
    return found


def _check_enough(available: int, prompts: int | None, needed: int, key: str) -> None:
    if available and available >= (prompts or 0):
        return
    lower = f"train.{key}" if not available else f"train.prompts or train.{key}"
    raise DataError(
        f"groups: {available} training problems have at least {needed} accepted solutions, "
        f"{prompts or 'at least 1'} asked for; lower {lower}"
    )


def _pool(
    name: str, accepted: Mapping[str, Row], seed: int, diversity_weight: float = DIVERSITY_WEIGHT
) -> Pool:
    rows = [accepted[solution_id] for solution_id in order_responses(name, accepted, seed)]
    return Pool(name, rows, seed, diversity_weight)


def _keep(pool: Pool, choose: Strategy, responses: int) -> list[Row]:
    return [pool.rows[place] for place in choose(pool, responses)]


def _group(rank: int, problem: Row, kept: Iterable[Row]) -> list[dict[str, Any]]:
    return [
        {
            "prompt_rank": rank,
            "problem_id": str(problem["problem_id"]),
            "prompt": problem["prompt"],
            "response_rank": place,
            "solution_id": str(row["solution_id"]),
            "response": row["code"],
            "cluster_id": row["cluster_id"],
        }
        for place, row in enumerate(kept)
    ]
