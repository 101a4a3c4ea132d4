"""Notes in Markdown: the page of a day, and pages outside any day (ideas, notes on the data) with a title.

Each is saved whole on top of a named revision, so that nothing is overwritten unseen, and flagged when late.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from app.journal import challenges, revisions, sittings
from app.journal.revisions import COMMAND
from app.journal.rules import NOTE_GRACE_MS, Action, Permit, permit, require
from app.journal.store import Journal
from app.journal.tables import Challenge, Note
from engine.contract import OnehourError, nearest

TEMPLATE = "## Plan\n\n\n## Tried\n\n\n## Learnt\n\n\n## Next\n\n"
MAX_BYTES = 1_000_000
MAX_TITLE = 200
DAY_KIND = "day"
KINDS = ("idea", "data")  # of notes outside any day
WEEK_KIND = "week"  # the review of a week, see reviews
_LIST_MARK = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")


class StaleNote(OnehourError):
    """The note was changed elsewhere since it was read. `note` is what stands there now."""

    def __init__(self, note: Note) -> None:
        super().__init__(
            f"{name_of(note)} was changed elsewhere (revision {note.revision})",
            fix="Nothing was overwritten: merge your text with it and save again.",
        )
        self.note = note


@dataclass(frozen=True)
class Saved:
    revision: int
    late: bool
    saved_at: int


def name_of(note: Note) -> str:
    return f'the note "{note.title}"' if note.local_date is None else f"the note of {note.local_date}"


def template(challenge: Challenge) -> str:
    """What the page of a new day begins with."""
    return TEMPLATE if challenge.note_template is None else challenge.note_template


def of_day(db: Session, challenge: Challenge, on: date) -> Note | None:
    return db.exec(select(Note).where(Note.challenge_id == challenge.id, Note.local_date == on)).first()


def outside_days(db: Session, challenge: Challenge) -> list[Note]:
    """The notes outside any day, the last changed first."""
    return list(
        db.exec(
            select(Note)
            .where(Note.challenge_id == challenge.id, Note.local_date == None)  # noqa: E711
            .order_by(col(Note.updated_at).desc(), col(Note.id).desc())
        ).all()
    )


def outside(db: Session, challenge: Challenge, note_id: int) -> Note:
    """The note outside any day with this number. Raises OnehourError naming the known ones."""
    note = db.get(Note, note_id)
    if note is None or note.challenge_id != challenge.id or note.local_date is not None:
        known = ", ".join(f"{row.id} {row.title}" for row in outside_days(db, challenge)[:10]) or "none"
        raise OnehourError(f"there is no note {note_id} outside the days", fix=f"Known: {known}.")
    return note


def is_week_title(title: str) -> bool:
    """Whether only the review of a week may have this title."""
    return re.fullmatch(r"week \d+", title.strip(), re.IGNORECASE) is not None


def latest_before(db: Session, challenge: Challenge, on: date) -> Note | None:
    """The note of the last day before `on` that has one."""
    return db.exec(
        select(Note)
        .where(Note.challenge_id == challenge.id, col(Note.local_date) < on)
        .order_by(col(Note.local_date).desc())
        .limit(1)
    ).first()


def action_for(on: date | None, at: sittings.Sitting) -> Action:
    """Writing the note of `on` is one thing today and another afterwards; a note outside any day is a thought."""
    if on is None:
        return Action.INBOX
    return Action.DAY_NOTE if on >= at.local_date else Action.PAST_NOTE


def save(journal: Journal, on: date, body: str, base_revision: int, writer: str = COMMAND) -> Saved:
    """Save the whole note of the day `on`, written on top of `base_revision` (0: there was none). `writer` names the tab.

    Raises StaleNote when another revision stands there, AgainstTheRules outside the hour.
    """
    _check_size(body)
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sittings.sitting(db, challenge, now)
        if on > at.local_date:
            raise OnehourError(f"{on} has not come yet", fix=f"Today is {at.local_date}.")
        flagged = _flagged(db, at, on)
        note = of_day(db, challenge, on)
        if note is None and on < challenge.starts_on:  # an imported diary may reach further back
            raise OnehourError(f"{on} is no day of the challenge", fix=f"It starts on {challenge.starts_on}.")
        if note is None and base_revision != 0:
            # A journal set back to a backup: the words in the browser are newer than anything that stands here.
            raise StaleNote(_blank(challenge, now, local_date=on, kind=DAY_KIND))
        note = note or _blank(challenge, now, local_date=on, kind=DAY_KIND)
        return _write(db, at, note, body, base_revision, flagged, writer)


def create(journal: Journal, title: str, kind: str = "idea", body: str = "", writer: str = COMMAND) -> Note:
    """A new note outside any day. Outside the hour it is flagged."""
    if kind not in KINDS:
        raise OnehourError(f"there is no kind of note {kind!r}", fix=nearest(kind, KINDS))
    title = _title(title)
    _check_size(body)
    with journal.writing() as db:
        challenge = challenges.active(db)
        _require_free(db, challenge, title)
        return begin(db, challenge, journal.now(), title, kind, body, writer)


def rename(journal: Journal, note_id: int, title: str) -> Note:
    """Give a note outside any day another title. Links to the old one are not rewritten: they lead nowhere from then on.

    Outside the hour the note is flagged. Raises OnehourError for a title that another note has, and for the review of a week.
    """
    title = _title(title)
    with journal.writing() as db:
        challenge = challenges.active(db)
        note = outside(db, challenge, note_id)
        if note.kind == WEEK_KIND:
            raise OnehourError(f'the review "{note.title}" keeps its title', fix="Its week finds it by the title.")
        _require_free(db, challenge, title, besides=note_id)
        flagged = _flagged(db, sittings.sitting(db, challenge, journal.now()), None)
        note.title, note.late = title, note.late or flagged
        db.add(note)
    return note


def _require_free(db: Session, challenge: Challenge, title: str, besides: int | None = None) -> None:
    for row in outside_days(db, challenge):
        if row.id != besides and (row.title or "").casefold() == title.casefold():
            raise OnehourError(
                f'there is a note "{title}" already', fix="A title names one note: [[title]] leads to it."
            )


def begin(db: Session, challenge: Challenge, now: int, title: str, kind: str, body: str, writer: str) -> Note:
    """A note outside any day, in the caller's transaction, whatever other notes are called."""
    at = sittings.sitting(db, challenge, now)
    note = _blank(challenge, now, title=title, kind=kind)
    note.body, note.revision, note.late, note.writer = body, 1, _flagged(db, at, None), writer
    db.add(note)
    return note


