"""The census counts what is there, in bounded memory; the card says it, escaped and self-contained."""

import math
import os
import random
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raymode.report.bars import bars_svg
from raymode.report.card import SHOWN_CHARACTERS, card_html, write_card
from raymode.sets.census import BARS, Bin, Histogram, take_census, wilson
from raymode.store import Store

Row = dict[str, Any]
SUMMARY = {"content": "0123abcd"}
HOSTILE = "<script>alert('x')</script>&\"\x00"


def problem(name: str, tests: int = 2, **columns: Any) -> Row:
    row = {
        "problem_id": name, "prompt": "Read n.\nPrint n.", "tests": [{"input": "1", "output": "1"}] * tests,
        "checker": "exact", "cpu_s": 1.0, "memory_mb": 64, "source": "made", "split": "train",
    }  # fmt: skip
    return row | columns


def solution(name: str, number: int, cluster: str | None = "a", **columns: Any) -> Row:
    row = {
        "solution_id": f"{name}/{number}", "problem_id": name, "code": f"print({number})\n", "language": "python",
        "claimed": True, "copies": 1, "verdict": "AC", "message": "", "features": [], "cluster_id": cluster,
    }  # fmt: skip
    return row | columns


def rejected(table: str, reason: str) -> Row:
    return {"table": table, "row": "r", "problem_id": None, "reason": reason, "detail": ""}


def write_part(
    store: Store, number: int, problems: list[Row], solutions: list[Row], away: Iterable[Row] = ()
) -> None:
    tables: dict[str, Iterable[Row]] = {
        "problems": problems,
        "solutions": solutions,
        "rejected": away,
    }
    for table, rows in tables.items():
        store.write_rows(f"{table}/part-{number:05d}.parquet", table, rows)


def small_sets(directory: Path) -> Store:
    store = Store(str(directory))
    wrong = {"claimed": False, "cluster_id": None, "verdict": "WA"}
    write_part(
        store,
        0,
        [problem("p"), problem("e", tests=0, split="heldout")],
        [
            solution("p", 0, "a", copies=3),
            solution("p", 1, "b", code="x = 1\n\nprint(x)"),
            solution("p", 2, "b", code="y=1\nprint(y)\n"),
            solution("p", 3, **wrong),
            solution("p", 4, **wrong | {"verdict": "AC", "cluster_id": "z"}),
            solution("p", 5, None, verdict="TLE"),
        ],
        [rejected("solutions", "syntax"), rejected("solutions", "syntax")],
    )
    text = {"verdict": "reference", "language": "text", "code": "Yes."}
    write_part(
        store,
        1,
        [problem("q", tests=150, source="other")],
        [solution("q", 0, None, **text)],
        [rejected("problems", "no_tests"), rejected("solutions", "problem_rejected")],
    )
    return store


def test_census_counts_what_is_there(tmp_path):
    census = take_census(small_sets(tmp_path))
    assert (census.problems, census.problems_read) == (3, 4)
    assert (census.programs, census.copies, census.programs_read) == (7, 2, 12)
    assert (census.accepted, census.clusters) == (4, 2)
    assert census.rejected == {
        ("solutions", "syntax"): 2, ("problems", "no_tests"): 1, ("solutions", "problem_rejected"): 1,
    }  # fmt: skip
    assert census.verdicts["claimed_right"] == {"AC": 3, "TLE": 1, "reference": 1}
    assert census.verdicts["known_wrong"] == {"WA": 1, "AC": 1}
    assert census.languages == {"python": 3, "text": 1}
    assert census.split_problems == {"train": 2, "heldout": 1}
    assert census.split_accepted == {"train": 4}


def test_false_positives_are_per_source(tmp_path):
    sources = take_census(small_sets(tmp_path)).sources
    assert (sources["made"].wrong, sources["made"].passed) == (2, 1)
    assert sources["made"].false_positives.share == 0.5 and sources["made"].programs == 6
    assert sources["other"].false_positives.n == 0 and sources["other"].accepted == 1


def test_sizes_are_counted_per_problem_and_program(tmp_path):
    census = take_census(small_sets(tmp_path))
    assert census.solutions_per_problem.counts == {3: 1, 0: 1, 1: 1}
    assert census.clusters_per_problem.counts == {2: 1}  # q's solution has none
    assert census.tests_per_problem.counts == {2: 1, 0: 1, 150: 1}
    assert census.prompt_characters.counts == {16: 3} and census.prompt_lines.counts == {2: 3}
    assert census.program_lines.counts == {1: 2, 2: 1, 3: 1}
    assert census.program_characters.total == len("print(0)\nx = 1\n\nprint(x)y=1\nprint(y)\nYes.")


