"""The night as a person reads it: what ends before tomorrow's hour, what goes on by itself, what the GPUs have taken and have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from app.jobs import backlog, configured, ledger, night, probing, wakefulness
from app.jobs.backends.interface import Quota
from app.jobs.backlog import QueueRow
from app.jobs.forecast import hours_text
from app.jobs.ledger import MachineTime
from app.jobs.night import Bar, Lane, Night
from app.jobs.probing import Look
from app.journal import days
from app.journal.home import Home
from app.journal.sittings import Sitting


@dataclass(frozen=True)
class GpuHours:
    """A backend's GPU seconds of this challenge week; `quota` as its account told it last."""

    backend: str
    used_s: float
    quota: Quota | None


@dataclass(frozen=True)
class NightReport:
    night: Night
    rows: tuple[QueueRow, ...]  # in the order in which they run
    gpus: tuple[GpuHours, ...]
    warnings: tuple[str, ...]
    time_zone: str

    def fits(self, bar: Bar) -> bool | None:
        """Whether it ends before the next hour; None when no hour is expected."""
        return None if self.night.next_hour_at is None else bar.ends_at <= self.night.next_hour_at


def read(db: Session, home: Home, at: Sitting) -> NightReport:
    rows = tuple(backlog.list_jobs(db, open_only=True))
    coming = night.plan(db, home, at.challenge, at.now, rows)
    week = days.week_starts(at.local_date, at.challenge.starts_on)
    since = days.day_starts(week, at.challenge.time_zone, at.challenge.day_starts_at)
    used = {each.backend: each for each in ledger.by_backend(db, at.challenge, at.now, since=since)}
    looks, gpus = probing.last_looks(db), []
    for machine in configured.machines(home):
        look = looks.get(machine.name, Look())
        took = used.get(machine.name, MachineTime(machine.name, 0.0, 0.0))
        quota = look.quota_at(at.now)
        if took.gpu_s or quota is not None or any(machine.gpus.values()):
            gpus.append(GpuHours(machine.name, took.gpu_s, quota))
    return NightReport(coming, rows, tuple(gpus), tuple(_warnings(coming)), at.challenge.time_zone)


def _warnings(coming: Night) -> list[str]:
    idle = sorted({lane.backend for lane in coming.lanes if lane.bars and not lane.works})
    found = [f"Nobody starts the jobs of {name} just now: no worker is running." for name in idle if name == "local"]
    if coming.stranded:
        names = ", ".join(sorted({load.backend for load in coming.stranded}))
        found.append(f"{len(coming.stranded)} waiting for a backend that is not configured: {names}.")
    here = any(lane.backend == "local" and lane.bars for lane in coming.lanes)
    if here and (reason := wakefulness.may_sleep()):
        found.append(reason)
    return found


def bar_words(report: NightReport, bar: Bar) -> str:
    """`h_014-r01: 23:10 to 03:10 (02:20 to 04:00), before your next hour, 1 restart at the limit`."""
    now, zone = report.night.now, report.time_zone
    ends = night.end_text(bar.ends_at, now, zone)
    spread = f"{days.clock_text(bar.low_ends_at, zone)} to {days.clock_text(bar.high_ends_at, zone)}"
    parts = [f"{bar.load.run_key}: {days.clock_text(bar.starts_at, zone)} to {ends} ({spread})"]
    fits = report.fits(bar)
    if fits is not None:
        parts.append("before your next hour" if fits else "after your next hour has begun")
    if bar.restarts:
        parts.append(f"{bar.restarts} restart{'s' * (bar.restarts > 1)} at the limit")
    return ", ".join(parts)


def gpu_words(gpu: GpuHours, time_zone: str) -> str:
    """`kaggle: 11.5 h of GPU this week; the account has 18.5 of 30 h left until Saturday 01:00`."""
    said = f"{gpu.backend}: {hours_text(gpu.used_s)} of GPU this week"
    if gpu.quota is None:
        return said
    left_s = max(0.0, gpu.quota.allowed_s - gpu.quota.used_s)
    until = "" if gpu.quota.resets_at is None else f" until {days.local(gpu.quota.resets_at, time_zone):%A %H:%M}"
    return f"{said}; the account has {hours_text(left_s)} of {hours_text(gpu.quota.allowed_s)} left{until}"


def lane_name(lane: Lane) -> str:
    """`local cpu:0`; a slot that carries its backend's name already says it once."""
    return lane.slot if lane.slot.startswith(f"{lane.backend}/") else f"{lane.backend} {lane.slot}"


def page(report: NightReport) -> str:
    """As text, for a terminal."""
    lines = []
    for lane in report.night.lanes:
        lines.append(lane_name(lane) + ("" if lane.bars else ": nothing"))
        lines += [f"  {bar_words(report, bar)}" for bar in lane.bars]
    if report.night.next_hour_at is not None:
        lines.append(f"next hour: {night.end_text(report.night.next_hour_at, report.night.now, report.time_zone)}")
    lines += [gpu_words(gpu, report.time_zone) for gpu in report.gpus]
    return "\n".join([*lines, *report.warnings])


def as_json(report: NightReport) -> dict[str, Any]:
    return {
        "next_hour_at": report.night.next_hour_at,
        "slots": [
            {
                "backend": lane.backend,
                "slot": lane.slot,
                "jobs": [
                    {
                        "run": bar.load.run_key,
                        "state": bar.load.state,
                        "starts_at": bar.starts_at,
                        "ends_at": bar.ends_at,
                        "low_ends_at": bar.low_ends_at,
                        "high_ends_at": bar.high_ends_at,
                        "restarts": bar.restarts,
                        "fits": report.fits(bar),
                    }
                    for bar in lane.bars
                ],
            }
            for lane in report.night.lanes
        ],
        "gpu_s_this_week": {gpu.backend: gpu.used_s for gpu in report.gpus},
        "warnings": list(report.warnings),
    }
