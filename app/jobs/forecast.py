"""When a run that is not queued yet would probably be done, and whether that is before the next hour."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from app.jobs import backlog, estimate, presence
from app.journal.home import Home
from app.journal.sessions import Sitting
from engine.contract import RunSpec


@dataclass(frozen=True)
class Forecast:
    """Seconds of work; moments in milliseconds UTC. No next hour is expected: None."""

    seconds: float
    ends_at: int
    next_hour_at: int | None

    @property
    def fits(self) -> bool | None:
        """Whether it ends before the next hour; None when no hour is expected."""
        return None if self.next_hour_at is None else self.ends_at <= self.next_hour_at


def forecast(db: Session, home: Home, at: Sitting, spec: RunSpec) -> Forecast:
    """As if `spec` were queued now, behind what runs and waits."""
    rows = backlog.list_jobs(db, at.challenge.id, open_only=True)
    seconds = estimate.estimate(db, spec)
    starts_at = estimate.starts_at(
        at.now,
        [(row.started_at or at.now) + _ms(row.estimated_s) for row in rows if row.state in backlog.ACTIVE],
        [row.estimated_s or 0 for row in rows if row.state == backlog.QUEUED],
        len(presence.worker_slots(home) or ("",)),
    )
    return Forecast(seconds, starts_at + _ms(seconds), estimate.next_hour_at(db, at.challenge, at.now))


def _ms(seconds: float | None) -> int:
    return round((seconds or 0) * 1000)
