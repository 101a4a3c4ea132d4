import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.journal.hour import Event, EventKind, Hour, State, fold

pytestmark = pytest.mark.unit

HOUR, REFLECTION, DAY_END = 3_600, 600, 50_000
K = EventKind


def hour(*events: tuple[EventKind, int]) -> Hour:
    return fold([Event(kind, at) for kind, at in events], HOUR, REFLECTION, DAY_END)


def test_without_events_the_hour_is_idle() -> None:
    assert hour().state(123) is State.IDLE


def test_the_hour_ends_at_its_own_deadline_and_so_does_the_reflection() -> None:
    h = hour((K.START, 100))
    assert [h.state(t) for t in (100, 3_699, 3_700, 4_299, 4_300)] == [
        State.FOCUS,
        State.FOCUS,
        State.REFLECTION,
        State.REFLECTION,
        State.CLOSED,
    ]
    assert h.closes_at() == 4_300


def test_a_pause_stops_the_clock_and_what_is_left_can_be_used_later() -> None:
    h = hour((K.START, 0), (K.PAUSE, 1_000))
    assert (h.state(20_000), h.used_at(20_000), h.focus_ends_at) == (State.PAUSED, 1_000, None)
    h = hour((K.START, 0), (K.PAUSE, 1_000), (K.RESUME, 20_000))
    assert h.focus_ends_at == 20_000 + HOUR - 1_000
    assert (h.pauses, h.used_at(21_000)) == (1, 2_000)


def test_a_forgotten_pause_ends_with_the_day() -> None:
    h = hour((K.START, 0), (K.PAUSE, 1_000))
    assert (h.state(DAY_END - 1), h.state(DAY_END), h.closes_at()) == (State.PAUSED, State.CLOSED, DAY_END)


def test_ending_early_begins_the_reflection_at_once() -> None:
    h = hour((K.START, 0), (K.END, 500))
    assert (h.state(500), h.state(1_099), h.state(1_100)) == (State.REFLECTION, State.REFLECTION, State.CLOSED)
    assert h.used_at(10_000) == 500


def test_closing_leaves_neither_focus_nor_reflection() -> None:
    assert hour((K.START, 0), (K.CLOSE, 500)).state(500) is State.CLOSED
    assert hour((K.START, 0), (K.CLOSE, HOUR + 10)).state(HOUR + 10) is State.CLOSED


def test_events_after_the_deadline_change_nothing() -> None:
    assert hour((K.START, 0), (K.PAUSE, HOUR)) == hour((K.START, 0))
    assert hour((K.START, 0), (K.START, HOUR + REFLECTION)) == hour((K.START, 0))


@given(st.lists(st.tuples(st.sampled_from(list(K)), st.integers(0, 60_000)), max_size=12), st.integers(0, 70_000))
def test_whatever_happens_no_more_than_the_hour_is_used_and_a_closed_day_stays_closed(
    events: list[tuple[EventKind, int]], now: int
) -> None:
    h = hour(*sorted(events, key=lambda event: event[1]))
    assert 0 <= h.used_at(now) <= HOUR
    if h.started and h.closes_at() <= now:
        assert h.state(now) is State.CLOSED
        assert h.state(now + 10_000) is State.CLOSED
