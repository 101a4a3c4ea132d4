"""Planned days of rest: their hour is lost as well, but it does not look like a failure."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session, col, select

from app.journal import challenges, sittings
from app.journal.store import Journal
from app.journal.tables import Challenge, DailySession, RestDay
from engine.contract import OnehourError


def plan(journal: Journal, on: date) -> None:
    """Plan a day off. A day that has passed, or whose hour was started, cannot become one."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        today = sittings.today(challenge, journal.now())
        if on < today:
            raise OnehourError(f"{on} has passed", fix="A day of rest is planned ahead; a missed day is lost.")
        if not challenge.starts_on <= on <= challenges.last_day(challenge):
            raise OnehourError(f"{on} is no day of the challenge")
        if db.exec(select(DailySession).where(DailySession.local_date == on)).first() is not None:
            raise OnehourError(f"the hour of {on} was started already")
        if db.get(RestDay, (challenge.id, on)) is None:
            db.add(RestDay(challenge_id=challenge.id, local_date=on))


def cancel(journal: Journal, on: date) -> None:
    """Take a planned day off back, while it has not passed."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        found = db.get(RestDay, (challenge.id, on))
        if found is None or on < sittings.today(challenge, journal.now()):
            raise OnehourError(f"{on} is no day of rest to come")
        db.delete(found)


def dates(text: str) -> list[date]:
    """`"2026-12-24, 2026-12-25"` → dates. Raises OnehourError naming the word that is none."""
    found = []
    for word in text.replace(",", " ").split():
        try:
            found.append(date.fromisoformat(word))
        except ValueError:
            raise OnehourError(f"{word!r} is no date", fix="Write it as YYYY-MM-DD.") from None
    return found


def of(db: Session, challenge: Challenge) -> list[date]:
    query = (
        select(col(RestDay.local_date)).where(RestDay.challenge_id == challenge.id).order_by(col(RestDay.local_date))
    )
    return list(db.exec(query).all())
