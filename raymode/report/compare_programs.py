"""The table of problems of a comparison: figures per run, and the programs side by side by cluster.

Everything in it was written by a model or a source, so every text is cut, made visible and escaped.
The table is whole without the script, which only sorts and searches. Bytes are bounded: the more
problems, the fewer and shorter programs of each are shown.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from raymode.measure.paired import values
from raymode.report.compare_data import Sample, Samples, Sets, Texts
from raymode.report.compare_stats import Arm
from raymode.report.page import format_value, visible

PAGE_BYTES = 13_000_000  # of prompts and programs on a page, at most
SHOWN_PROBLEMS = 2000
PROMPT_BYTES = 3000
PROGRAM_BYTES = 4000
LEAST_PROGRAM = 120  # bytes, however little room there is
NOTE_BYTES, NAME_BYTES, MESSAGE_BYTES = 600, 100, 200
LEAST_GROUP = 500  # bytes a group is given before another one is shown
MOST_GROUPS = 24  # of one run and problem
NAMES = 12  # of clusters in one line
RIGHT, WRONG = "right", "wrong"
COLUMNS = (("pass_at_1", "pass@1"), ("clusters_found", "clusters"), ("calibration_ratio_set", "R"))


class Group(NamedTuple):
    """Completions or solutions that are shown by one of them; `what` they are: right, wrong, solutions."""

    size: int
    what: str
    name: str
    mark: str
    said: str
    place: int


class Side(NamedTuple):
    """One column of an opened problem."""

    title: str
    notes: Sequence[str]
    groups: Sequence[Group]
    texts: Texts


def problem_rows(arms: Sequence[Arm], problems: Sequence[str], sets: Sets) -> list[dict[str, Any]]:
    """Return the figures of each problem: the rows of the table and of its CSV."""
    columns = {
        f"{arm.run}: {label}": values(arm.scores, problems, name)
        for arm in arms
        for name, label in COLUMNS
    }
    base = arms[0]
    for arm in arms[1:]:
        change = values(arm.scores, problems, "pass_at_1") - values(
            base.scores, problems, "pass_at_1"
        )
        columns[f"{arm.run}: pass@1 − {base.run}"] = change
    return [
        {
            "problem": name,
            "split": sets.splits[name],
            "data clusters": len(sets.clusters[name]),
            **{label: float(column[place]) for label, column in columns.items()},
        }
        for place, name in enumerate(problems)
    ]


def problem_table(
    rows: Sequence[Mapping[str, Any]], samples: Mapping[str, Samples], sets: Sets
) -> str:
    """Return the table as HTML, at most `SHOWN_PROBLEMS` rows: those with the largest differences of pass@1."""
    shown = _most_different(rows)
    budget = PAGE_BYTES // max(1, len(shown))
    columns = list(rows[0])
    head = "".join(f'<th scope="col">{escape(visible(name))}</th>' for name in columns)
    bodies = [_body(row, columns, samples, sets, budget) for row in shown]
    note = (
        f"{len(shown):,} of {len(rows):,} problems: those whose pass@1 differs most; all stand in the CSV."
        if len(shown) < len(rows)
        else f"{len(shown):,} problems."
    )
    tools = (
        '<p id="tools" hidden><label>Search problems and programs <input id="search" type="search"></label>'
        ' <span id="shown" role="status"></span></p>'
    )
    table = f'<table id="problems"><thead><tr>{head}</tr></thead>\n{"".join(bodies)}</table>'
    return f'<p class="note">{note}</p>{tools}\n{table}'


def cut(text: str, most: int) -> str:
    """Return a text for the page: visible, escaped, of at most about `most` bytes; what is left out is counted."""
    kept = text[:most]
    shown = escape(visible(kept), quote=False)
    while len(shown.encode(errors="replace")) > most and kept:
        kept = kept[: len(kept) * 3 // 4]
        shown = escape(visible(kept), quote=False)
    left = len(text) - len(kept)
    return f"{shown}\n… {left:,} more characters" if left else shown


def _most_different(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(rows) <= SHOWN_PROBLEMS:
        return rows
    changes = [name for name in rows[0] if ": pass@1 − " in name]

    def size(place: int) -> float:
        return max(
            (abs(rows[place][name]) for name in changes if not math.isnan(rows[place][name])),
            default=0.0,
        )

    kept = sorted(range(len(rows)), key=lambda place: (-size(place), place))[:SHOWN_PROBLEMS]
    return [rows[place] for place in sorted(kept)]


def _body(
    row: Mapping[str, Any],
    columns: Sequence[str],
    samples: Mapping[str, Samples],
    sets: Sets,
    budget: int,
) -> str:
    name = row["problem"]
    cells = "".join(_cell(column, row[column]) for column in columns)
    sides = [_run_side(run, each, sets, name) for run, each in samples.items()]
    sides.append(_data_side(samples, sets, name))
    share = budget // (len(sides) + 1)
    prompt = f'<pre class="prompt">{cut(sets.prompts[name], min(PROMPT_BYTES, share))}</pre>'
    shown = "".join(_side(side, share) for side in sides)
    opened = f"<details><summary>Prompt and programs</summary>{prompt}<div class=sides>{shown}</div></details>"
    return f"<tbody><tr>{cells}</tr>\n<tr><td colspan={len(columns)}>{opened}</td></tr></tbody>\n"


def _cell(column: str, value: object) -> str:
    """Return a cell; `data-value` sorts, `data-label` names it where the head is out of sight."""
    label = escape(visible(column))
    if isinstance(value, str):
        scope = "th scope=row" if column == "problem" else "td"
        return f'<{scope} data-label="{label}">{escape(visible(value))}</{scope[:2]}>'
    assert isinstance(value, int | float)
    shown = format_value(value if isinstance(value, int) else float(f"{value:.3g}"))
    key = "" if math.isnan(value) else f' data-value="{value:g}"'
    return f'<td class=number data-label="{label}"{key}>{shown}</td>'


def _run_side(run: str, samples: Samples, sets: Sets, problem: str) -> Side:
    own, texts = samples.by_problem[problem], samples.texts
    known = sets.clusters[problem]
    right, wrong = _grouped(own, right=True), _grouped(own, right=False)
    groups = [
        Group(
            len(members),
            RIGHT,
            cluster,
            "" if cluster in known else "new",
            "",
            _shortest(texts, members),
        )
        for cluster, members in right
    ]
    for verdict, members in wrong:
        place = _shortest(texts, members)
        message = next(each.message for each in members if each.place == place)
        groups.append(Group(len(members), WRONG, verdict, "", message, place))
    missed = [cluster for cluster in known if cluster not in dict(right)]
    unparsed = sum(each.unparsed for each in own)
    notes = [f"{sum(each.right for each in own)} of {len(own)} right, in {len(right)} clusters."]
    if unparsed:
        notes.append(f"{unparsed} unparsed.")
    if known:
        notes.append(_missed(missed, len(known)))
    return Side(run, notes, groups, texts)


def _data_side(samples: Mapping[str, Samples], sets: Sets, problem: str) -> Side:
    found = {
        run: {each.cluster for each in own.by_problem[problem] if each.right}
        for run, own in samples.items()
    }
    clusters = sorted(sets.clusters[problem].items(), key=lambda item: (-len(item[1]), item[0]))
    groups = []
    for cluster, places in clusters:
        by = [run for run, there in found.items() if cluster in there]
        mark = f"found by {', '.join(by)}" if by else "not found"
        what = "solution" if len(places) == 1 else "solutions"
        groups.append(Group(len(places), what, cluster, mark, "", sets.texts.shortest(places)))
    solutions = sum(len(places) for _, places in clusters)
    return Side(
        "The data", [f"{solutions} solutions in {len(clusters)} clusters."], groups, sets.texts
    )


def _grouped(own: Sequence[Sample], right: bool) -> list[tuple[str, list[Sample]]]:
    """Return right completions by cluster or wrong ones by verdict, the largest group first."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for each in own:
        if each.right == right:
            name = str(each.cluster) if right else "unparsed" if each.unparsed else each.verdict
            groups[name].append(each)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def _shortest(texts: Texts, members: Sequence[Sample]) -> int:
    """Return the place of the most frequent program of a group, in its shortest form."""
    counts = Counter(each.program for each in members)
    most = max(counts.values())
    return texts.shortest(each.place for each in members if counts[each.program] == most)