def save_outside(journal: Journal, note_id: int, body: str, base_revision: int, writer: str = COMMAND) -> Saved:
    """Save the whole of a note outside any day; raises like `save`."""
    _check_size(body)
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sittings.sitting(db, challenge, now)
        return _write(db, at, outside(db, challenge, note_id), body, base_revision, _flagged(db, at, None), writer)


def restore(journal: Journal, note_id: int, revision: int) -> Saved:
    """Let a note read as it did at a kept revision; what stands there now is kept as a revision too."""
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        note = db.get(Note, note_id)
        if note is None or note.challenge_id != challenge.id:
            raise OnehourError(f"there is no note {note_id}")
        at = sittings.sitting(db, challenge, now)
        body = revisions.one(db, note, revision).body
        flagged = _flagged(db, at, note.local_date)
        return _write(db, at, note, body, note.revision, flagged, f"restored {revision} at {now}")


def require_writable(journal: Journal, on: date | None) -> None:
    """Raises AgainstTheRules when the note of `on` (None: one outside any day) may not be written now."""
    with journal.reading() as db:
        _flagged(db, sittings.sitting(db, challenges.active(db), journal.now()), on)


def next_step(body: str) -> str:
    """The first line under the heading "Next": what the person left for the following day. Empty if there is none."""
    return next(iter(under(body, "Next")), "")


def under(body: str, heading: str) -> list[str]:
    """The lines under a heading of this name, without the marks of a list; what holds no word is left out."""
    inside, lines = False, []
    for line in body.splitlines():
        if line.startswith("#"):
            inside = line.lstrip("# ").strip().lower() == heading.lower()
        elif inside and (said := written(line)):
            lines.append(said)
    return lines


def written(line: str) -> str:
    """A line without the mark of a list and its box; empty where nothing else stands in it."""
    said = _LIST_MARK.sub("", line).strip()
    return said if said.strip("-*+_ ") else ""


def _flagged(db: Session, at: sittings.Sitting, on: date | None) -> bool:
    """Whether what is written now is late; raises AgainstTheRules where it may not be written."""
    # Keystrokes typed just before a deadline arrive just after it.
    typed_at = sittings.sitting(db, at.challenge, at.now - NOTE_GRACE_MS)
    same_day = on is None or typed_at.local_date == on
    if same_day and permit(action_for(on, typed_at), typed_at.moment) is Permit.YES:
        return False
    return require(action_for(on, at), at.moment, "Writing the day's note") is not Permit.YES


def _write(
    db: Session, at: sittings.Sitting, note: Note, body: str, base_revision: int, flagged: bool, writer: str
) -> Saved:
    """Put `body` into `note` on top of `base_revision`, in the caller's transaction."""
    if note.body == body and note.revision:
        return Saved(note.revision, note.late, note.updated_at)
    if note.revision != base_revision:
        raise StaleNote(note)
    if note.revision:
        by = revisions.Save(at.now, writer, flagged)
        revisions.keep_replaced(db, note, by, _deadlines(at))
    note.body, note.revision, note.updated_at = body, base_revision + 1, at.now
    note.late, note.writer = flagged, writer
    db.add(note)
    return Saved(note.revision, note.late, at.now)


def _deadlines(at: sittings.Sitting) -> Sequence[int]:
    return [ends for ends in (at.hour.focus_ends_at, at.hour.reflection_ends_at) if ends is not None]


def _blank(
    challenge: Challenge, now: int, *, kind: str, local_date: date | None = None, title: str | None = None
) -> Note:
    return Note(
        challenge_id=challenge.id,
        local_date=local_date,
        title=title,
        kind=kind,
        body="",
        revision=0,
        origin="person",
        created_at=now,
        updated_at=now,
    )


def _title(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise OnehourError("a note outside the days needs a title")
    if len(title) > MAX_TITLE or any(sign in title for sign in "[]"):
        raise OnehourError(f"a title has at most {MAX_TITLE} characters and no square brackets")
    if is_week_title(title):
        raise OnehourError(
            f'"{title}" is the title of a week\'s review',
            fix="The Week page begins that one. Give this note another title.",
        )
    return title


def _check_size(body: str) -> None:
    size = len(body.encode())
    if size > MAX_BYTES:
        raise OnehourError(f"a note holds at most {MAX_BYTES // 1000} KB, this is {size // 1000} KB")
