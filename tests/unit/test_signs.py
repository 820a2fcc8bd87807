"""When an actor that shows nothing new counts as one that hangs."""

from raymode.signs import BEAT_S, SILENT_S, Silence

A, B = b"a", b"b"


def looked(silence: Silence, first: float, last: float, signs: dict[bytes, bytes]) -> list[bytes]:
    """Return what is found silent in looks at the usual times from first to last."""
    found, now = [], first
    while now <= last:
        assert silence.is_due(now)
        found += silence.silent(signs, now)
        now += BEAT_S
    return found


def test_the_same_sign_for_too_long_is_told_of_once() -> None:
    silence = Silence()
    assert looked(silence, 0.0, SILENT_S, {A: b"1"}) == []
    assert not silence.is_due(SILENT_S + BEAT_S / 2)
    late = looked(silence, SILENT_S + BEAT_S, 2 * SILENT_S, {A: b"1", B: b"1"})
    assert late == [A]  # once; b was heard of later
    assert looked(
        silence, 2 * SILENT_S + BEAT_S, 2 * SILENT_S + 2 * BEAT_S, {A: b"1", B: b"2"}
    ) == [A]


def test_a_new_sign_begins_the_time_anew() -> None:
    silence = Silence()
    looked(silence, 0.0, SILENT_S, {A: b"1"})
    assert looked(silence, SILENT_S + BEAT_S, 2 * SILENT_S, {A: b"2"}) == []


def test_who_did_not_look_cannot_tell() -> None:
    """The machine slept, and all that is on it."""
    silence = Silence()
    looked(silence, 0.0, SILENT_S, {A: b"1"})
    assert silence.silent({A: b"1"}, 10 * SILENT_S) == []
    assert silence.silent({A: b"1"}, 10 * SILENT_S + BEAT_S) == []


def test_what_never_showed_life_or_has_ended_is_left_alone() -> None:
    silence = Silence()
    looked(silence, 0.0, SILENT_S, {A: b"1"})
    assert looked(silence, SILENT_S + BEAT_S, 3 * SILENT_S, {}) == []
