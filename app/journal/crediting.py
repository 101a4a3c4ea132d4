"""Which run used which reference, as a person says it; and the runs that say nothing although their day's note names some."""

from __future__ import annotations

import re
from datetime import date

from sqlmodel import Session, col, select

from app.journal import challenges, links, references, sittings
from app.journal.rules import Action, require
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Challenge, Note, Reference, Run, RunReference

_MAYBE_NAMED = re.compile(r"&([a-z0-9-]+)")


def use(journal: Journal, run_key: str, key: str) -> None:
    """Say that a run used a reference. Saying it twice changes nothing."""
    with journal.writing() as db:
        run, reference = _pair(journal, db, run_key, key)
        if db.get(RunReference, (run.id, reference.id)) is None:
            db.add(RunReference(run_id=run.id, reference_id=reference.id))


def disuse(journal: Journal, run_key: str, key: str) -> None:
    """Take back that a run used a reference."""
    with journal.writing() as db:
        run, reference = _pair(journal, db, run_key, key)
        link = db.get(RunReference, (run.id, reference.id))
        if link is not None:
            db.delete(link)


def uncredited(
    db: Session, challenge: Challenge, first: date, last: date, most: int | None = None
) -> dict[str, list[str]]:
    """Runs of the days from `first` to `last` (inclusive) that list no reference although their day's note names some: run → keys.

    The newest days come first; no more than `most` runs are looked for.
    """
    within = (Note.challenge_id == challenge.id, col(Note.local_date) >= first, col(Note.local_date) <= last)
    bodies = dict(db.exec(select(col(Note.local_date), Note.body).where(*within, col(Note.body).contains("&"))).all())
    if not bodies:
        return {}
    every_key = set(db.exec(select(Reference.key).where(Reference.challenge_id == challenge.id)).all())
    # The parser is slow: it reads only where a known key stands behind an & and a run lists nothing.
    naming = [on for on, body in bodies.items() if not every_key.isdisjoint(_MAYBE_NAMED.findall(body))]
    named_on: dict[date, list[str]] = {}
    found: dict[str, list[str]] = {}
    without = db.exec(
        select(Run.key, col(Run.local_date))
        .outerjoin(RunReference, col(RunReference.run_id) == col(Run.id))
        .where(
            Run.challenge_id == challenge.id,
            col(Run.local_date).in_(naming),
            RunReference.run_id == None,  # noqa: E711
        )
        .order_by(col(Run.local_date).desc(), col(Run.key))
    )
    for run_key, on in without.yield_per(100):
        if on not in named_on:
            named = links.targets(bodies[on], links.LinkKind.REFERENCE)
            named_on[on] = [key for key in named if key in every_key]
        if named_on[on]:
            found[run_key] = named_on[on]
        if len(found) == most:
            break
    return found


def _pair(journal: Journal, db: Session, run_key: str, key: str) -> tuple[Run, Reference]:
    challenge = challenges.active(db)
    require(Action.WORK, sittings.moment(db, challenge, journal.now()), "Crediting a reference")
    return run_named(db, run_key, challenge), references.named(db, challenge, key)
