"""What the notes of the days say, in short: a line of each for a table, and what was learnt for the story."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session, col, select

from app.journal import links, notes
from app.journal.tables import Challenge, Note


def in_short(db: Session, challenge: Challenge, first: date, last: date) -> dict[date, str]:
    """A line of the note of each day from `first` to `last` (inclusive) that has one; one query."""
    asked = select(col(Note.local_date), Note.body).where(
        Note.challenge_id == challenge.id, col(Note.local_date).between(first, last)
    )
    told = {on: short(body) for on, body in db.exec(asked).all() if on is not None}
    return {on: line for on, line in told.items() if line}


def short(body: str) -> str:
    """The first line under "Learnt", else the first that is no heading, as words; empty where nothing was written."""
    said = (notes.written(line) for line in body.splitlines() if not line.startswith("#"))
    return links.words_of(next(iter(learnt(body)), "") or next((line for line in said if line), ""))


def learnt(body: str) -> list[str]:
    """The lines under the heading "Learnt" of a day's note."""
    return notes.under(body, "Learnt")
