"""When a run that is not queued yet would probably be done, and whether that is before the next hour."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from app.jobs import backlog, estimate, presence
from app.journal import days
from app.journal.home import Home
from app.journal.sittings import Sitting
from engine.contract import RunSpec
from engine.run_folder import RunFolder


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

    def end_text(self, now: int, time_zone: str) -> str:
        """The local time of the end, with its date unless that is today's: `21:40`, `03:10 on 03 Mar`."""
        ends = days.local(self.ends_at, time_zone)
        another_day = ends.date() != days.local(now, time_zone).date()
        return days.clock_text(self.ends_at, time_zone) + (f" on {ends:%d %b}" if another_day else "")


def forecast(db: Session, home: Home, at: Sitting, spec: RunSpec) -> Forecast:
    """As if `spec` were queued now, behind what runs and waits."""
    rows = backlog.list_jobs(db, open_only=True)
    seconds = estimate.estimate(db, spec)
    starts_at = estimate.starts_at(
        at.now,
        [running_until(home, row, at.now) for row in rows if row.state in backlog.ACTIVE],
        [row.estimated_s or 0 for row in rows if row.state == backlog.QUEUED],
        len(presence.worker_slots(home) or ("",)),
    )
    return Forecast(seconds, starts_at + _ms(seconds), estimate.next_hour_at(db, at.challenge, at.now))


def running_until(home: Home, row: backlog.QueueRow, now: int) -> int:
    """When a running job will probably end (milliseconds UTC), by the pace of the attempt that is running."""
    folder, started_at = RunFolder(home.run_dir(row.run_key)), row.started_at or now
    done = folder.progress()
    epochs = [
        (epoch["fold"], epoch["epoch"], epoch["at"]) for epoch in folder.metrics() if epoch.get("kind") == "epoch"
    ]
    every = {(fold, number) for fold, number, _ in epochs}
    earlier = {(fold, number) for fold, number, ended_at in epochs if ended_at < started_at}
    before = done * len(earlier) / len(every) if every else 0.0
    return estimate.end_of_running(started_at, row.estimated_s or 0, done, now, before)


def _ms(seconds: float | None) -> int:
    return round((seconds or 0) * 1000)
