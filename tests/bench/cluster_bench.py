"""How well clusters agree with people, and what features, signatures and tree distances cost.

    python tests/bench/cluster_bench.py [--data FOLDER] [--problems 400]

Printed for the signature, for the agglomeration of features and for tree edit distance:

* the adjusted Rand index against the strategies of the embedded families (mean and worst family);
* the same against people's labels of approaches (mean of the Exercism exercises with two or more
  labels), with the precision and recall of the pairs put together;
* of LeetCode solutions: which share of *alternatives* (two classes that one author wrote into one
  file, so different on purpose) is told apart, which share of *copies* (different repositories, the
  sequences of tokens at least .9 alike without names) is kept together, and which share of all
  pairs of a problem is told apart, which a method that cuts at random would do to alternatives too.

Some "copies" differ in the one line that matters, so 1.0 is not the aim there. FOLDER holds
code/exercism_public.jsonl.gz and code/leetcode_public.parquet; by default it is data/ in the folder
that RAYMODE_SHARED names. Without it only the embedded families are measured. The costs are CPU
seconds of one process. Fix the script to one core with taskset.
"""

import argparse
import difflib
import gzip
import itertools
import json
import os
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raymode.sets.cluster import adjusted_rand, cluster_agglomerative, signature
from raymode.sets.features import features
from raymode.sets.normalize import Normalized, normalize
from raymode.sets.tree_distance import cluster_tree_edit
from raymode.sources.embedded import generate

Labels = Sequence[Hashable]
Method = Callable[[Sequence[str]], Labels]
ALIKE = 0.9
SIZES = (20, 50, 100)

METHODS: dict[str, Method] = {
    "signature": lambda codes: [signature(features(code)) for code in codes],
    **{
        f"features {threshold}": lambda codes, threshold=threshold: cluster_agglomerative(
            [features(code) for code in codes], threshold
        )
        for threshold in (0.6, 0.7, 0.8, 0.9)
    },
    **{
        f"tree edit {threshold}": lambda codes, threshold=threshold: cluster_tree_edit(
            codes, threshold
        )
        for threshold in (0.6, 0.7, 0.75, 0.8)
    },
    "all alone": lambda codes: range(len(codes)),
}


@dataclass
class Labelled:
    """The programs of one task with people's or the generator's labels."""

    labels: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


@dataclass
class Paired:
    """The solutions of one problem with pairs that ought to be apart, and pairs that are alike."""

    codes: list[str]
    alternatives: list[tuple[int, int]]
    copies: list[tuple[int, int]]


def embedded() -> list[Labelled]:
    """Return the right programs of each embedded family, several problems together."""
    found: dict[str, Labelled] = defaultdict(Labelled)
    for problem, solutions in generate(seed=5, problems_per_family=4):
        for row in solutions:
            if row["claimed"]:
                family = found[problem["family"]]
                family.labels.append(row["label"].removeprefix("renamed:"))
                family.codes.append(row["code"])
    return list(found.values())


def exercism(path: Path) -> list[Labelled]:
    """Return the snippets of each exercise that has two or more labels of approaches."""
    found = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            solutions = json.loads(line)["solutions"]
            rows = [
                row for row in solutions if row.get("approach") not in (None, "official-example")
            ]
            if len({row["approach"] for row in rows}) > 1:
                codes = [row["code"] for row in rows]
                found.append(Labelled([row["approach"] for row in rows], codes))
    return found


def leetcode(path: Path, problems: int) -> list[Paired]:
    """Return some problems that have alternatives, always the same ones."""
    import pyarrow.parquet as pq

    found = []
    for row in pq.read_table(path).to_pylist():
        texts = [_tokens(code) for code in row["x_solutions_core"]]
        if None in texts:
            continue
        about = row["x_solutions_meta"]
        pairs = list(itertools.combinations(range(len(about)), 2))
        alternatives = [
            (i, j)
            for i, j in pairs
            if about[i]["repo"] == about[j]["repo"]
            and about[i]["path"] == about[j]["path"]
            and about[i]["cls"] != about[j]["cls"]
        ]
        if alternatives:
            copies = [
                (i, j)
                for i, j in pairs
                if about[i]["repo"] != about[j]["repo"]
                and about[i]["alpha"] != about[j]["alpha"]
                and _are_alike(texts[i] or [], texts[j] or [])
            ]
            found.append(Paired(row["solutions"]["solution"], alternatives, copies))
    return random.Random(0).sample(found, min(problems, len(found)))


