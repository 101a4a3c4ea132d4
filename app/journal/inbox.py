"""The inbox: a thought, link or todo, dropped at any time and flagged when the hour was not running. Nothing is lost on the train."""

from __future__ import annotations

from sqlmodel import Session, col, select

from app.journal import challenges, sittings
from app.journal.rules import Action, Permit, require
from app.journal.store import Journal
from app.journal.tables import Challenge, InboxItem
from engine.contract import OnehourError

# Enter and leaving the field may both send the same thought.
TWICE_MS = 2_000


def add(journal: Journal, body: str) -> InboxItem:
    body = body.strip()
    if not body:
        raise OnehourError("there is nothing to put into the inbox")
    if len(body) > 10_000:
        raise OnehourError("an inbox item holds at most 10,000 characters")
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sittings.sitting(db, challenge, now)
        newest = latest(db, challenge, limit=1)
        if newest and newest[0].body == body and now - newest[0].created_at < TWICE_MS:
            return newest[0]
        item = InboxItem(
            challenge_id=challenge.id,
            body=body,
            local_date=sittings.today(challenge, now),
            outside_hour=require(Action.INBOX, at.moment, "The inbox") is Permit.FLAGGED,
            origin="person",
            created_at=now,
        )
        db.add(item)
    return item


def latest(db: Session, challenge: Challenge, limit: int = 20) -> list[InboxItem]:
    return list(
        db.exec(
            select(InboxItem)
            .where(InboxItem.challenge_id == challenge.id)
            .order_by(col(InboxItem.created_at).desc(), col(InboxItem.id).desc())
            .limit(limit)
        ).all()
    )
