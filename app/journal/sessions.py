"""The hour in the journal: the pure rules of hour.py wired to daily_session and session_event.

Every transition is an event row; the deadlines that the events yield are written in the same transaction. Nothing here needs to
run for an hour to end: `Sitting.state` is derived from the deadlines by every reader.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from sqlmodel import Session, col, select

from app.journal import activities, challenges, days
from app.journal.activities import Activity, Mark
from app.journal.days import MINUTE_MS
from app.journal.hour import Event, EventKind, Hour, State, fold
from app.journal.rules import AgainstTheRules, Moment
from app.journal.steady import SteadyClock
from app.journal.store import Journal
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
        """The wanted share of each activity, 0…1; empty when no target was set."""
        wanted = json.loads(self.challenge.target_split or "{}")
        return {Activity(name): float(share) for name, share in wanted.items()}

    @property
    def activity(self) -> Activity:
        """What the running minutes are spent on."""
        return activities.current(self.marks)

    @property
    def split(self) -> dict[Activity, int]:
        """The focus time used so far, by activity."""
        return activities.split(self.marks, min(self.now, self.hour.focus_ends_at or self.now))


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
    ).first()
    if latest is not None:
        events = [event for event in events_of(db, latest) if event.at <= now]
        hour = hour_of(latest, events)
        if latest.local_date == on or hour.state(now) in (State.FOCUS, State.REFLECTION):
            return _sitting(db, challenge, now, latest, events, on, rest_days)
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


def _sitting(
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


def hour_of(session: DailySession, events: list[SessionEvent]) -> Hour:
    plain = [
        Event(kind, row.at, int(json.loads(row.detail)["away_ms"]) if kind is EventKind.AWAY else 0)
        for row, kind in ((row, EventKind(row.kind)) for row in events)
    ]
    return fold(plain, session.allowance_ms, session.reflection_ms, session.day_ends_at)


def start(journal: Journal) -> Sitting:
    """Start today's hour. Refused, with the reason, when it was started before, outside the challenge, or no minutes are left.

    A weekly budget may be taken up again on the same day: the sitting goes on.
    """
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        before = sitting(db, challenge, now)
        _require_startable(before)
        if before.session is not None:
            return record(journal, db, before, before.session, EventKind.RESUME, now)
        on = before.local_date
        session = DailySession(
            challenge_id=challenge.id,
            local_date=on,
            time_zone=challenge.time_zone,
            day_number=before.day_number,
            allowance_ms=before.allowance_ms,
            reflection_ms=round(challenge.reflection_minutes * MINUTE_MS),
            day_ends_at=days.day_ends(on, challenge.time_zone, challenge.day_starts_at),
            started_at=now,
        )
        db.add(session)
        db.flush()
        return record(journal, db, before, session, EventKind.START, now)


def pause(journal: Journal, reason: str = "") -> Sitting:
    """Stop the clock; what is left can be used later the same logical day."""
    with journal.writing() as db:
        at = sitting(db, challenges.active(db), journal.now())
        if at.session is not None and at.state is State.FOCUS and at.now >= at.session.day_ends_at:
            raise AgainstTheRules("The day has turned: what is left cannot be used later. End the hour instead")
        return _transition(journal, db, EventKind.PAUSE, {State.FOCUS}, "pause", reason)


def resume(journal: Journal) -> Sitting:
    with journal.writing() as db:
        return _transition(journal, db, EventKind.RESUME, {State.PAUSED}, "resume")


def end(journal: Journal) -> Sitting:
    """End the focus time early; reflection begins at once."""
    with journal.writing() as db:
        return _transition(journal, db, EventKind.END, {State.FOCUS, State.PAUSED}, "end")


def close(journal: Journal) -> Sitting:
    """Close the day: neither focus nor reflection is left."""
    with journal.writing() as db:
        return _transition(journal, db, EventKind.CLOSE, {State.FOCUS, State.PAUSED, State.REFLECTION}, "close")


def sweep(journal: Journal) -> int:
    """Write down the close of every session whose deadline has passed, at that deadline. Returns how many."""
    with journal.reading() as db:
        now = journal.now()
        overdue = [row for row in _unclosed(db) if hour_of(row, events_of(db, row)).closes_at() <= now]
    if not overdue:
        return 0
    with journal.writing() as db:
        rows = [row for row in _unclosed(db) if hour_of(row, events_of(db, row)).closes_at() <= now]
        for row in rows:
            row.closed_at = hour_of(row, events_of(db, row)).closes_at()
            db.add(row)
        return len(rows)


def why_not_start(at: Sitting) -> str:
    """The reason why the hour cannot be started now; empty when it can."""
    try:
        _require_startable(at)
    except AgainstTheRules as reason:
        return str(reason)
    return ""


def next_hour_sentence(at: Sitting) -> str:
    return f"Next hour: {at.next_hour}." if at.next_hour else "The challenge has no further day."


def _unclosed(db: Session) -> list[DailySession]:
    return list(db.exec(select(DailySession).where(DailySession.closed_at == None)).all())  # noqa: E711


def _transition(
    journal: Journal, db: Session, kind: EventKind, allowed: set[State], verb: str, detail: str = ""
) -> Sitting:
    now = journal.now()
    before = sitting(db, challenges.active(db), now)
    if before.session is None or before.state not in allowed:
        raise AgainstTheRules(f"There is nothing to {verb}: the hour is {_in_words(before.state)}")
    return record(journal, db, before, before.session, kind, now, detail)


def record(
    journal: Journal,
    db: Session,
    before: Sitting,
    session: DailySession,
    kind: EventKind,
    now: int,
    detail: str = "",
) -> Sitting:
    """Add the event and write the deadlines it yields, in the caller's transaction."""
    event = SessionEvent(session_id=session.id, kind=kind.value, at=now, detail=detail)
    if isinstance(journal.clock, SteadyClock):
        event.steady_ms, event.boot_id = journal.clock.steady(), journal.clock.boot_id
        session.clock_moved_ms = session.clock_moved_ms or journal.clock.moved_ms()
    db.add(event)
    db.flush()
    events = events_of(db, session)
    hour = hour_of(session, events)
    session.running_since, session.used_ms, session.paused_at = hour.running_since, hour.used_ms, hour.paused_at
    session.focus_ends_at, session.reflection_ends_at = hour.focus_ends_at, hour.reflection_ends_at
    if kind is EventKind.CLOSE:
        session.closed_at = now
    elif kind is EventKind.RESUME:
        session.closed_at = None
    db.add(session)
    db.flush()
    rest_days = set(db.exec(select(col(RestDay.local_date)).where(RestDay.challenge_id == session.challenge_id)).all())
    return _sitting(db, before.challenge, now, session, events, today(before.challenge, now), rest_days)


