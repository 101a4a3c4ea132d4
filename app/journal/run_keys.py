"""A run found by its key; an unknown one is refused with the nearest that there is."""

from __future__ import annotations

from sqlmodel import Session, col, select

from app.journal.tables import Challenge, Run
from engine.contract import OnehourError, nearest

NEWEST = 200  # runs among which the nearest key is looked for


def run_named(db: Session, run_key: str, challenge: Challenge | None = None) -> Run:
    """The run with this key, with or without the @ of a note; of the challenge, where one is given."""
    run_key = run_key.removeprefix("@")
    query = select(Run).where(Run.key == run_key)
    if challenge is not None:
        query = query.where(Run.challenge_id == challenge.id)
    run = db.exec(query).first()
    if run is None:
        raise no_such_run(db, run_key, challenge)
    return run


def no_such_run(db: Session, run_key: str, challenge: Challenge | None = None) -> OnehourError:
    query = select(Run.key).order_by(col(Run.id).desc()).limit(NEWEST)
    if challenge is not None:
        query = query.where(Run.challenge_id == challenge.id)
    return OnehourError(f"there is no run {run_key!r}", fix=nearest(run_key, db.exec(query).all()))
