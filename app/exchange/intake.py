"""Foreign records into the journal: what is new of them, in one transaction, with the origin "import".

The same record is taken once: a note by its text, a todo by title and day, a reference by its address, a submission by moment, file and
description. Nothing that stands in the journal is changed. A day that has a note of its own keeps it; the imported text then
becomes a note outside the days that names the day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import TypeVar

from sqlmodel import Session, col, select

from app.exchange.found import Found, FoundNote, FoundRecord, FoundReference, FoundSubmission, FoundTodo
from app.journal import challenges, days, notes, references, sittings, web_address
from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardScore, Note, NoteRevision, Reference, Submission, Todo
from app.scores.lb_scores import MANUAL
from engine.contract import OnehourError

ORIGIN = "import"

Record = TypeVar("Record", bound=FoundRecord)


class Intake:
    """Compares what was found with what is there, row by row; `said` tells in lines what came of each."""

    def __init__(self, db: Session, challenge: Challenge, now: int) -> None:
        self.db, self.challenge, self.now = db, challenge, now
        self.today = sittings.today(challenge, now)
        self.said: list[str] = []
        self.there = 0
        # Known once, not asked for each row: others wait while this writes.
        mine = challenge.id
        todos = db.exec(select(Todo).where(Todo.challenge_id == mine)).all()
        self.todos = {(todo.title, todo.planned_on) for todo in todos}
        self.imported_todos = {todo.title for todo in todos if todo.origin == ORIGIN}
        self.last_position = max((todo.position for todo in todos), default=0)
        taken = db.exec(select(Reference.url, Reference.key).where(Reference.challenge_id == mine)).all()
        self.urls, self.keys = {url for url, _ in taken}, {key for _, key in taken}
        sent = select(Submission.created_at, Submission.path, Submission.description)
        self.sent = set(db.exec(sent.where(Submission.challenge_id == mine)).all())

    def take(self, found: Found) -> None:
        """Add everything of `found` that is new; what cannot be goes to its problems."""
        self._each(found, found.notes, self._note)
        self._each(found, found.todos, self._todo)
        self._each(found, found.references, self._reference)
        self._each(found, found.submissions, self._submission)

    def _each(self, found: Found, records: Sequence[Record], take: Callable[[Record], str | None]) -> None:
        for record in records:
            try:
                said = take(record)
            except OnehourError as error:
                found.cannot(record.where, error.what)
            except (ValueError, OverflowError) as error:  # a day that no clock can tell is one of them
                found.cannot(record.where, str(error))
            else:
                if said is None:
                    self.there += 1
                else:
                    self.said.append(f"{said}  ({record.where})")

    def _note(self, found: FoundNote) -> str | None:
        if len(found.body.encode()) > notes.MAX_BYTES:
            raise ValueError(f"a note holds at most {notes.MAX_BYTES // 1000} KB")
        self._require_past(found.on)
        on, title = found.on, None if found.on else found.title[: notes.MAX_TITLE]
        if title is not None and notes.is_week_title(title):
            title = f"{title.strip()} (imported)"  # the plain one is the title of the journal's own review
        if on is not None and notes.of_day(self.db, self.challenge, on) is not None:
            if self._was_said(found.body, Note.local_date == on):
                return None
            if self._was_said(found.body, col(Note.title).startswith(f"{on} · ")):
                return None
            said = found.title or PurePosixPath(found.where.rpartition(":")[0]).name
            on, title = None, f"{on} · {said}"[: notes.MAX_TITLE]
        elif on is None and self._was_said(found.body, Note.title == title):
            return None
        self.db.add(
            Note(
                challenge_id=self.challenge.id,
                local_date=on,
                title=title,
                kind=notes.DAY_KIND if on else notes.KINDS[0],
                body=found.body,
                revision=1,
                writer=ORIGIN,
                origin=ORIGIN,
                created_at=self._moment(on),
                updated_at=self._moment(on),
            )
        )
        return f"note {on}" if on else f'note "{title}"'

    def _was_said(self, body: str, which: object) -> bool:
        """Whether such a note says this, or said it before a person went on with it."""
        mine = select(Note.id).where(Note.challenge_id == self.challenge.id, which)  # type: ignore[arg-type]
        earlier = select(NoteRevision.note_id).where(NoteRevision.body == body, col(NoteRevision.note_id).in_(mine))
        return (
            self.db.exec(mine.where(Note.body == body)).first() is not None or self.db.exec(earlier).first() is not None
        )

    def _todo(self, found: FoundTodo) -> str | None:
        if len(found.title) > 500:
            raise ValueError("a todo's title holds at most 500 characters")
        if (found.title, found.on) in self.todos or (found.on is None and found.title in self.imported_todos):
            return None
        on = found.on or self.today
        self.todos.add((found.title, found.on or self.today))
        self.imported_todos.add(found.title)
        self.last_position += 1
        self.db.add(
            Todo(
                challenge_id=self.challenge.id,
                title=found.title,
                planned_on=on,
                position=self.last_position,
                done_at=self._moment(on) if found.done else None,
                origin=ORIGIN,
                created_at=self._moment(on),
            )
        )
        return f"todo {on} {found.title}" + (" (done)" if found.done else "")

    def _reference(self, found: FoundReference) -> str | None:
        guessed = web_address.guess(found.url)
        if found.url in self.urls:
            return None
        title = found.title or guessed.title
        for name, said in (("title", title), ("author", found.author), ("taken", found.taken)):
            if len(said) > references.LIMITS[name]:
                raise ValueError(f"the {name} of a reference holds at most {references.LIMITS[name]} characters")
        key, number = guessed.key, 2
        while key in self.keys:
            key, number = f"{guessed.key[:56]}-{number}", number + 1
        self.urls.add(found.url)
        self.keys.add(key)
        self.db.add(
            Reference(
                challenge_id=self.challenge.id,
                key=key,
                url=found.url,
                title=title,
                author=found.author or guessed.author,
                licence=found.licence,
                kind=found.kind if found.kind in references.KINDS else guessed.kind,
                taken=found.taken,
                origin=ORIGIN,
                created_at=self.now,
            )
        )
        return f"reference &{key} {title}"

    def _submission(self, found: FoundSubmission) -> str | None:
        at = found.at if found.at is not None else self._moment(found.on)
        self._require_past(days.logical_date(at, self.challenge.time_zone, self.challenge.day_starts_at))
        if (at, found.file_name, found.description) in self.sent:
            return None
        self.sent.add((at, found.file_name, found.description))
        sent = Submission(
            challenge_id=self.challenge.id,
            path=found.file_name,
            description=found.description,
            sent_at=at,
            origin=ORIGIN,
            created_at=at,
        )
        self.db.add(sent)
        if found.public is not None or found.private is not None:
            self.db.flush()
            score = LeaderboardScore(submission_id=sent.id, source=MANUAL, origin=ORIGIN, scored_at=at)
            score.public, score.private = found.public, found.private
            self.db.add(score)
        scores = [
            f"{name} {value:g}"
            for name, value in (("public", found.public), ("private", found.private))
            if value is not None
        ]
        return " ".join(["submission", found.file_name, *scores])

    def _require_past(self, on: date | None) -> None:
        if on is not None and on > self.today:
            raise ValueError(f"{on} has not come yet")

    def _moment(self, on: date | None) -> int:
        """The first moment of a day; now where no day is known."""
        return self.now if on is None else days.day_starts(on, self.challenge.time_zone, self.challenge.day_starts_at)


class Rehearsed(Exception):
    """Ends the transaction of a dry run."""


def take_in(journal: Journal, found: Found, *, dry_run: bool = False, skip_bad: bool = False) -> Intake:
    """Add what is new of `found`; all of it, or nothing when there are problems and they are not to be skipped.

    The problems met on the way are added to `found.problems`. A dry run does the same and takes it back.
    """
    intake: Intake | None = None
    try:
        with journal.writing() as db:
            intake = Intake(db, challenges.active(db), journal.now())
            intake.take(found)
            if dry_run or (found.problems and not skip_bad):
                raise Rehearsed
    except Rehearsed:
        pass
    assert intake is not None
    return intake
