from dataclasses import replace
from datetime import date

import pytest
from sqlmodel import select

from app.journal import challenges, days, sessions, sittings, usage
from app.journal.hour import State
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal, open_journal
from app.journal.tables import Challenge, DailySession, SessionEvent
from tests.conftest import MovableClock, ms

pytestmark = pytest.mark.unit


def now(journal: Journal) -> sittings.Sitting:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now())


def row(journal: Journal) -> DailySession:
    with journal.reading() as db:
        return db.exec(select(DailySession)).one()


def test_an_hour_starts_runs_reflects_and_is_closed_by_time_alone(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    started = sessions.start(journal)
    assert (started.state, started.day_number, started.left_ms) == (State.FOCUS, 1, 3_600_000)
    seen = []
    for seconds in (3_599, 1, 599, 1):
        clock.move(seconds)
        seen.append(now(journal).state)
    assert seen == [State.FOCUS, State.REFLECTION, State.REFLECTION, State.CLOSED]


def test_the_deadlines_stand_in_the_database_with_the_event(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    stored = row(journal)
    assert stored.focus_ends_at == clock.at + 3_600_000
    assert stored.reflection_ends_at == clock.at + 4_200_000
    with journal.reading() as db:
        assert [event.kind for event in db.exec(select(SessionEvent)).all()] == ["start"]


def test_a_second_start_on_the_same_day_is_refused_with_the_reason(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    with pytest.raises(AgainstTheRules, match="already running"):
        sessions.start(journal)
    clock.move(5_000)
    with pytest.raises(AgainstTheRules, match=r"already started.*tomorrow"):
        sessions.start(journal)
    clock.move(86_400)
    assert sessions.start(journal).day_number == 2


def test_another_challenge_on_the_same_day_gives_no_second_hour(
    journal: Journal, challenge: Challenge, rules: challenges.Rules, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(5_000)
    challenges.archive(journal)
    challenges.found(journal, rules, date(2026, 3, 2))
    with pytest.raises(AgainstTheRules, match="another challenge"):
        sessions.start(journal)


def test_the_sweep_writes_the_close_at_its_own_deadline_even_days_later(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    deadline = clock.at + 4_200_000
    sessions.start(journal)
    assert sessions.sweep(journal) == 0
    clock.move(3 * 86_400)
    assert sessions.sweep(journal) == 1
    assert sessions.sweep(journal) == 0
    stored = row(journal)
    assert (stored.closed_at, usage.used_of(stored, clock.at)) == (deadline, 3_600_000)


def test_the_state_survives_a_restart_of_everything(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(600)
    journal.close()
    again = open_journal(journal.home, clock)
    assert (now(again).state, now(again).left_ms) == (State.FOCUS, 3_000_000)
    again.close()


def test_a_pause_keeps_the_rest_for_later_the_same_day(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(600)
    sessions.pause(journal, "door bell")
    clock.move(7_200)
    assert (now(journal).state, now(journal).left_ms) == (State.PAUSED, 3_000_000)
    assert usage.used_of(row(journal), clock.at) == 600_000
    sessions.resume(journal)
    clock.move(3_000)
    assert now(journal).state is State.REFLECTION
    assert usage.used_of(row(journal), clock.at) == 3_600_000


def test_a_forgotten_pause_is_closed_at_the_end_of_its_day(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    sessions.pause(journal)
    clock.move(12 * 3_600)
    assert sessions.sweep(journal) == 1
    assert row(journal).closed_at == ms("2026-03-03 04:00")
    assert sessions.start(journal).day_number == 2


def test_ending_and_closing_count_only_what_was_used(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(1_200)
    assert sessions.end(journal).state is State.REFLECTION
    clock.move(60)
    assert sessions.close(journal).state is State.CLOSED
    clock.move(9_999)
    assert usage.used_of(row(journal), clock.at) == 1_200_000
    with pytest.raises(AgainstTheRules, match="nothing to close"):
        sessions.close(journal)


def test_an_hour_begun_before_the_days_turn_runs_on_and_counts_for_the_day_it_began(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.at = ms("2026-03-03 03:30")
    assert sessions.start(journal).local_date == date(2026, 3, 2)
    clock.at = ms("2026-03-03 04:10")
    assert (now(journal).state, now(journal).day_number) == (State.FOCUS, 1)
    with pytest.raises(AgainstTheRules, match="already running"):
        sessions.start(journal)
    clock.at = ms("2026-03-03 05:00")
    assert (now(journal).state, now(journal).day_number) == (State.IDLE, 2)


def test_before_the_first_and_after_the_last_day_there_is_no_hour(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.at = ms("2026-03-01 20:00")
    with pytest.raises(AgainstTheRules, match=r"starts on 2026-03-02.*tomorrow"):
        sessions.start(journal)
    clock.at = ms("2026-05-01 20:00")
    with pytest.raises(AgainstTheRules, match="ended on 2026-04-30"):
        sessions.start(journal)


def test_changing_the_zone_never_moves_a_past_day(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    sessions.start(journal)
    clock.move(5_000)
    with journal.writing() as db:
        changed = challenges.active(db)
        changed.time_zone = "Asia/Tokyo"
        db.add(changed)
    stored = row(journal)
    assert (stored.local_date, stored.time_zone, stored.day_number) == (date(2026, 3, 2), "UTC", 1)


def test_in_weekly_mode_a_week_has_seven_hours_to_use_freely(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenges.found(journal, replace(rules, mode="weekly"), date(2026, 3, 2))
    assert sessions.start(journal).left_ms == 7 * 3_600_000
    clock.move(2 * 3_600)
    sessions.close(journal)
    clock.move(86_400)
    assert now(journal).left_ms == 5 * 3_600_000
    clock.at = days.day_starts(date(2026, 3, 9), "UTC", "04:00")
    assert now(journal).left_ms == 7 * 3_600_000


def test_after_the_days_turn_a_pause_would_lose_the_rest_and_is_refused(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.at = ms("2026-03-03 03:30")
    sessions.start(journal)
    clock.at = ms("2026-03-03 04:10")
    with pytest.raises(AgainstTheRules, match="The day has turned"):
        sessions.pause(journal)
    assert now(journal).left_ms == 20 * 60_000


def test_a_weekly_budget_counts_the_minutes_past_the_days_turn(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenges.found(journal, replace(rules, mode="weekly", minutes_per_day=120 / 7), date(2026, 3, 2))
    clock.at = ms("2026-03-03 03:00")
    sessions.start(journal)
    clock.at = ms("2026-03-03 20:00")
    assert now(journal).left_ms == 0
    with pytest.raises(AgainstTheRules, match=r"minutes are used up. Next hour: on 2026-03-09"):
        sessions.start(journal)


def test_a_weekly_budget_is_taken_up_again_on_the_same_day(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenges.found(journal, replace(rules, mode="weekly"), date(2026, 3, 2))
    sessions.start(journal)
    clock.move(3_600)
    assert sessions.end(journal).next_hour == "today"
    clock.move(3_600)
    assert sessions.sweep(journal) == 1
    again = sessions.start(journal)
    assert (again.state, again.left_ms) == (State.FOCUS, 6 * 3_600_000)
    assert row(journal).closed_at is None
    clock.move(1_800)
    sessions.close(journal)
    assert usage.used_of(row(journal), clock.at) == 5_400_000


def test_the_next_hour_is_known_to_come_tomorrow_when_todays_went_to_another_challenge(
    journal: Journal, challenge: Challenge, rules: challenges.Rules, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(5_000)
    challenges.archive(journal)
    challenges.found(journal, rules, date(2026, 3, 2))
    assert now(journal).next_hour == "tomorrow"
    assert "another challenge" in sessions.why_not_start(now(journal))
