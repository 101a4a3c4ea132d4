"""Activities, time away, days of rest and honour mode: what a person says of the hour, kept beside what was measured."""

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from app.journal import activities, challenges, corrections, rest_days, sessions, sittings, todos, usage
from app.journal.activities import Activity, Mark, split
from app.journal.hour import EventKind, State
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, DailySession, SessionEvent
from engine.contract import OnehourError
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

K, A = EventKind, Activity
FIRST = date(2026, 3, 2)
MINUTE = 60_000


def now(journal: Journal) -> sittings.Sitting:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now())


def used(journal: Journal) -> int:
    with journal.reading() as db:
        return usage.used_of(db.exec(select(DailySession)).one(), journal.now())


def test_minutes_go_to_the_activity_that_is_switched_on_and_pauses_to_none() -> None:
    marks = [
        Mark(K.START, 0, ""), Mark(K.ACTIVITY, 10, "code"), Mark(K.PAUSE, 30, ""), Mark(K.RESUME, 90, ""), Mark(K.ACTIVITY, 95, "read"),
    ]  # fmt: skip
    assert split(marks, 100, 3_600_000) == {A.PLAN: 10, A.CODE: 25, A.READ: 5, A.ANALYSE: 0}


@given(st.lists(st.tuples(st.sampled_from(list(A)), st.integers(0, 3_600_000)), max_size=20))
def test_whatever_is_switched_the_parts_are_the_whole(switches: list[tuple[Activity, int]]) -> None:
    marks = [
        Mark(K.START, 0, ""),
        *(Mark(K.ACTIVITY, at, name.value) for name, at in sorted(switches, key=lambda s: s[1])),
    ]
    assert sum(split(marks, 3_600_000, 3_600_000).values()) == 3_600_000


def test_time_away_longer_than_the_present_activity_is_taken_from_the_others_too() -> None:
    marks = [Mark(K.START, 0, ""), Mark(K.ACTIVITY, 50, "code"), Mark(K.AWAY, 60, json.dumps({"away_ms": 40}))]
    assert split(marks, 70, 3_600_000) == {A.PLAN: 20, A.CODE: 10, A.READ: 0, A.ANALYSE: 0}


def test_minutes_after_the_hour_go_to_no_activity_also_when_it_is_corrected_and_taken_up_again() -> None:
    """A week's budget that was used up has room again when time away is taken off it."""
    marks = [Mark(K.START, 0, ""), Mark(K.AWAY, 150, json.dumps({"away_ms": 30})), Mark(K.RESUME, 200, "")]
    assert split(marks, 180, 100)[A.PLAN] == 70
    assert split(marks, 220, 100)[A.PLAN] == 90
    assert split(marks, 900, 100)[A.PLAN] == 100


def test_the_activity_is_switched_while_the_hour_runs(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    with pytest.raises(AgainstTheRules):
        corrections.switch(journal, "code")
    sessions.start(journal)
    clock.move(600)
    assert corrections.switch(journal, "code").activity is A.CODE
    clock.move(300)
    assert now(journal).split == {A.PLAN: 10 * MINUTE, A.CODE: 5 * MINUTE, A.READ: 0, A.ANALYSE: 0}
    with pytest.raises(OnehourError, match="'analyse'"):
        corrections.switch(journal, "analyze")


def test_time_away_is_given_back_while_the_hour_runs(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(1_800)
    at = corrections.away(journal, 12, "the phone")
    assert at.left_ms == 42 * MINUTE
    clock.move(42 * 60 - 1)
    assert now(journal).state is State.FOCUS
    clock.move(1)
    assert (now(journal).state, used(journal)) == (State.REFLECTION, 60 * MINUTE)


def test_time_away_said_afterwards_corrects_the_count_and_keeps_the_old_value(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(3 * 86_400)
    at = corrections.away(journal, 12, "door bell", FIRST)
    assert (at.state, used(journal)) == (State.CLOSED, 48 * MINUTE)
    with journal.reading() as db:
        event = db.exec(select(SessionEvent).where(SessionEvent.kind == "away")).one()
    assert json.loads(event.detail) == {"away_ms": 12 * MINUTE, "reason": "door bell", "old_used_ms": 60 * MINUTE}
    with pytest.raises(OnehourError, match=r"48\.0 minutes were counted"):
        corrections.away(journal, 50, "", FIRST)
    with pytest.raises(OnehourError, match="no hour on 2026-03-03"):
        corrections.away(journal, 5, "", date(2026, 3, 3))


def test_the_division_of_the_hour_is_corrected_at_reflection(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(60)
    with pytest.raises(AgainstTheRules, match="when it is over"):
        corrections.divide(journal, {A.CODE: 60})
    clock.move(3_600)
    with pytest.raises(OnehourError, match="60 minutes were used"):
        corrections.divide(journal, {A.CODE: 20})
    assert corrections.divide(journal, {A.CODE: 40, A.READ: 20}).split[A.CODE] == 40 * MINUTE
    clock.move(60)
    assert now(journal).split == {A.CODE: 40 * MINUTE, A.READ: 20 * MINUTE, A.PLAN: 0, A.ANALYSE: 0}


def test_a_target_split_is_percent_that_are_a_hundred_together() -> None:
    assert activities.parse_target("read=10, plan=15 code=75") == {
        A.READ: 0.1,
        A.PLAN: 0.15,
        A.CODE: 0.75,
        A.ANALYSE: 0.0,
    }
    for wrong, why in (("read=10", "10 %"), ("red=100", "'read'"), ("read=x", "Example"), ("", "0 %")):
        with pytest.raises(OnehourError, match=why):
            activities.parse_target(wrong)


def test_a_planned_day_of_rest_has_no_hour_and_the_next_hour_skips_it(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    rest_days.plan(journal, date(2026, 3, 3))
    sessions.start(journal)
    clock.move(5_000)
    assert now(journal).next_hour == "on 2026-03-04"
    with pytest.raises(OnehourError, match="started already"):
        rest_days.plan(journal, FIRST)
    clock.move(86_400)
    with pytest.raises(AgainstTheRules, match=r"day of rest.*tomorrow"):
        sessions.start(journal)
    with pytest.raises(OnehourError, match="has passed"):
        rest_days.plan(journal, FIRST)
    rest_days.cancel(journal, date(2026, 3, 3))
    assert sessions.start(journal).state is State.FOCUS


def test_honour_mode_lets_overtime_through_outside_the_count(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenges.found(journal, replace(rules, strictness="honour"), FIRST)
    with pytest.raises(AgainstTheRules):
        todos.add(journal, "before the hour")
    sessions.start(journal)
    clock.move(3_600 + 60)
    todos.add(journal, "in reflection")
    clock.move(3_600)
    assert now(journal).state is State.CLOSED
    todos.add(journal, "after it")
    assert used(journal) == 60 * MINUTE
    clock.move(12 * 3_600)
    with pytest.raises(AgainstTheRules):
        todos.add(journal, "the next morning")


def test_the_next_hour_names_the_habit_time(journal: Journal, rules: challenges.Rules, clock: MovableClock) -> None:
    challenges.found(journal, replace(rules, habit_at="20:00"), FIRST)
    sessions.start(journal)
    clock.move(5_000)
    assert now(journal).next_hour == "tomorrow at 20:00"