def test_an_example_shows_the_shortest_programs_of_the_largest_clusters(tmp_path):
    (example,) = take_census(small_sets(tmp_path)).examples
    assert example.problem_id == "p"
    assert example.solutions == (("b", "y=1\nprint(y)\n"), ("a", "print(0)\n"))


def test_examples_are_few_short_and_the_same_whatever_the_parts(tmp_path):
    names = [f"p{number}" for number in range(12)]
    sets = {
        name: [solution(name, 0, "a"), solution(name, 1, "b", code="x" * (9000 if i < 9 else 9))]
        for i, name in enumerate(names)
    }
    chosen = []
    for size in (1, 5, 12):
        store = Store(str(tmp_path / str(size)))
        for number, start in enumerate(range(0, 12, size)):
            some = names[start : start + size]
            rows = [row for name in some for row in sets[name]]
            write_part(store, number, [problem(name) for name in some], rows)
        chosen.append([each.problem_id for each in take_census(store).examples])
    assert chosen[0] == chosen[1] == chosen[2]
    assert set(chosen[0]) == {"p9", "p10", "p11"}  # the long ones come later


def test_memory_does_not_grow_with_the_parts(tmp_path):
    peaks = []
    for parts in (2, 12):
        store = Store(str(tmp_path / str(parts)))
        for number in range(parts):
            name = f"p{number}"
            rows = [solution(name, i, f"c{i}", code=os.urandom(5000).hex()) for i in range(40)]
            write_part(store, number, [problem(name)], rows)
        tracemalloc.start()
        take_census(store)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.6 * peaks[0], peaks


def test_wilson_is_the_published_interval():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    for passed, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        found = wilson(passed, n)
        assert (found.low, found.high) == (
            pytest.approx(low, abs=5e-5),
            pytest.approx(high, abs=5e-5),
        )
    assert wilson(0, 20) == (0.0, 0.0, pytest.approx(0.1611, abs=5e-5), 20)
    assert wilson(29, 29)[1:3] == (pytest.approx(0.8830, abs=5e-5), 1.0)
    assert math.isnan(wilson(0, 0).share) and wilson(0, 0).n == 0


def test_wilson_ends_are_where_the_score_test_stands_at_its_bound():
    for passed, n in ((1, 7), (3, 10), (499, 1000)):
        found = wilson(passed, n)
        for end in (found.low, found.high):
            score = (passed / n - end) / math.sqrt(end * (1 - end) / n)
            assert abs(score) == pytest.approx(1.959964, abs=1e-5)


def histogram(values: list[int]) -> Histogram:
    counted = Histogram()
    for value in values:
        counted.add(value)
    return counted


numbers = st.lists(st.one_of(st.integers(0, 99), st.integers(0, 10**7)), min_size=1, max_size=60)


@given(numbers, st.floats(0.01, 1))
def test_a_histogram_keeps_sums_and_quantiles(values, share):
    counted = histogram(values)
    assert counted.mean == pytest.approx(sum(values) / len(values))
    assert (counted.least, counted.most) == (min(values), max(values))
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    found = counted.quantile(share)
    assert found <= true and (found == true if true < 100 else true - found < true / 10)


@given(numbers)
def test_bins_hold_every_value_once_without_gaps(values):
    bins = histogram(values).bins()
    assert [one.high + 1 for one in bins[:-1]] == [one.low for one in bins[1:]]
    assert bins[0].low <= min(values) and bins[-1].high >= max(values)
    assert [one.count for one in bins] == [
        sum(one.low <= value <= one.high for value in values) for one in bins
    ]
    assert len(bins) <= BARS


def test_small_ranges_have_a_bar_per_number():
    assert histogram([3, 5, 5]).bins() == [Bin(3, 3, 1), Bin(4, 4, 0), Bin(5, 5, 2)]
    assert (
        Histogram().bins() == [] and Histogram().quantile(0.5) is None and Histogram().mean is None
    )


def test_a_histogram_does_not_grow_with_its_values():
    generator = random.Random(0)
    assert len(histogram([generator.randrange(10**6) for _ in range(5000)]).counts) <= 90 * 6


