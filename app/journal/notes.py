"""The page of a day, in Markdown: read, saved with a revision, flagged when late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from app.journal import challenges, sessions
from app.journal.rules import NOTE_GRACE_MS, Action, Permit, permit, require
from app.journal.store import Journal
from app.journal.tables import Challenge, Note
from engine.contract import OnehourError

TEMPLATE = "## Plan\n\n\n## Tried\n\n\n## Learnt\n\n\n## Next\n\n"
MAX_BYTES = 1_000_000


class StaleNote(OnehourError):
    """The note was changed elsewhere since it was read. `note` is what stands there now."""

    def __init__(self, note: Note) -> None:
        super().__init__(
            f"the note of {note.local_date} was changed elsewhere (revision {note.revision})",
            fix="Nothing was overwritten: merge your text with it and save again.",
        )
        self.note = note


@dataclass(frozen=True)
class Saved:
    revision: int
    late: bool
    saved_at: int


def of_day(db: Session, challenge: Challenge, on: date) -> Note | None:
    return db.exec(select(Note).where(Note.challenge_id == challenge.id, Note.local_date == on)).first()


def latest_before(db: Session, challenge: Challenge, on: date) -> Note | None:
    """The note of the last day before `on` that has one."""
    return db.exec(
        select(Note)
        .where(Note.challenge_id == challenge.id, col(Note.local_date) < on)
        .order_by(col(Note.local_date).desc())
    ).first()


def action_for(on: date, at: sessions.Sitting) -> Action:
    """Writing the note of `on` is one thing today and another afterwards."""
    return Action.DAY_NOTE if on >= at.local_date else Action.PAST_NOTE


def save(journal: Journal, on: date, body: str, base_revision: int) -> Saved:
    """Save the whole note of the day `on`, written on top of `base_revision` (0: there was none).

    Raises StaleNote when another revision stands there, AgainstTheRules outside the hour.
    """
    if len(body.encode()) > MAX_BYTES:
        raise OnehourError(f"a note holds at most {MAX_BYTES // 1000} KB, this is {len(body.encode()) // 1000} KB")
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sessions.sitting(db, challenge, now)
        # Keystrokes typed just before a deadline arrive just after it.
        typed_at = sessions.sitting(db, challenge, now - NOTE_GRACE_MS)
        if on > at.local_date:
            raise OnehourError(f"{on} has not come yet", fix=f"Today is {at.local_date}.")
        in_time = typed_at.local_date == on and permit(action_for(on, typed_at), typed_at.state) is Permit.YES
        granted = Permit.YES if in_time else require(action_for(on, at), at.moment, "Writing the day's note")
        note = of_day(db, challenge, on)
        if note is not None and note.body == body:
            return Saved(note.revision, note.late, note.updated_at)
        if (note.revision if note else 0) != base_revision:
            raise StaleNote(note) if note else OnehourError(f"there is no revision {base_revision} of the note of {on}")
        if note is None:
            note = Note(
                challenge_id=challenge.id,
                local_date=on,
                body="",
                revision=0,
                origin="person",
                created_at=now,
                updated_at=now,
            )
        note.body, note.revision, note.updated_at, note.late = body, base_revision + 1, now, granted is Permit.LATE
        db.add(note)
        return Saved(note.revision, note.late, now)


def next_step(body: str) -> str:
    """The first line under the heading "Next": what the person left for the following day. Empty if there is none."""
    inside = False
    for line in body.splitlines():
        if line.startswith("#"):
            inside = line.lstrip("# ").strip().lower() == "next"
        elif inside and line.strip(" -*\t"):
            return line.strip(" -*\t")
    return ""
