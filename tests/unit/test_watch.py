"""The rules of quarantine, without Ray."""

import pytest

from raymode.errors import SandboxError
from raymode.watch import DEATHS, PATIENCE, Past, Watch


def begin(watch: Watch, program: str = "") -> Past:
    (past,) = watch.pasts(["p"])
    watch.begin("p")
    if program:
        watch.run("p", program)
    return past


def test_a_finished_problem_has_no_past() -> None:
    watch = Watch()
    begin(watch)
    watch.done("p")
    assert begin(watch) == Past()


def test_two_deaths_at_one_program_put_it_in_quarantine_for_good() -> None:
    watch = Watch()
    assert [begin(watch, x).quarantined for x in ("", "x", "y", "x")] == [frozenset()] * 4
    assert begin(watch) == Past(4, frozenset("x"))
    watch.done("p")
    assert begin(watch).quarantined == {"x"}


def test_every_quarantine_gives_new_patience() -> None:
    watch = Watch()
    for number in range(50):
        begin(watch, str(number // DEATHS))
    assert len(begin(watch).quarantined) == 50 // DEATHS
    for number in range(PATIENCE - 1):
        begin(watch, f"other {number}")
    with pytest.raises(SandboxError, match=r"'p': its judge died 56 times"):
        begin(watch)


def test_a_past_calls_for_care_after_deaths_and_with_programs_in_quarantine() -> None:
    assert not Past().calls_for_care
    assert Past(deaths=1).calls_for_care
    watch = Watch()
    for _ in range(DEATHS):
        begin(watch, "x")
    begin(watch)
    watch.done("p")
    again = begin(watch)  # with the piece of work in which the judge died at another problem
    assert (again.deaths, again.quarantined) == (0, frozenset("x"))
    assert again.calls_for_care


def test_a_death_after_the_last_program_has_ended_is_nobodys_fault() -> None:
    watch = Watch()
    for number in range(PATIENCE):
        assert begin(watch, "x") == Past(number)
        watch.run("p", "")
    with pytest.raises(SandboxError, match="no single program is to blame"):
        begin(watch)


def test_problems_that_wait_behind_a_deadly_one_have_no_past() -> None:
    """A judge is given several problems at a time and begins one after the other."""
    watch = Watch()
    assert watch.pasts(["p", "q"]) == [Past(), Past()]
    watch.begin("p")
    watch.done("p")
    watch.begin("q")
    assert watch.pasts(["p", "q", "r"]) == [Past(), Past(1), Past()]
