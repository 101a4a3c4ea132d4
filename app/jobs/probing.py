"""The errand that looks at a backend's machine, and what the last look found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlmodel import Session, col, func, select

from app.jobs import configured, errands
from app.jobs.backends.interface import Probe, Quota
from app.journal.store import Journal
from app.journal.tables import Errand


def probe(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Look at the backend that the errand is about."""
    backend = configured.open_backend(journal.home, errand.subject)
    try:
        return asdict(backend.probe())
    finally:
        backend.close()


def last_probe(db: Session, backend: str) -> tuple[Probe, int] | None:
    """What the last look at a backend found, and when (milliseconds UTC)."""
    errand = errands.newest(db, "probe", backend, errands.DONE)
    if errand is None or errand.ended_at is None:
        return None
    found = errands.answer_of(errand)
    quota = found.pop("quota")
    for name in ("gpus", "problems"):
        found[name] = tuple(found[name])
    return Probe(**found, quota=None if quota is None else Quota(**quota)), errand.ended_at


def quotas(db: Session, since: int) -> dict[str, Quota]:
    """The quota of each backend whose account told one at `since` or later, as it was told last; one query."""
    newest = select(func.max(Errand.id)).where(Errand.kind == "probe", Errand.state == errands.DONE)
    rows = db.exec(
        select(Errand)
        .where(col(Errand.id).in_(newest.group_by(col(Errand.subject))), col(Errand.ended_at) >= since)
        .order_by(col(Errand.subject))
    ).all()
    told = {row.subject: (errands.answer_of(row) or {}).get("quota") for row in rows}
    return {backend: Quota(**quota) for backend, quota in told.items() if quota is not None}
