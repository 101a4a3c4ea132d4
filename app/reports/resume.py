"""The resume card: what a person needs to know before the hour, to go on where they stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sqlmodel import Session, col, select

from app.jobs import probing, submitting
from app.jobs.backends.interface import Quota
from app.journal import notes
from app.journal.sittings import Sitting
from app.journal.tables import DailySession, Note, Todo
from app.scores import position
from app.scores.position import Position
from app.scores.run_rows import RunRow, run_rows
from app.scores.submissions import Slots
from app.scores.verdict import Verdict, verdicts

SHOWN = 3  # finished runs on the card: the last ones
QUOTA_STALE_MS = 2 * 86_400_000  # what a backend's account said longer ago than this is not told


@dataclass(frozen=True)
class Resume:
    """`next_step` was written on `wrote_on`; `finished` ended since the last hour, queued before today; `first_todo` leads the list.

    `verdicts` are those of the last SHOWN finished runs, by their ids; `slots` is None where the daily number is not known,
    `position` where the leaderboard was never seen.
    """

    wrote_on: date | None
    next_step: str
    finished: tuple[RunRow, ...]
    first_todo: str
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    slots: Slots | None = None
    position: Position | None = None
    quotas: Mapping[str, Quota] = field(default_factory=dict)  # GPU hours of each backend whose account tells them

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
        .limit(1)
    ).first()
    last_hour_ended_at = 0 if last is None else last.focus_ends_at or last.paused_at or last.started_at
    finished = [
        run for run in run_rows(db, at.challenge, finished_since=last_hour_ended_at) if run.local_date < at.local_date
    ]
    card = resume(notes.latest_before(db, at.challenge, at.local_date), finished, open_todos)
    shown = [run.run_id for run in card.finished[-SHOWN:]]
    found = verdicts(db, at.challenge, shown) if shown else {}
    return replace(
        card,
        verdicts=found,
        slots=submitting.slots_left(db, at.challenge, at.now),
        position=position.newest(db, at.challenge),
        quotas=probing.quotas(db, since=at.now - QUOTA_STALE_MS, now=at.now),
    )
