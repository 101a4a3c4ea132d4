"""What a note once said: which of its saves are kept, and how an earlier one comes back.

An editor saves every moment, so not every save is kept. The text that a save replaces is kept when

- another tab or command wrote it, or a command replaces it: a command never saves by itself,
- it was written before a deadline that has passed since (the hour's end, the reflection's end), or its late flag differs,
- three minutes or more have passed since the last kept one.

So an hour of typing leaves some twenty revisions, and the last words before somebody else's are always there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, func, select

from app.journal.tables import Note, NoteRevision
from engine.contract import OnehourError

KEEP_EVERY_MS = 180_000
COMMAND = "command"  # the writer that a command is


@dataclass(frozen=True)
class Save:
    """One save of a note: when, by whom, and whether it was late."""

    at: int
    writer: str
    late: bool


def worth_keeping(replaced: Save, by: Save, last_kept_at: int, deadlines: Iterable[int]) -> bool:
    """Whether the text of the save `replaced` is kept when the save `by` replaces it. Moments in milliseconds."""
    return (
        by.writer == COMMAND
        or replaced.writer != by.writer
        or replaced.late != by.late
        or any(replaced.at < deadline <= by.at for deadline in deadlines)
        or by.at - last_kept_at >= KEEP_EVERY_MS
    )


def keep_replaced(db: Session, note: Note, by: Save, deadlines: Iterable[int]) -> None:
    """Keep what stands in `note`, if it is worth it, before the save `by` replaces it."""
    last_kept_at, last_kept = db.exec(
        select(func.max(NoteRevision.saved_at), func.max(NoteRevision.revision)).where(NoteRevision.note_id == note.id)
    ).one()
    if last_kept == note.revision:
        return
    replaced = Save(note.updated_at, note.writer, note.late)
    if worth_keeping(replaced, by, last_kept_at or note.created_at, deadlines):
        db.add(
            NoteRevision(
                note_id=note.id, revision=note.revision, body=note.body, late=note.late, saved_at=note.updated_at
            )
        )


def history(db: Session, note: Note) -> list[NoteRevision]:
    """The kept revisions of a note, newest first; what stands there now is not among them."""
    return list(
        db.exec(
            select(NoteRevision)
            .where(NoteRevision.note_id == note.id, NoteRevision.revision != note.revision)
            .order_by(col(NoteRevision.revision).desc())
        ).all()
    )


def one(db: Session, note: Note, revision: int) -> NoteRevision:
    """One kept revision. Raises OnehourError naming the kept ones when there is none of that number."""
    found = db.get(NoteRevision, (note.id, revision))
    if found is None:
        kept = ", ".join(str(row.revision) for row in history(db, note)) or "none"
        raise OnehourError(f"revision {revision} of this note is not kept", fix=f"Kept: {kept}.")
    return found
