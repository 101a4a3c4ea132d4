"""What changes the hour: start, pause, resume, end, close, and the sweep that writes down what time has closed.

Every transition is an event row; the deadlines that the events yield are written in the same transaction. Nothing here needs to
run for an hour to end: `Sitting.state` is derived from the deadlines by every reader.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from app.journal import challenges, days, sittings
from app.journal.days import MINUTE_MS
from app.journal.hour import EventKind, State
from app.journal.rules import AgainstTheRules
from app.journal.sittings import Sitting
from app.journal.steady import SteadyClock
from app.journal.store import Journal
from app.journal.tables import DailySession, RestDay, SessionEvent


def start(journal: Journal) -> Sitting:
    """Start today's hour. Refused, with the reason, when it was started before, outside the challenge, or no minutes are left.

    A weekly budget may be taken up again on the same day: the sitting goes on.
    """
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        before = sittings.sitting(db, challenge, now)
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
        at = sittings.sitting(db, challenges.active(db), journal.now())
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
        overdue = [
            row for row in _unclosed(db) if sittings.hour_of(row, sittings.events_of(db, row)).closes_at() <= now
        ]
    if not overdue:
        return 0
    with journal.writing() as db:
        rows = [row for row in _unclosed(db) if sittings.hour_of(row, sittings.events_of(db, row)).closes_at() <= now]
        for row in rows:
            row.closed_at = sittings.hour_of(row, sittings.events_of(db, row)).closes_at()
            db.add(row)
        return len(rows)


def why_not_start(at: Sitting) -> str:
    """The reason why the hour cannot be started now; empty when it can."""
    try:
        _require_startable(at)
    except AgainstTheRules as reason:
        return str(reason)
    return ""


def _unclosed(db: Session) -> list[DailySession]:
    return list(db.exec(select(DailySession).where(DailySession.closed_at == None)).all())  # noqa: E711


def _transition(
    journal: Journal, db: Session, kind: EventKind, allowed: set[State], verb: str, detail: str = ""
) -> Sitting:
    now = journal.now()
    before = sittings.sitting(db, challenges.active(db), now)
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
    events = sittings.events_of(db, session)
    hour = sittings.hour_of(session, events)
    session.running_since, session.used_ms, session.paused_at = hour.running_since, hour.used_ms, hour.paused_at
    session.focus_ends_at, session.reflection_ends_at = hour.focus_ends_at, hour.reflection_ends_at
    if kind is EventKind.CLOSE:
        session.closed_at = now
    elif kind is EventKind.RESUME:
        session.closed_at = None
    db.add(session)
    db.flush()
    rest_days = set(db.exec(select(col(RestDay.local_date)).where(RestDay.challenge_id == session.challenge_id)).all())
    return sittings.sitting_of(
        db, before.challenge, now, session, events, sittings.today(before.challenge, now), rest_days
    )


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
            f"Today's hour was already started; a second one is not possible. {sittings.next_hour_sentence(before)}"
        )
    if before.day_number < 1:
        raise AgainstTheRules(f"The challenge starts on {challenge.starts_on}. {sittings.next_hour_sentence(before)}")
    if before.day_number > challenge.days:
        raise AgainstTheRules(f"The challenge ended on {challenges.last_day(challenge)}")
    if before.is_spent_elsewhere:
        raise AgainstTheRules(f"Today's hour was spent on another challenge. {sittings.next_hour_sentence(before)}")
    if before.is_rest_day:
        raise AgainstTheRules(f"Today is a planned day of rest. {sittings.next_hour_sentence(before)}")
    if before.allowance_ms <= 0:
        raise AgainstTheRules(f"This week's minutes are used up. {sittings.next_hour_sentence(before)}")


def _in_words(state: State) -> str:
    return {
        State.IDLE: "not started",
        State.FOCUS: "running",
        State.PAUSED: "paused",
        State.REFLECTION: "over, and the reflection is running",
        State.CLOSED: "closed",
    }[state]
