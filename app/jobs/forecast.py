"""A run that is not queued yet: when it would probably be done, and what should be thought about twice before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session

from app.jobs import backlog, configured, estimate, night, probing
from app.jobs.backends.local import LOCAL
from app.jobs.configured import MachineFacts
from app.jobs.estimate import Duration
from app.jobs.night import Bar, Night
from app.jobs.specs import Spec
from app.journal import days
from app.journal.home import Home
from app.journal.sittings import Sitting
from engine.contract import RunSpec

NEW = "·new·"  # no run key looks like it


@dataclass(frozen=True)
class Forecast:
    """`duration` in seconds of work; moments in milliseconds UTC. `cautions`: sentences that ask for a second click."""

    duration: Duration
    bar: Bar
    next_hour_at: int | None
    cautions: tuple[str, ...] = ()

    @property
    def ends_at(self) -> int:
        return self.bar.ends_at

    @property
    def fits(self) -> bool | None:
        """Whether it ends before the next hour; None when no hour is expected."""
        return None if self.next_hour_at is None else self.ends_at <= self.next_hour_at

    def end_text(self, now: int, time_zone: str) -> str:
        """The local time of the end, with its date unless that is today's: `21:40`, `03:10 on 03 Mar`."""
        return night.end_text(self.ends_at, now, time_zone)


def forecast(
    db: Session, home: Home, at: Sitting, specs: Sequence[Spec], backend: str = LOCAL, done: float = 0.0
) -> list[Forecast]:
    """As if `specs` were queued now, one after the other, behind what runs and waits.

    `done`: the share 0…1 of their work that was done elsewhere already. Raises OnehourError for a backend that is not configured.
    """
    limit_s = configured.settings_of(home, backend).time_limit
    durations = [estimate.estimate(db, spec, backend) for spec in specs]
    left = [_part(duration, 1 - done) for duration in durations]
    loads = [night.new_load(f"{NEW}{number}", "", backend, duration) for number, duration in enumerate(left)]
    coming = night.plan(db, home, at.challenge, at.now, backlog.list_jobs(db, open_only=True), loads)
    found = []
    over = _over_quota(db, at, backend, coming, configured.machines(home))
    for spec, duration, load in zip(specs, durations, loads, strict=True):
        bar = coming.bar_of(load.run_key)
        assert bar is not None
        cautions = (*_over_limit(spec, backend, _part(duration, 1 - done), limit_s, done), *over)
        found.append(Forecast(duration, bar, coming.next_hour_at, cautions))
    return found


def _part(duration: Duration, share: float) -> Duration:
    return replace(
        duration, seconds=duration.seconds * share, low_s=duration.low_s * share, high_s=duration.high_s * share
    )


def _over_limit(spec: Spec, backend: str, left: Duration, limit_s: float | None, done: float) -> list[str]:
    often = night.restarts(left.seconds, limit_s)
    if not often or limit_s is None:
        return []
    if not isinstance(spec, RunSpec):
        return [
            f"it may take longer than the limit of {hours_text(limit_s)} of {backend}, and goes on only if it can resume"
        ]
    fold, epoch = _epoch_at(spec, done + (1 - done) * limit_s / left.seconds)
    times = "" if often == 1 else f", {often} times in all"
    place = f"in fold {fold} of {spec.folds} at epoch {epoch}{times}"
    return [f"it will pass the limit of {hours_text(limit_s)} of {backend} {place}, and go on by itself"]


def _epoch_at(spec: RunSpec, share: float) -> tuple[int, int]:
    """The fold (from 1, as people count) and its epoch at which the share 0…1 of a run is done."""
    done = share * spec.folds * spec.epochs
    return min(spec.folds, int(done // spec.epochs) + 1), int(done % spec.epochs) + 1


def _over_quota(db: Session, at: Sitting, backend: str, coming: Night, machines: list[MachineFacts]) -> list[str]:
    look = probing.last_looks(db).get(backend)
    quota = None if look is None else look.quota_at(at.now)
    if quota is None:
        return []
    left_s = max(0.0, quota.allowed_s - quota.used_s)
    wanted_s = night.gpu_seconds(coming, machines).get(backend, 0.0)
    if wanted_s <= left_s:
        return []
    until = "" if quota.resets_at is None else f" until {days.local(quota.resets_at, at.challenge.time_zone):%A %H:%M}"
    return [
        f"what is then queued on {backend} takes about {hours_text(wanted_s)} of its GPUs, and {hours_text(left_s)} are left{until}"
    ]


def hours_text(seconds: float) -> str:
    """`12 h`, `6.5 h`, `40 min`."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h".replace(".0 h", " h")
