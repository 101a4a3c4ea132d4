"""Where the person stands now: the challenge's day and its hour, read from the journal and derived from the events.

The pure rules of hour.py wired to daily_session and session_event, reading only; sessions.py writes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from sqlmodel import Session, col, select

from app.journal import activities, challenges, days
from app.journal.activities import Activity, Mark
from app.journal.days import MINUTE_MS
from app.journal.hour import Event, EventKind, Hour, State, fold
from app.journal.rules import Moment
from app.journal.tables import Challenge, DailySession, RestDay, SessionEvent
from app.journal.usage import allowance_ms, week_left_ms

# The last minutes of the hour belong to the night's jobs and tomorrow's first step.
WINDING_DOWN_MS = 10 * MINUTE_MS


@dataclass(frozen=True)
class Sitting:
    """Where the person stands now: the challenge's day and its hour. Moments and durations in milliseconds."""

    challenge: Challenge
    now: int
    local_date: date  # the day the shown hour belongs to
    day_number: int
    session: DailySession | None
    hour: Hour
    allowance_ms: int  # focus time of this day
    next_hour: str
    marks: tuple[Mark, ...] = ()
    is_rest_day: bool = False
    is_spent_elsewhere: bool = False  # today's hour went to another challenge

    @property
    def state(self) -> State:
        return self.hour.state(self.now)

    @property
    def left_ms(self) -> int:
        """Focus time left today."""
        return max(0, self.allowance_ms - self.hour.used_at(self.now))

    @property
    def moment(self) -> Moment:
        return Moment(
            self.state,
            self.challenge.time_zone,
            self.hour.reflection_ends_at,
            self.next_hour,
            self.challenge.strictness,
        )

    @property
    def winds_down_at(self) -> int | None:
        """When the last minutes of a running hour begin: minute 50 of sixty. None while it does not run."""
        ends_at = self.hour.focus_ends_at
        return ends_at - WINDING_DOWN_MS if ends_at is not None and self.state is State.FOCUS else None

    def is_overtime(self, moment: int) -> bool:
        """Whether what was done at `moment` was let through after the hour, on trust."""
        ends_at = self.hour.focus_ends_at
        return self.challenge.strictness == "honour" and ends_at is not None and moment >= ends_at

    @property
    def target(self) -> dict[Activity, float]:
        return target(self.challenge)

    @property
    def activity(self) -> Activity:
        """What the running minutes are spent on."""
        return activities.current(self.marks)

    @property
    def pause_reasons(self) -> list[str]:
        """Why the hour stood still, one a pause; empty where nothing was said."""
        return [mark.detail for mark in self.marks if mark.kind is EventKind.PAUSE]

    @property
    def split(self) -> dict[Activity, int]:
        """The focus time used so far, by activity."""
        return activities.split(self.marks, self.now, self.allowance_ms)


def target(challenge: Challenge) -> dict[Activity, float]:
    """The wanted share of each activity, 0…1; empty when no target was set."""
    wanted = json.loads(challenge.target_split or "{}")
    return {Activity(name): float(share) for name, share in wanted.items()}


def today(challenge: Challenge, now: int) -> date:
    return days.logical_date(now, challenge.time_zone, challenge.day_starts_at)


def sitting(db: Session, challenge: Challenge, now: int) -> Sitting:
    """Today's sitting; an hour begun yesterday that still runs past the day's turn stays the current one."""
    on = today(challenge, now)
    rest_days = set(db.exec(select(col(RestDay.local_date)).where(RestDay.challenge_id == challenge.id)).all())
    latest = db.exec(
        select(DailySession)
        .where(DailySession.challenge_id == challenge.id, DailySession.started_at <= now)
        .order_by(col(DailySession.started_at).desc())
        .limit(1)
    ).first()
    if latest is not None:
        events = [event for event in events_of(db, latest) if event.at <= now]
        hour = hour_of(latest, events)
        if latest.local_date == on or hour.state(now) in (State.FOCUS, State.REFLECTION):
            return sitting_of(db, challenge, now, latest, events, on, rest_days)
    allowance = allowance_ms(db, challenge, on, now)
    elsewhere = db.exec(select(DailySession).where(DailySession.local_date == on)).first() is not None
    return Sitting(
        challenge,
        now,
        on,
        days.day_number(on, challenge.starts_on),
        None,
        Hour(),
        allowance,
        _next_hour(challenge, _earliest(db, challenge, on, now, elsewhere), on, rest_days),
        is_rest_day=on in rest_days,
        is_spent_elsewhere=elsewhere,
    )


