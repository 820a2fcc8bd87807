"""No right program of a held-out problem may stand in the training split: it could then be recited."""

from raymode.sets.normalize import Normalized, normalize
from raymode.sources.embedded import generate


def test_no_right_program_of_a_held_out_problem_is_trained_on():
    keys: dict[str, dict[str, str]] = {"train": {}, "heldout": {}}
    for problem, solutions in generate(0, problems_per_family=60, slow_every=0):
        split = "train" if problem["split"] == "train" else "heldout"
        for solution in solutions:
            normalized = normalize(solution["code"])
            if solution["claimed"] and isinstance(normalized, Normalized):
                keys[split][normalized.key] = problem["problem_id"]
    assert len(keys["train"]) > 5000 and len(keys["heldout"]) > 1000
    shared = keys["train"].keys() & keys["heldout"].keys()
    assert not {(keys["train"][key], keys["heldout"][key]) for key in shared}
