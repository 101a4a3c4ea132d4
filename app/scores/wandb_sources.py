"""Where runs are looked for that were not started here: projects on W&B servers and folders on this computer, each for a challenge."""

from __future__ import annotations

import re
from pathlib import Path

from sqlmodel import Session, col, select

from app.journal import challenges
from app.journal.store import Journal
from app.journal.tables import Challenge, WandbSource
from engine.contract import OnehourError, nearest

PROJECT, FOLDER = "project", "folder"
EVERY_S = {PROJECT: 600, FOLDER: 300}
# As W&B allows them, with the space that it makes a hyphen of left out.
_PROJECT = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def watch(journal: Journal, place: str, server: str, *, origin: str = "person") -> WandbSource:
    """Look through a project ("entity/project" on `server`) or a folder again and again, for the active challenge.

    Raises OnehourError for what is neither. What is watched already stays as it is.
    """
    kind, place = kind_of(place)
    with journal.writing() as db:
        challenge = challenges.active(db)
        at = server if kind == PROJECT else ""
        known = _find(db, challenge, kind, place, at)
        if known is not None:
            return known
        source = WandbSource(
            challenge_id=challenge.id, kind=kind, place=place, server=at, origin=origin, created_at=journal.now()
        )
        db.add(source)
        db.flush()
        return source


def unwatch(journal: Journal, place: str) -> WandbSource:
    """Look there no more; the runs that were found stay. Raises OnehourError when it is not watched."""
    with journal.writing() as db:
        every = of(db, challenges.active(db))
        folder = str(Path(place).expanduser().absolute())
        found = next((one for one in every if one.place in (place, folder)), None)
        if found is None:
            raise OnehourError(f"{place!r} is not watched", fix=nearest(place, [one.place for one in every]))
        db.delete(found)
        return found


def of(db: Session, challenge: Challenge) -> list[WandbSource]:
    """What is watched for a challenge, in the order in which it was said."""
    query = select(WandbSource).where(WandbSource.challenge_id == challenge.id).order_by(col(WandbSource.id))
    return list(db.exec(query).all())


def due(db: Session, challenge: Challenge, now: int) -> list[WandbSource]:
    """What is to be looked through again by now."""
    return [
        one for one in of(db, challenge) if one.looked_at is None or now - one.looked_at >= 1000 * EVERY_S[one.kind]
    ]


def kind_of(place: str) -> tuple[str, str]:
    """A folder's full path, or entity/project, with the kind. Raises OnehourError for what is neither."""
    folder = Path(place).expanduser()
    if place and folder.is_dir():
        return FOLDER, str(folder.absolute())
    if _PROJECT.fullmatch(place) and not place.startswith("."):
        return PROJECT, place
    raise OnehourError(
        f"{place!r} is neither a folder nor a project", fix="Name a project as ENTITY/PROJECT, as in its address."
    )


def _find(db: Session, challenge: Challenge, kind: str, place: str, server: str) -> WandbSource | None:
    return next((one for one in of(db, challenge) if (one.kind, one.place, one.server) == (kind, place, server)), None)
