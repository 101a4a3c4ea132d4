"""What the Journal page shows of a day or a note, gathered: live runs, todos, thoughts, backlinks, where its links lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import or_
from sqlmodel import Session, col, select

from app.journal import challenges, crediting, links, notes, references, todos
from app.journal.days import DAY, day_name, day_number
from app.journal.tables import Challenge, Experiment, InboxItem, Note, Run, Todo
from app.scores.board import BoardRun, board_runs, board_runs_named


@dataclass(frozen=True)
class Backlink:
    """A note that links here."""

    words: str
    address: str


@dataclass(frozen=True)
class DayRecord:
    local_date: date
    note: Note | None
    runs: list[BoardRun]  # of that day, and those its note names
    todos: list[Todo]
    thoughts: list[InboxItem]
    backlinks: list[Backlink]
    uncredited: dict[str, list[str]]


def day_record(db: Session, challenge: Challenge, on: date) -> DayRecord:
    note = notes.of_day(db, challenge, on)
    number = day_number(on, challenge.starts_on)
    query = select(InboxItem).where(InboxItem.challenge_id == challenge.id, InboxItem.local_date == on)
    return DayRecord(
        on,
        note,
        [*board_runs(db, challenge, on, on), *named_runs(db, challenge, note, besides=on)],
        todos.planned_for(db, challenge, on),
        list(db.exec(query.order_by(col(InboxItem.id))).all()),
        backlinks(db, challenge, links.LinkKind.DAY, str(number), besides=note) if number >= 1 else [],
        crediting.uncredited(db, challenge, on, on),
    )


def named_runs(db: Session, challenge: Challenge, note: Note | None, besides: date | None = None) -> list[BoardRun]:
    """The runs that a note names by @key, as they stand now; without those of the day `besides`."""
    keys = links.targets(note.body, links.LinkKind.RUN) if note is not None else []
    return [run for run in board_runs_named(db, challenge, keys) if run.row.local_date != besides] if keys else []


def backlinks(
    db: Session, challenge: Challenge, kind: links.LinkKind, target: str, besides: Note | None = None
) -> list[Backlink]:
    """The notes that link to `target`, days in order and then the others; the note `besides` is left out."""
    signs = (col(Note.body).contains(sign, autoescape=True) for sign in _signs(kind, target))
    rows = db.exec(
        select(Note)
        .where(Note.challenge_id == challenge.id, or_(*signs))
        .order_by(col(Note.local_date).is_(None), col(Note.local_date), col(Note.title))
    ).all()
    wanted = target.casefold()
    besides_id = None if besides is None else besides.id
    return [
        Backlink(*_where(row, challenge))
        for row in rows
        if row.id != besides_id
        and wanted in row.body.casefold()
        and wanted in (found.casefold() for found in links.targets(row.body, kind))
    ]


def known(db: Session, challenge: Challenge, body: str) -> links.Known:
    """What the links of `body` can lead to; asks only for what it names."""
    wanted = links.find(body)

    def named(kind: links.LinkKind) -> list[str]:
        return [link.target for link in wanted if link.kind is kind]

    titles, runs, keys = named(links.LinkKind.NOTE), named(links.LinkKind.RUN), named(links.LinkKind.REFERENCE)
    return links.Known(
        challenge.starts_on,
        challenge.days,
        {(note.title or "").casefold(): note.id for note in notes.outside_days(db, challenge)} if titles else {},
        {
            *(db.exec(select(Run.key).where(col(Run.key).in_(runs))).all() if runs else ()),
            *(db.exec(select(Experiment.key).where(col(Experiment.key).in_(runs))).all() if runs else ()),
        },
        references.known(db, challenge, keys),
    )


def earlier_days(db: Session, challenge: Challenge) -> list[date]:
    """The days before the challenge's first that hold something (a note, a todo, a thought), the oldest first.

    Imported records reach back so far, and the inbox takes thoughts before the first day.
    """
    found: set[date | None] = set()
    for table, on in ((Note, Note.local_date), (Todo, Todo.planned_on), (InboxItem, InboxItem.local_date)):
        mine = select(col(on)).where(col(table.challenge_id) == challenge.id, col(on) < challenge.starts_on)
        found.update(db.exec(mine.distinct()).all())
    return sorted(on for on in found if on is not None)


def neighbours(challenge: Challenge, on: date, today: date, earlier: Sequence[date]) -> tuple[date | None, date | None]:
    """The days before and after `on` that can be read: those of `earlier`, then from the challenge's first day to today or its last."""
    first = challenge.starts_on
    last = min(max(today, first), challenges.last_day(challenge))
    before = on - DAY if on > first else max((day for day in earlier if day < on), default=None)
    if on < first:
        return before, min((day for day in earlier if day > on), default=first)
    return before, on + DAY if on < last else None


def _signs(kind: links.LinkKind, target: str) -> list[str]:
    """One of them must stand in a note that links to `target`; narrows the rows before the parser decides, which reads slowly."""
    return {
        links.LinkKind.DAY: [f"[[day-{target.zfill(digits)}]]" for digits in range(len(target), 5)],
        links.LinkKind.NOTE: ["[["],
        links.LinkKind.TAG: [f"#{target}"],
        links.LinkKind.RUN: [f"@{target}"],
        links.LinkKind.REFERENCE: [f"&{target}"],
    }[kind]


def _where(note: Note, challenge: Challenge) -> tuple[str, str]:
    if note.local_date is None:
        return note.title or "", links.note_address(note.id)
    return day_name(note.local_date, challenge.starts_on), links.day_address(note.local_date)
