"""What a comparison says in words: what differs, and what to know before believing it."""

from collections.abc import Mapping

from raymode.measure.paired import Difference, values
from raymode.measure.stats import Interval, too_few_samples
from raymode.report.compare_data import Run
from raymode.report.compare_pairs import Comparison
from raymode.report.compare_stats import LEAST_PROBLEMS, Arm

FEW_PROBLEMS = 10  # intervals on fewer are not to be trusted
SAID = {
    "pass_at_1": "pass@1",
    "clusters_rarefied": "clusters (rarefied)",
    "calibration_ratio_set": "R",
}
# If the difference is above 0, below it, neither; a larger R is less varied.
VALIDITY = ("more often right", "less often right", "no difference in validity is shown")
VARIETY = (
    "its right answers are less varied",
    "its right answers are more varied",
    "no difference in the variety of right answers is shown",
)


def says(made: Comparison) -> list[str]:
    """Return in sentences what differs."""
    base = made.arms[0]
    sentences = []
    for arm, found in zip(made.arms[1:], made.found, strict=True):
        where = f" (decoding {arm.decoding})"
        if arm.decoding != base.decoding:
            where = f" (decoding {arm.decoding} against {base.decoding})"
        sentences += _pair(base.run, arm.run, where, found)
    return sentences


def warns(made: Comparison) -> list[str]:
    """Return what a reader has to know before believing the figures."""
    warnings = []
    for run, arm in zip(made.runs, made.arms, strict=True):
        warnings += _warn_of_arm(made, run, arm)
    if len({tuple(sorted(_counts(made, arm))) for arm in made.arms}) > 1:
        told = ", ".join(f"{arm.run} {counts(made, arm)}" for arm in made.arms)
        warnings.append(
            f"Completions per problem differ: {told}. pass@1, R and rarefied figures are fair at any count; counts of"
            " clusters found are not."
        )
    if len({arm.decoding for arm in made.arms}) > 1:
        warnings.append(
            "The runs have no decoding in common: the difference is of decoding and of run together."
        )
    sizes = {run.config.score.rarefy_to for run in made.runs}
    if len(sizes) > 1:
        warnings.append(
            f"Rarefied metrics are left out: score.rarefy_to differs ({', '.join(map(str, sorted(sizes)))}); score with the same."
        )
    weights = frozenset[str]().union(*(each.weights for each in made.samples.values()))
    if len(weights) == 1:
        warnings.append("All runs sampled the same weights.")
    if len(made.problems) < FEW_PROBLEMS:
        warnings.append(f"Only {len(made.problems)} problems: intervals on so few are too narrow.")
    return warnings


def _pair(baseline: str, other: str, where: str, found: Mapping[str, Difference]) -> list[str]:
    """Return what differs between a run and the baseline, validity beside diversity."""
    right = verdict(found["pass_at_1"].change, *VALIDITY)
    figures = [f"{label} {_told(found[name])}" for name, label in SAID.items() if name in found]
    said = f"{other} against {baseline}{where}: {right}; {_variety(found)}."
    return [said, f"{'; '.join(figures)}."]


def _variety(found: Mapping[str, Difference]) -> str:
    """Return the words for the difference of R, which is fair at any count of right completions."""
    ratio = found.get("calibration_ratio_set")
    if ratio is None:
        return "variety was not measured"
    if ratio.change.n < LEAST_PROBLEMS:
        return (
            f"nothing can be said of variety, on {ratio.change.n} problems with two right completions"
            " in both"
        )
    return verdict(ratio.change, *VARIETY)


def _told(found: Difference) -> str:
    """Return a metric of both and their difference, with the number of problems it stands on."""
    change = found.change
    if change.n < LEAST_PROBLEMS:
        return f"n/a (n = {change.n} problems)"
    return (
        f"{found.baseline:.3g} → {found.other:.3g}, difference {change.mean:+.3g} [{change.low:+.3g}, {change.high:+.3g}],"
        f" n = {change.n} problems"
    )


def verdict(change: Interval, higher: str, lower: str, neither: str) -> str:
    """Return the words for a difference: by whether its interval lies on one side of 0."""
    if change.low > 0:
        return higher
    return lower if change.high < 0 else neither


def counts(made: Comparison, arm: Arm) -> str:
    """Return how many completions a problem has: one number, or from-to."""
    found = _counts(made, arm)
    return f"{min(found)}" if len(found) == 1 else f"{min(found)} to {max(found)}"


def _warn_of_arm(made: Comparison, run: Run, arm: Arm) -> list[str]:
    warnings = []
    left = len(run.problems) - len(made.problems)
    if left:
        warnings.append(
            f"{arm.run}: {left} of {len(run.problems)} problems are not in all runs and are left out."
        )
    own = [each for name in made.problems for each in made.samples[arm.run].by_problem[name]]
    unparsed = sum(each.unparsed for each in own)
    if unparsed:
        warnings.append(
            f"{arm.run}: {unparsed} of {len(own)} completions ({unparsed / len(own):.1%}) could not be read as asked;"
            " they count as not right."
        )
    unjudged = sum(values(arm.scores, made.problems, "unjudged"))
    if unjudged > 0:
        warnings.append(
            f"{arm.run}: the judge failed on {unjudged:.0f} of {len(own)} completions; they are left out."
        )
    if not all(arm.scores[name].get("isolated", True) in (True, None) for name in made.problems):
        warnings.append(
            f"{arm.run}: programs were verified WITHOUT isolation (sandbox.allow_unsafe=true)."
        )
    return warnings + _warn_of_samples(made, arm)


def _warn_of_samples(made: Comparison, arm: Arm) -> list[str]:
    """Return a warning where the right completions are too few to show the clusters of the data."""
    few = []
    for name in made.problems:
        right = sum(each.right for each in made.samples[arm.run].by_problem[name])
        said = too_few_samples(right, len(made.sets.clusters[name]))
        few += [said] if said else []
    if not few:
        return []
    return [
        f"{arm.run}: in {len(few)} of {len(made.problems)} problems the right completions are too few to show the data's clusters"
        f" (such as: {few[len(few) // 2]}), so clusters that were not found say little there."
    ]


def _counts(made: Comparison, arm: Arm) -> set[int]:
    return {len(made.samples[arm.run].by_problem[name]) for name in made.problems}
