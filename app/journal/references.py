"""References: what was learnt from, by whom, under which licence, what was taken."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, or_, select

from app.journal import challenges, links, notes, sittings
from app.journal.home import COMMAND
from app.journal.rules import Action, require
from app.journal.store import Journal
from app.journal.tables import Challenge, Note, Reference, Run, RunReference, TodoLink
from app.journal.web_address import guess, key_of
from engine.contract import OnehourError, nearest

KINDS = ("kernel", "discussion", "paper", "repository", "post")
LIMITS = {"title": 500, "author": 200, "licence": 200, "taken": 5_000}
MOST_NAMED = 5
_KEY = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")


def add(journal: Journal, url: str, **said: str) -> Reference:
    """Take a reference on; what is not `said` (key, title, author, licence, kind, taken) is guessed from the address."""
    guessed = guess(url)
    said = {name: " ".join(value.split()) if name != "taken" else value.strip() for name, value in said.items()}
    values = {
        "kind": said.get("kind") or guessed.kind,
        "title": said.get("title") or guessed.title,
        "author": said.get("author") or guessed.author,
        "licence": said.get("licence", ""),
        "taken": said.get("taken", ""),
    }
    _check(values)
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        require(Action.WORK, sittings.moment(db, challenge, now), "Taking on a reference")
        known = {row.key: row.url for row in every(db, challenge)}
        twin = next((key for key, address in known.items() if address == url.strip()), None)
        if twin is not None:
            raise OnehourError(f"this address is known already: &{twin}")
        key = said.get("key") or _free_key(guessed.key, known)
        if not _KEY.fullmatch(key):
            raise OnehourError(f"{key!r} is no key", fix=f"Use letters, digits and hyphens, as in {key_of(key)}.")
        if key in known:
            raise OnehourError(f"the key {key!r} is taken by {known[key]}", fix="Choose another key.")
        reference = Reference(
            challenge_id=challenge.id,
            key=key,
            url=url.strip(),
            title=values["title"],
            author=values["author"],
            licence=values["licence"],
            kind=values["kind"],
            taken=values["taken"],
            origin="person",
            created_at=now,
        )
        db.add(reference)
    return reference


def change(journal: Journal, key: str, **said: str) -> Reference:
    """Correct title, author, licence, kind or taken."""
    _check(said)
    with journal.writing() as db:
        challenge = challenges.active(db)
        reference = named(db, challenge, key)
        require(Action.WORK, sittings.moment(db, challenge, journal.now()), "Changing a reference")
        for name, value in said.items():
            setattr(reference, name, value.strip())
        db.add(reference)
    return reference


def remove(journal: Journal, key: str, *, force: bool = False) -> Reference:
    """Take a reference off the list for good.

    What runs, todos or notes still name is kept, and the refusal says who they are. With `force` it goes all the same, with the links from
    runs and todos; &key stays in the notes as text.
    """
    with journal.writing() as db:
        challenge = challenges.active(db)
        reference = named(db, challenge, key)
        require(Action.WORK, sittings.moment(db, challenge, journal.now()), "Removing a reference")
        needed = needed_by(db, challenge, reference)
        if needed and not force:
            more = f" and {len(needed) - MOST_NAMED} more" if len(needed) > MOST_NAMED else ""
            raise OnehourError(
                f"&{reference.key} is named by {', '.join(needed[:MOST_NAMED])}{more}",
                fix=f"Take that back first, or remove it all the same: {COMMAND} ref remove {reference.key} --force",
            )
        for link in (
            *db.exec(select(RunReference).where(RunReference.reference_id == reference.id)).all(),
            *db.exec(select(TodoLink).where(TodoLink.reference_id == reference.id)).all(),
        ):
            db.delete(link)
        db.flush()
        db.delete(reference)
    return reference


def needed_by(db: Session, challenge: Challenge, reference: Reference) -> list[str]:
    """Who names a reference, in words: the runs that used it, the todos linked to it, the notes with its &key."""
    todos = db.exec(select(TodoLink.todo_id).where(TodoLink.reference_id == reference.id)).all()
    notes_with = select(Note).where(
        Note.challenge_id == challenge.id, col(Note.body).contains(f"&{reference.key}", autoescape=True)
    )
    naming = [
        notes.name_of(note)
        for note in db.exec(notes_with.order_by(col(Note.local_date), col(Note.title))).all()
        if reference.key in links.targets(note.body, links.LinkKind.REFERENCE)
    ]
    return [*users(db, challenge, [reference])[reference.id], *(f"todo {number}" for number in todos), *naming]


def every(db: Session, challenge: Challenge) -> list[Reference]:
    """All references, newest first."""
    return list(
        db.exec(
            select(Reference).where(Reference.challenge_id == challenge.id).order_by(col(Reference.id).desc())
        ).all()
    )


def found(db: Session, challenge: Challenge, words: str, start: int, limit: int) -> list[Reference]:
    """`limit` references from the one at `start` on, newest first, of those that `count` counts."""
    query = select(Reference).where(*_holding(challenge, words)).order_by(col(Reference.id).desc())
    return list(db.exec(query.offset(start).limit(limit)).all())


def count(db: Session, challenge: Challenge, words: str = "") -> int:
    """How many references hold each of the words in key, title, author, kind or licence."""
    return db.exec(select(func.count()).select_from(Reference).where(*_holding(challenge, words))).one()


def _holding(challenge: Challenge, words: str) -> list[ColumnElement[bool]]:
    places = (Reference.key, Reference.title, Reference.author, Reference.kind, Reference.licence)
    holding = [or_(*(col(place).contains(word, autoescape=True) for place in places)) for word in words.split()]
    return [col(Reference.challenge_id) == challenge.id, *holding]


def known(db: Session, challenge: Challenge, keys: Collection[str]) -> set[str]:
    """Those of the keys that lead to a reference."""
    if not keys:
        return set()
    query = select(Reference.key).where(Reference.challenge_id == challenge.id, col(Reference.key).in_(keys))
    return set(db.exec(query).all())


def named(db: Session, challenge: Challenge, key: str) -> Reference:
    """The reference behind &key. Raises OnehourError with the nearest key."""
    key = key.removeprefix("&")
    found = db.exec(select(Reference).where(Reference.challenge_id == challenge.id, Reference.key == key)).first()
    if found is None:
        raise OnehourError(
            f"there is no reference {key!r}", fix=nearest(key, [row.key for row in every(db, challenge)])
        )
    return found


def collected_between(db: Session, challenge: Challenge, first_at: int, end_at: int) -> list[Reference]:
    """References taken on from `first_at` to `end_at` (exclusive, milliseconds UTC), oldest first."""
    query = select(Reference).where(
        Reference.challenge_id == challenge.id, Reference.created_at >= first_at, Reference.created_at < end_at
    )
    return list(db.exec(query.order_by(col(Reference.created_at), col(Reference.id))).all())


def users(db: Session, challenge: Challenge, of: Sequence[Reference] | None = None) -> dict[int, list[str]]:
    """The keys of the runs that used each reference (None: of all), by the reference's id."""
    query = (
        select(RunReference.reference_id, Run.key)
        .join(Run, col(Run.id) == col(RunReference.run_id))
        .order_by(col(Run.key))
    )
    if of is None:
        query = query.where(Run.challenge_id == challenge.id)
    else:  # a reference's runs are of its challenge; said again, it would lead SQLite to read all of them
        query = query.where(col(RunReference.reference_id).in_([row.id for row in of]))
    rows = db.exec(query).all()
    used: dict[int, list[str]] = defaultdict(list)
    for reference_id, run_key in rows:
        used[reference_id].append(run_key)
    return used


def _check(values: dict[str, str]) -> None:
    if "kind" in values and values["kind"] not in KINDS:
        raise OnehourError(f"there is no kind of reference {values['kind']!r}", fix=nearest(values["kind"], KINDS))
    if "title" in values and not values["title"].strip():
        raise OnehourError("a reference needs a title")
    for name, limit in LIMITS.items():
        if len(values.get(name, "")) > limit:
            raise OnehourError(f"the {name} of a reference holds at most {limit} characters")


def _free_key(key: str, taken: dict[str, str]) -> str:
    free, number = key, 2
    while free in taken:
        free, number = f"{key[:55]}-{number}", number + 1
    return free
