"""Notes that a page of the tool begins and finds again: the review of a week, and the person's own words for the story."""

from __future__ import annotations

from sqlmodel import Session, select

from app.journal import challenges, notes
from app.journal.notes import WEEK_KIND
from app.journal.revisions import COMMAND
from app.journal.store import Journal
from app.journal.tables import Challenge, Note
from engine.contract import OnehourError

WEEK_TEMPLATE = (
    "## What brought the score forward?\n\n\n## What took time and brought nothing?\n\n\n"
    "## What will I do differently?\n\n\n## Plan of next week\n\n"
)
STORY_KIND, STORY_TITLE = "story", "Story of the challenge"
STORY_TEMPLATE = "## Before the story\n\n\n## After it: what would I do today?\n\n"


def week_title(number: int) -> str:
    return f"Week {number}"


def of_week(db: Session, challenge: Challenge, number: int) -> Note | None:
    """The review of the challenge week `number`; None when it was not begun."""
    return db.exec(
        select(Note).where(Note.challenge_id == challenge.id, Note.kind == WEEK_KIND, Note.title == week_title(number))
    ).first()


def begin_week(journal: Journal, number: int, writer: str = COMMAND) -> Note:
    """The review of the challenge week `number`, counted from 1; begun with its questions where there is none yet."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        weeks = (challenge.days + 6) // 7
        if not 1 <= number <= weeks:
            raise OnehourError(f"there is no week {number}", fix=f"The challenge has weeks 1 to {weeks}.")
        known = of_week(db, challenge, number)
        return known or notes.begin(db, challenge, journal.now(), week_title(number), WEEK_KIND, WEEK_TEMPLATE, writer)


def of_story(db: Session, challenge: Challenge) -> Note | None:
    """The person's own words for the story of the challenge; None when they were not begun."""
    return db.exec(select(Note).where(Note.challenge_id == challenge.id, Note.kind == STORY_KIND)).first()


def begin_story(journal: Journal, writer: str = COMMAND) -> Note:
    """The note with what stands before the story and after it; begun with two headings where there is none yet."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        known = of_story(db, challenge)
        return known or notes.begin(db, challenge, journal.now(), STORY_TITLE, STORY_KIND, STORY_TEMPLATE, writer)