def _tokens(code: str) -> list[str] | None:
    found = normalize(code)
    return re.sub(r"\$\d+", "$", found.canonical).split() if isinstance(found, Normalized) else None


def _are_alike(one: list[str], other: list[str]) -> bool:
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    tests = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(test() >= ALIKE for test in tests)


def agreement(tasks: Iterable[Labelled], method: Method) -> tuple[list[float], float, float]:
    """Return the adjusted Rand index of each task; precision and recall of the pairs of all."""
    indices = []
    both = found = wanted = 0
    for task in tasks:
        labels = method(task.codes)
        indices.append(adjusted_rand(task.labels, labels))
        for i, j in itertools.combinations(range(len(labels)), 2):
            same, alike = labels[i] == labels[j], task.labels[i] == task.labels[j]
            both, found, wanted = both + (same and alike), found + same, wanted + alike
    return indices, both / found if found else 1.0, both / wanted


def apart(problems: Iterable[Paired], method: Method) -> tuple[float, float, float]:
    """Return the shares: alternatives told apart, copies kept together, all pairs told apart."""
    different: dict[str, list[bool]] = defaultdict(list)
    for problem in problems:
        labels = method(problem.codes)
        everything = list(itertools.combinations(range(len(labels)), 2))
        kinds = {"other": problem.alternatives, "same": problem.copies, "all": everything}
        for kind, pairs in kinds.items():
            different[kind] += [labels[i] != labels[j] for i, j in pairs]
    mean = {kind: statistics.mean(values or [False]) for kind, values in different.items()}
    return mean["other"], 1 - mean["same"], mean["all"]


def print_quality(data: Path | None, problems: int) -> None:
    """Print the table of quality."""
    families = embedded()
    exercises = exercism(data / "code/exercism_public.jsonl.gz") if data else []
    pairs = leetcode(data / "code/leetcode_public.parquet", problems) if data else []
    counts = [sum(len(p.alternatives) for p in pairs), sum(len(p.copies) for p in pairs)]
    print(f"{len(families)} families, {len(exercises)} exercises with "
          f"{sum(len(task.codes) for task in exercises)} snippets, {len(pairs)} problems with "
          f"{counts[0]} alternatives and {counts[1]} copies")  # fmt: skip
    print(f"{'':16} {'embedded':>8} {'worst':>6} {'exercism':>9} {'prec.':>6} {'recall':>6} "
          f"{'altern. apart':>14} {'copies together':>16} {'all apart':>10}")  # fmt: skip
    for name, method in METHODS.items():
        indices, _, _ = agreement(families, method)
        line = f"{name:16} {statistics.mean(indices):8.2f} {min(indices):6.2f}"
        if data:
            people, precision, recall = agreement(exercises, method)
            other, same, every = apart(pairs, method)
            line += f" {statistics.mean(people):9.2f} {precision:6.2f} {recall:6.2f}"
            line += f" {other:14.2f} {same:16.2f} {every:10.2f}"
        print(line, flush=True)


def print_costs(data: Path | None) -> None:
    """Print what one program, and clusters of several, cost in CPU time."""
    rng = random.Random(0)
    codes = [code for task in embedded() for code in task.codes]
    if data:
        pairs = leetcode(data / "code/leetcode_public.parquet", 10**6)
        codes = [code for problem in pairs for code in problem.codes]
    spent = []
    for code in rng.sample(codes, 300):
        start = time.process_time()
        signature(features(code))
        spent.append(1e3 * (time.process_time() - start))
    spent.sort()
    lines = statistics.median(code.count("\n") for code in codes)
    print(f"features and signature of programs of {lines:.0f} lines: median "
          f"{statistics.median(spent):.2f} ms, 99th percentile {spent[-4]:.2f} ms")  # fmt: skip
    for size in SIZES:
        chosen = rng.sample(codes, size)
        start = time.process_time()
        cluster_tree_edit(chosen)
        print(f"tree edit clusters of {size} programs: {time.process_time() - start:.2f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = os.environ.get("RAYMODE_SHARED")
    parser.add_argument("--data", type=Path, default=Path(shared, "data") if shared else None)
    parser.add_argument("--problems", type=int, default=400)
    options = parser.parse_args(arguments)
    print_quality(options.data, options.problems)
    print_costs(options.data)


if __name__ == "__main__":
    main()