def bars_of(svg: str) -> list[float]:
    return [float(height) for height in re.findall(r'class="bar".*? height="([\d.]+)"', svg)]


def test_bars_are_as_high_as_their_counts():
    svg = bars_svg([Bin(0, 0, 10), Bin(1, 1, 0), Bin(2, 2, 5)], "d", "tests", "problems")
    first, second, third = bars_of(svg)
    assert first > 50 and second == 0 and third == pytest.approx(first / 2, abs=0.1)
    assert "2: 5 problems" in svg and 'aria-label="d"' in svg


@pytest.mark.parametrize("most", [1, 2, 3, 7, 11, 99, 12345])
def test_no_bar_leaves_its_figure(most):
    (height,) = bars_of(bars_svg([Bin(0, 4, most)], "d", "a", "c"))
    assert 0.49 * (190 - 52) <= height <= 190 - 52


class Page(HTMLParser):
    """Collects tags, attributes and text, and that every tag is closed."""

    EMPTY = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_card_says_the_counts(tmp_path):
    store = small_sets(tmp_path)
    store.write_json("inputs.json", {"seed": 7, "embedded": {"families": 3}})
    assert write_card(store, SUMMARY) == f"{store.url}/card.html"
    html = store.read_bytes("card.html").decode()
    text = " ".join(Page(html).text.split())
    assert "4 accepted solutions of 2 problems (3 problems kept of 4 read)." in text
    assert "1 of 2 programs known to be wrong pass the tests." in text
    assert "50.00% [9.45%, 90.55%]" in text and "n/a (no known-wrong programs)" in text
    assert "problem_rejected" in text and "0123abcd" in text
    assert "embedded.families" in text and "y=1" in text
    assert Page(html).tags["svg"] == 7


def test_the_card_is_the_same_every_time(tmp_path):
    pages = []
    for name in ("one", "two"):
        store = small_sets(tmp_path / name)
        write_card(store, SUMMARY)
        pages.append(store.read_bytes("card.html"))
    assert pages[0] == pages[1]


def hostile_sets(directory: Path) -> Store:
    store = Store(str(directory))
    row = problem(HOSTILE, prompt=HOSTILE + "x" * SHOWN_CHARACTERS, source=HOSTILE, split=HOSTILE)
    rows = [solution(HOSTILE, i, f"{i}{HOSTILE}", code=HOSTILE, language=HOSTILE) for i in range(2)]
    wrong = solution(HOSTILE, 2, None, verdict=HOSTILE)
    write_part(store, 0, [row], [*rows, wrong], [rejected(HOSTILE, HOSTILE)])
    store.write_json("inputs.json", {HOSTILE: HOSTILE})
    return store


def test_the_card_is_self_contained_and_escaped(tmp_path):
    store = hostile_sets(tmp_path)
    write_card(store, {"content": HOSTILE})
    html = store.read_bytes("card.html").decode()
    parsed = Page(html)
    assert parsed.open == [] and not parsed.tags.keys() & {"script", "img", "link", "a", "iframe"}
    assert parsed.text.count("alert('x')") >= 14  # shown as text wherever it was put
    names = {name for name, _ in parsed.attributes}
    assert not names & {"src", "href", "style"} and not any(name.startswith("on") for name in names)
    assert not re.search(r"https?://|url\(|@import", html)
    assert 'name="viewport"' in html and "light dark" in html and "default-src 'none'" in html
    assert "more characters" in parsed.text


def test_a_card_of_texts_alone(tmp_path):
    store = Store(str(tmp_path))
    text = {"verdict": "reference", "language": "text"}
    write_part(store, 0, [problem("q", tests=0)], [solution("q", 0, None, **text)])
    page = Page(card_html(take_census(store), SUMMARY, {}))
    assert "No problem has accepted solutions in two clusters." in page.text
    assert "Tests per problem" not in page.text and "Clusters per problem" not in page.text
    assert "Nothing." in page.text and "clusters on average" not in page.text


def test_a_long_table_is_cut_and_says_so(tmp_path):
    store = Store(str(tmp_path))
    away = [rejected("solutions", f"reason {number}") for number in range(50)]
    write_part(store, 0, [problem("q")], [solution("q", 0)], away)
    text = Page(card_html(take_census(store), SUMMARY, {})).text
    assert "10 more rows are not shown." in text