def _require_startable(before: Sitting) -> None:
    challenge = before.challenge
    if before.state is State.FOCUS:
        raise AgainstTheRules("The hour is already running")
    if before.state is State.PAUSED:
        raise AgainstTheRules("The hour is paused. Resume it instead")
    if before.session is not None:
        if challenge.mode == "weekly" and before.left_ms > 0 and before.now < before.session.day_ends_at:
            return
        raise AgainstTheRules(
            f"Today's hour was already started; a second one is not possible. {next_hour_sentence(before)}"
        )
    if before.day_number < 1:
        raise AgainstTheRules(f"The challenge starts on {challenge.starts_on}. {next_hour_sentence(before)}")
    if before.day_number > challenge.days:
        raise AgainstTheRules(f"The challenge ended on {challenges.last_day(challenge)}")
    if before.is_spent_elsewhere:
        raise AgainstTheRules(f"Today's hour was spent on another challenge. {next_hour_sentence(before)}")
    if before.is_rest_day:
        raise AgainstTheRules(f"Today is a planned day of rest. {next_hour_sentence(before)}")
    if before.allowance_ms <= 0:
        raise AgainstTheRules(f"This week's minutes are used up. {next_hour_sentence(before)}")


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


def _in_words(state: State) -> str:
    return {
        State.IDLE: "not started",
        State.FOCUS: "running",
        State.PAUSED: "paused",
        State.REFLECTION: "over, and the reflection is running",
        State.CLOSED: "closed",
    }[state]
