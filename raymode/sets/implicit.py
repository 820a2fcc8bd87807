"""The responses per prompt of finished set tables, once near-duplicate prompts are one."""

from collections import defaultdict

from raymode.sets.effective import implicit_responses
from raymode.sets.parts import file_name
from raymode.sets.select import is_accepted
from raymode.store import Store

_RESPONSE = ["problem_id", "solution_id", "verdict", "claimed"]


def implicit_k(store: Store, parts: int) -> float | None:
    """Return the responses per prompt of so many parts; None if there are none.

    Holds the text of every prompt and the key of every response: memory that grows with the tables.
    """
    responses: dict[str, set[str]] = defaultdict(set)
    for number in range(parts):
        prompts = {
            row["problem_id"]: row["prompt"]
            for row in store.rows(file_name("problems", number), ["problem_id", "prompt"])
        }
        for row in store.rows(file_name("solutions", number), _RESPONSE):
            if is_accepted(row):
                key = row["solution_id"].rpartition("/")[2]
                responses[prompts[row["problem_id"]]].add(key)
    found = implicit_responses({prompt: sorted(keys) for prompt, keys in responses.items()})
    return found.implicit_k if responses else None
