"""Lets what is watched be looked through again and again: the worker's part, and that of a person who does not want to wait."""

from __future__ import annotations

import json

from sqlmodel import Session, col, delete

from app.jobs import errands
from app.journal import challenges
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, WandbSource
from app.scores import wandb_sources

KINDS = {wandb_sources.PROJECT: "wandb_project", wandb_sources.FOLDER: "wandb_folder"}


def ask_due(journal: Journal) -> None:
    """Write down what is due for the active challenge. Cheap when nothing is."""
    with journal.reading() as db:
        challenge = challenges.find_active(db)
        if challenge is None or not _unasked(db, challenge, journal.now()):
            return
    with journal.writing() as db:
        challenge = challenges.active(db)
        for source in _unasked(db, challenge, journal.now()):
            _forget_earlier(db, source)
            ask(db, source, journal.now(), origin="system")


def ask(db: Session, source: WandbSource, now: int, *, origin: str = "person") -> Errand:
    """Let a source be looked through soon. In a writing transaction."""
    kind, challenge_id = KINDS[source.kind], source.challenge_id
    return errands.ask(db, kind, source.place, now, challenge_id=challenge_id, origin=origin, server=source.server)


def ask_folder(db: Session, challenge: Challenge, folder: str, now: int) -> Errand:
    """Let a folder be looked through once, watched or not. In a writing transaction."""
    return errands.ask(db, KINDS[wandb_sources.FOLDER], folder, now, challenge_id=challenge.id, server="")


def _unasked(db: Session, challenge: Challenge, now: int) -> list[WandbSource]:
    """What is due and was not asked for lately, nor is still: a look that waits for its server, or one whose child was killed."""
    return [source for source in wandb_sources.due(db, challenge, now) if not _is_asked(db, source, now)]


def _is_asked(db: Session, source: WandbSource, now: int) -> bool:
    newest = errands.newest(db, KINDS[source.kind], source.place)
    if newest is None or json.loads(newest.asked)["server"] != source.server:
        return False
    lately = now - newest.asked_at < 1000 * wandb_sources.EVERY_S[source.kind]
    return lately or newest.state in (errands.OPEN, errands.RUNNING)


def _forget_earlier(db: Session, source: WandbSource) -> None:
    """A look every few minutes would fill the table; what it found stands in the source."""
    db.exec(
        delete(Errand).where(
            col(Errand.kind) == KINDS[source.kind],
            col(Errand.subject) == source.place,
            col(Errand.origin) == "system",
            col(Errand.state).in_((errands.DONE, errands.FAILED)),
        )
    )
