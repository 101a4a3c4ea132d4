"""What a person says of the hour while or after it runs: the activity, time away, how it was really divided.

Each is an event beside the others, with the old value in it: the past is corrected, never overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from sqlmodel import Session

from app.journal import activities, challenges, sessions, sittings
from app.journal.activities import Activity, Mark
from app.journal.days import MINUTE_MS
from app.journal.hour import EventKind, State
from app.journal.rules import AgainstTheRules
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Challenge, DailySession
from engine.contract import OnehourError


def switch(journal: Journal, name: str) -> Sitting:
    """From now on the minutes are spent on the activity `name`."""
    wanted = activities.activity(name)
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        if at.session is None or at.state is not State.FOCUS:
            raise AgainstTheRules("An activity is switched while the hour runs")
        if at.activity is wanted:
            return at
        return sessions.record(journal, db, at, at.session, EventKind.ACTIVITY, at.now, wanted.value)


def away(journal: Journal, minutes: float, reason: str = "", on: date | None = None) -> Sitting:
    """`minutes` of the hour were none. While it runs they are given back; afterwards only the count is put right."""
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        session = session_of(db, challenge, now, on)
        before = sittings.hour_of(session, sittings.events_of(db, session))
        used_ms = before.used_at(now)
        if not 0 < minutes * MINUTE_MS <= used_ms:
            raise OnehourError(f"{minutes:g} minutes away do not fit: {used_ms / MINUTE_MS:.1f} minutes were counted")
        detail = {"away_ms": round(minutes * MINUTE_MS), "reason": reason, "old_used_ms": used_ms}
        at = sittings.sitting(db, challenge, now)
        return sessions.record(journal, db, at, session, EventKind.AWAY, now, json.dumps(detail, ensure_ascii=False))


def divide(journal: Journal, minutes: Mapping[Activity, float], on: date | None = None) -> Sitting:
    """Say how the focus time of a day was really divided, in minutes. Together they are the time that was used."""
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        session = session_of(db, challenge, now, on)
        events = sittings.events_of(db, session)
        hour = sittings.hour_of(session, events)
        if hour.state(now) in (State.FOCUS, State.PAUSED):
            raise AgainstTheRules("The hour is divided when it is over")
        used_ms = hour.used_at(now)
        new = {each.value: round(minutes.get(each, 0.0) * MINUTE_MS) for each in Activity}
        if min(new.values()) < 0 or abs(sum(new.values()) - used_ms) > MINUTE_MS:
            raise OnehourError(
                f"the activities add up to {sum(new.values()) / MINUTE_MS:g} minutes",
                fix=f"{used_ms / MINUTE_MS:.0f} minutes were used.",
            )
        marks = [Mark(EventKind(event.kind), event.at, event.detail) for event in events]
        old = activities.split(marks, now, session.allowance_ms)
        detail = {"new": new, "old": {each.value: ms for each, ms in old.items()}}
        at = sittings.sitting(db, challenge, now)
        return sessions.record(journal, db, at, session, EventKind.SPLIT, now, json.dumps(detail))


def session_of(db: Session, challenge: Challenge, now: int, on: date | None) -> DailySession:
    """The session of the day `on`, or the present one. Raises OnehourError when there is none."""
    if on is None:
        on = sittings.sitting(db, challenge, now).local_date
    found = sittings.of_day(db, challenge, on)
    if found is None:
        raise OnehourError(f"there was no hour on {on}")
    return found