def sitting_of(
    db: Session,
    challenge: Challenge,
    now: int,
    session: DailySession,
    events: list[SessionEvent],
    on: date,
    rest_days: Collection[date],
) -> Sitting:
    return Sitting(
        challenge,
        now,
        session.local_date,
        session.day_number,
        session,
        hour_of(session, events),
        session.allowance_ms,
        _next_hour(challenge, _earliest(db, challenge, session.local_date, now, True), on, rest_days),
        tuple(Mark(EventKind(event.kind), event.at, event.detail) for event in events),
    )


def moment(db: Session, challenge: Challenge, now: int) -> Moment:
    return sitting(db, challenge, now).moment


def of_day(db: Session, challenge: Challenge, on: date) -> DailySession | None:
    return db.exec(
        select(DailySession).where(DailySession.challenge_id == challenge.id, DailySession.local_date == on)
    ).first()


def events_of(db: Session, session: DailySession) -> list[SessionEvent]:
    """A session's events in the order in which they were written."""
    return list(
        db.exec(select(SessionEvent).where(SessionEvent.session_id == session.id).order_by(col(SessionEvent.id))).all()
    )


def split_between(db: Session, challenge: Challenge, first: date, last: date, now: int) -> dict[Activity, int]:
    """The focus time of the days from `first` to `last` (inclusive), by activity; one query."""
    rows = db.exec(
        select(DailySession, SessionEvent)
        .join(SessionEvent, col(SessionEvent.session_id) == col(DailySession.id))
        .where(
            DailySession.challenge_id == challenge.id,
            DailySession.local_date >= first,
            DailySession.local_date <= last,
            SessionEvent.at <= now,
        )
        .order_by(col(SessionEvent.id))
    ).all()
    marks: dict[int, list[Mark]] = defaultdict(list)
    allowance: dict[int, int] = {}
    for session, event in rows:
        marks[session.id].append(Mark(EventKind(event.kind), event.at, event.detail))
        allowance[session.id] = session.allowance_ms
    whole = dict.fromkeys(Activity, 0)
    for session_id, of_one in marks.items():
        for activity, ms in activities.split(of_one, now, allowance[session_id]).items():
            whole[activity] += ms
    return whole


def hour_of(session: DailySession, events: list[SessionEvent]) -> Hour:
    plain = [
        Event(kind, row.at, int(json.loads(row.detail)["away_ms"]) if kind is EventKind.AWAY else 0)
        for row, kind in ((row, EventKind(row.kind)) for row in events)
    ]
    return fold(plain, session.allowance_ms, session.reflection_ms, session.day_ends_at)


def next_hour_sentence(at: Sitting) -> str:
    return f"Next hour: {at.next_hour}." if at.next_hour else "The challenge has no further day."


def _earliest(db: Session, challenge: Challenge, on: date, now: int, is_taken: bool) -> date:
    """The first day from `on` that may have an hour; `is_taken`: the one of `on` was begun. A weekly budget can run out first."""
    if challenge.mode == "daily":
        return on + days.DAY if is_taken else on
    if week_left_ms(db, challenge, on, now) <= 0:
        return days.week_starts(on, challenge.starts_on) + timedelta(days=7)
    return on


def _next_hour(challenge: Challenge, earliest: date, seen_from: date, rest_days: Collection[date]) -> str:
    """The next possible hour in words, as seen from the day `seen_from`: `tomorrow at 20:00`. Empty when there is none."""
    on = max(earliest, challenge.starts_on)
    while on in rest_days:
        on += days.DAY
    if on > challenges.last_day(challenge):
        return ""
    if on == seen_from:
        return "today"
    day = "tomorrow" if on == seen_from + timedelta(days=1) else f"on {on}"
    return f"{day} at {challenge.habit_at}" if challenge.habit_at else day
