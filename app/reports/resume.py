"""The resume card: what a person needs to know before the hour, to go on where they stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from app.journal import notes
from app.journal.sittings import Sitting
from app.journal.tables import DailySession, Note, Todo
from app.scores.run_rows import RunRow, run_rows


@dataclass(frozen=True)
class Resume:
    """`next_step` was written on `wrote_on`; `finished` ended since the last hour, queued before today; `first_todo` leads the list."""

    wrote_on: date | None
    next_step: str
    finished: tuple[RunRow, ...]
    first_todo: str

    @property
    def is_empty(self) -> bool:
        return not (self.next_step or self.finished or self.first_todo)


def resume(note: Note | None, runs: Sequence[RunRow], open_todos: Sequence[Todo]) -> Resume:
    """From plain rows: the newest note before today, the earlier days' runs that ended since the last hour, the open todos in order."""
    next_step = notes.next_step(note.body) if note else ""
    return Resume(
        wrote_on=note.local_date if note and next_step else None,
        next_step=next_step,
        finished=tuple(sorted(runs, key=lambda run: run.finished_at or 0)),
        first_todo=open_todos[0].title if open_todos else "",
    )


def read(db: Session, at: Sitting, open_todos: Sequence[Todo]) -> Resume:
    """The resume card of the day `at`, with the todos that are open on it."""
    last = db.exec(
        select(DailySession)
        .where(DailySession.challenge_id == at.challenge.id, DailySession.local_date < at.local_date)
        .order_by(col(DailySession.local_date).desc())
    ).first()
    last_hour_ended_at = 0 if last is None else last.focus_ends_at or last.paused_at or last.started_at
    return resume(
        notes.latest_before(db, at.challenge, at.local_date),
        [
            run
            for run in run_rows(db, at.challenge, finished_since=last_hour_ended_at)
            if run.local_date < at.local_date
        ],
        open_todos,
    )
