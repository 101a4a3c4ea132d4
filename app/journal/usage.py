"""Focus time used and allowed, day by day: what calendars, weeks and the weekly budget count. Durations in milliseconds."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session, col, select

from app.journal import challenges, days
from app.journal.days import MINUTE_MS
from app.journal.tables import Challenge, DailySession


def used_ms(db: Session, challenge: Challenge, first: date, last: date, now: int) -> dict[date, int]:
    """Focus time used on each day from `first` to `last` (inclusive) that has a session; one query, for calendars and weeks."""
    rows = db.exec(
        select(
            col(DailySession.local_date), DailySession.used_ms, DailySession.running_since, DailySession.focus_ends_at
        ).where(
            DailySession.challenge_id == challenge.id, DailySession.local_date >= first, DailySession.local_date <= last
        )
    ).all()
    return {on: _used(before, running_since, ends_at, now) for on, before, running_since, ends_at in rows}


def used_of(row: DailySession, now: int) -> int:
    """Focus time of a session up to `now`, from its row alone."""
    return _used(row.used_ms, row.running_since, row.focus_ends_at, now)


def _used(before: int, running_since: int | None, ends_at: int | None, now: int) -> int:
    if running_since is None or ends_at is None:
        return before
    return before + max(0, min(now, ends_at) - running_since)


def allowance_ms(db: Session, challenge: Challenge, on: date, now: int) -> int:
    """Focus time a session started on `on` may use: a day's minutes, or what the week's budget still holds."""
    if challenge.mode == "daily":
        return round(challenge.minutes_per_day * MINUTE_MS)
    return week_left_ms(db, challenge, on, now)


def week_left_ms(db: Session, challenge: Challenge, on: date, now: int) -> int:
    """What is left of the budget of the week in which `on` lies."""
    first = days.week_starts(on, challenge.starts_on)
    spent = sum(used_ms(db, challenge, first, on, now).values())
    return max(0, week_allowance_ms(challenge, first) - spent)


def week_allowance_ms(challenge: Challenge, week_starts_on: date) -> int:
    """Focus time of the challenge week that starts on `week_starts_on`; the last week may be shorter."""
    length = min(7, (challenges.last_day(challenge) - week_starts_on).days + 1)
    return round(challenge.minutes_per_day * MINUTE_MS) * max(0, length)
