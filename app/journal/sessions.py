"""The hour in the journal: the pure rules of hour.py wired to daily_session and session_event.

Every transition is an event row; the deadlines that the events yield are written in the same transaction. Nothing here needs to
run for an hour to end: `Sitting.state` is derived from the deadlines by every reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlmodel import Session, col, select

from app.journal import challenges, days
from app.journal.days import MINUTE_MS
from app.journal.hour import Event, EventKind, Hour, State, fold
from app.journal.rules import AgainstTheRules, Moment
from app.journal.store import Journal
from app.journal.tables import Challenge, DailySession, SessionEvent
from app.journal.usage import allowance_ms


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

    @property
    def state(self) -> State:
        return self.hour.state(self.now)

    @property
    def left_ms(self) -> int:
        """Focus time left today."""
        return max(0, self.allowance_ms - self.hour.used_at(self.now))

    @property
    def moment(self) -> Moment:
        return Moment(self.state, self.challenge.time_zone, self.hour.reflection_ends_at, self.next_hour)


def today(challenge: Challenge, now: int) -> date:
    return days.logical_date(now, challenge.time_zone, challenge.day_starts_at)


def sitting(db: Session, challenge: Challenge, now: int) -> Sitting:
    """Today's sitting; an hour begun yesterday that still runs past the day's turn stays the current one."""
    on = today(challenge, now)
    latest = db.exec(
        select(DailySession)
        .where(DailySession.challenge_id == challenge.id, DailySession.started_at <= now)
        .order_by(col(DailySession.started_at).desc())
    ).first()
    if latest is not None:
        hour = hour_of(db, latest)
        if latest.local_date == on or hour.state(now) in (State.FOCUS, State.REFLECTION):
            on_day = latest.local_date
            return Sitting(
                challenge,
                now,
                on_day,
                latest.day_number,
                latest,
                hour,
                latest.allowance_ms,
                _next_hour(challenge, on_day + days.DAY, on),
            )
    return Sitting(
        challenge,
        now,
        on,
        days.day_number(on, challenge.starts_on),
        None,
        Hour(),
        allowance_ms(db, challenge, on),
        _next_hour(challenge, on, on),
    )


def moment(db: Session, challenge: Challenge, now: int) -> Moment:
    return sitting(db, challenge, now).moment


def hour_of(db: Session, session: DailySession) -> Hour:
    rows = db.exec(
        select(SessionEvent)
        .where(SessionEvent.session_id == session.id)
        .order_by(col(SessionEvent.at), col(SessionEvent.id))
    ).all()
    events = [Event(EventKind(row.kind), row.at) for row in rows]
    return fold(events, session.allowance_ms, session.reflection_ms, session.day_ends_at)


def start(journal: Journal) -> Sitting:
    """Start today's hour. Refused, with the reason, when it was started before, outside the challenge, or no minutes are left."""
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        before = sitting(db, challenge, now)
        _require_startable(before)
        on = before.local_date
        taken = db.exec(select(DailySession).where(DailySession.local_date == on)).first()
        if taken is not None:
            raise AgainstTheRules(f"Today's hour was spent on another challenge. {next_hour_sentence(before)}")
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
        return _record(db, before, session, EventKind.START, now)


def pause(journal: Journal, reason: str = "") -> Sitting:
    """Stop the clock; what is left can be used later the same logical day."""
    return _transition(journal, EventKind.PAUSE, {State.FOCUS}, "pause", reason)


def resume(journal: Journal) -> Sitting:
    return _transition(journal, EventKind.RESUME, {State.PAUSED}, "resume")


def end(journal: Journal) -> Sitting:
    """End the focus time early; reflection begins at once."""
    return _transition(journal, EventKind.END, {State.FOCUS, State.PAUSED}, "end")


def close(journal: Journal) -> Sitting:
    """Close the day: neither focus nor reflection is left."""
    return _transition(journal, EventKind.CLOSE, {State.FOCUS, State.PAUSED, State.REFLECTION}, "close")


def sweep(journal: Journal) -> int:
    """Write down the close of every session whose deadline has passed, at that deadline. Returns how many."""
    with journal.reading() as db:
        now = journal.now()
        overdue = [row for row in _unclosed(db) if hour_of(db, row).closes_at() <= now]
    if not overdue:
        return 0
    with journal.writing() as db:
        rows = [row for row in _unclosed(db) if hour_of(db, row).closes_at() <= now]
        for row in rows:
            row.closed_at = hour_of(db, row).closes_at()
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


def _transition(journal: Journal, kind: EventKind, allowed: set[State], verb: str, detail: str = "") -> Sitting:
    with journal.writing() as db:
        now = journal.now()
        before = sitting(db, challenges.active(db), now)
        if before.session is None or before.state not in allowed:
            raise AgainstTheRules(f"There is nothing to {verb}: the hour is {_in_words(before.state)}")
        return _record(db, before, before.session, kind, now, detail)


def _record(
    db: Session, before: Sitting, session: DailySession, kind: EventKind, now: int, detail: str = ""
) -> Sitting:
    """Add the event and write the deadlines it yields, in the caller's transaction."""
    db.add(SessionEvent(session_id=session.id, kind=kind.value, at=now, detail=detail))
    db.flush()
    hour = hour_of(db, session)
    session.running_since, session.used_ms, session.paused_at = hour.running_since, hour.used_ms, hour.paused_at
    session.focus_ends_at, session.reflection_ends_at = hour.focus_ends_at, hour.reflection_ends_at
    if kind is EventKind.CLOSE:
        session.closed_at = now
    db.add(session)
    db.flush()
    on = session.local_date
    following = _next_hour(before.challenge, on + days.DAY, today(before.challenge, now))
    return Sitting(before.challenge, now, on, session.day_number, session, hour, session.allowance_ms, following)


def _require_startable(before: Sitting) -> None:
    challenge = before.challenge
    if before.state is State.FOCUS:
        raise AgainstTheRules("The hour is already running")
    if before.state is State.PAUSED:
        raise AgainstTheRules("The hour is paused. Resume it instead")
    if before.session is not None:
        raise AgainstTheRules(
            f"Today's hour was already started; a second one is not possible. {next_hour_sentence(before)}"
        )
    if before.day_number < 1:
        raise AgainstTheRules(f"The challenge starts on {challenge.starts_on}. {next_hour_sentence(before)}")
    if before.day_number > challenge.days:
        raise AgainstTheRules(f"The challenge ended on {challenges.last_day(challenge)}")
    if before.allowance_ms <= 0:
        raise AgainstTheRules("This week's minutes are used up")


def _next_hour(challenge: Challenge, earliest: date, seen_from: date) -> str:
    """The next possible hour in words, as seen from the day `seen_from`."""
    on = max(earliest, challenge.starts_on)
    if on > challenges.last_day(challenge):
        return ""
    if on == seen_from:
        return "today"
    return "tomorrow" if on == seen_from + timedelta(days=1) else f"on {on}"


def _in_words(state: State) -> str:
    return {
        State.IDLE: "not started",
        State.FOCUS: "running",
        State.PAUSED: "paused",
        State.REFLECTION: "over, and the reflection is running",
        State.CLOSED: "closed",
    }[state]