def _missed(missed: Sequence[str], known: int) -> str:
    if not missed:
        return f"All {known} clusters of the data found."
    more = f" and {len(missed) - NAMES} more" if len(missed) > NAMES else ""
    return f"Not found of the data's {known} clusters: {', '.join(missed[:NAMES])}{more}."


def _side(side: Side, budget: int) -> str:
    most = max(2, min(MOST_GROUPS, budget // LEAST_GROUP))
    wrong = [group for group in side.groups if group.what == WRONG]
    # A run that is mostly wrong shows that as well as what is right.
    room = max(most - min(len(wrong), most // 3), 1)
    groups = [group for group in side.groups if group.what != WRONG][:room]
    groups += wrong[: most - len(groups)]
    hidden = len(side.groups) - len(groups)
    notes = [cut(note, NOTE_BYTES) for note in side.notes]
    notes += [f"{hidden} more groups are not shown."] if hidden else []
    said = "".join(f"<p class=note>{note}</p>" for note in notes)
    left, shown = budget - len(said), []
    for place, group in enumerate(groups):
        opening = _opening(group)
        own = left // (len(groups) - place) - len(opening)
        text = cut(side.texts[group.place], max(LEAST_PROGRAM, min(PROGRAM_BYTES, own)))
        shown.append(f"{opening}<pre tabindex=0>{text}</pre></div>")
        left -= len(shown[-1])
    return f"<section><h4>{escape(visible(side.title))}</h4>{said}{''.join(shown)}</section>"


def _opening(group: Group) -> str:
    mark = f" <span class=mark>{cut(group.mark, NAME_BYTES)}</span>" if group.mark else ""
    said = f" {cut(group.said, MESSAGE_BYTES)}" if group.said else ""
    kind = WRONG if group.what == WRONG else RIGHT
    name = f"<code>{cut(group.name, NAME_BYTES)}</code>"
    return f"<div class={kind}><p>{group.size} {group.what}, {name}{mark}{said}</p>"
