"""The logical day: which day a moment belongs to, in the challenge's time zone, when days start at `day_starts_at`.

A day runs from its start on the wall clock to the next day's start, so it has 23 or 25 hours when the clocks change.
Moments are milliseconds UTC; dates are local.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from engine.contract import OnehourError, nearest

DAY = timedelta(days=1)
MINUTE_MS = 60_000


@lru_cache(maxsize=32)
def zone(name: str) -> ZoneInfo:
    """Raises OnehourError naming the nearest zone when there is none called `name`."""
    if name not in available_timezones():
        raise OnehourError(f"there is no time zone {name!r}", fix=nearest(name, available_timezones()))
    return ZoneInfo(name)


def clock_time(text: str) -> time:
    """`"04:00"` → time(4). Raises OnehourError for anything else."""
    try:
        return datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise OnehourError(f"{text!r} is no time of day", fix="Write it as HH:MM, for example 04:00.") from None


def day_starts(on: date, zone_name: str, day_starts_at: str) -> int:
    """The first millisecond of the logical day `on`."""
    return to_ms(combine(on, clock_time(day_starts_at), zone_name))


def day_ends(on: date, zone_name: str, day_starts_at: str) -> int:
    """The first millisecond after the logical day `on` (exclusive)."""
    return day_starts(on + DAY, zone_name, day_starts_at)


def logical_date(at: int, zone_name: str, day_starts_at: str) -> date:
    """The logical day that the moment `at` belongs to: day_starts(d) <= at < day_ends(d)."""
    # Decided by the bounds, not by comparing wall clocks: a start inside a daylight-saving gap then still gives one day each.
    # Where a zone left a whole day out, that day is empty and the search goes on past it.
    on = local(at, zone_name).date()
    while at < day_starts(on, zone_name, day_starts_at):
        on -= DAY
    while at >= day_ends(on, zone_name, day_starts_at):
        on += DAY
    return on


def day_number(on: date, starts_on: date) -> int:
    """1 on the challenge's first day; zero or less before it."""
    return (on - starts_on).days + 1


def day_name(on: date, starts_on: date) -> str:
    """`Day 17`; the date for a day before the challenge's first, which has no number."""
    number = day_number(on, starts_on)
    return f"Day {number}" if number >= 1 else on.isoformat()


def week_starts(on: date, starts_on: date) -> date:
    """The first day of the challenge week that `on` lies in; weeks are counted from the challenge's first day."""
    return starts_on + timedelta(days=(on - starts_on).days // 7 * 7)


def local(at: int, zone_name: str) -> datetime:
    return from_ms(at).astimezone(zone(zone_name))


def clock_text(at: int, zone_name: str) -> str:
    """The moment as a person reads it on the wall: 21:10."""
    return local(at, zone_name).strftime("%H:%M")


def combine(on: date, at: time, zone_name: str) -> datetime:
    """The moment when the wall clock in `zone_name` shows `at` on `on`."""
    return datetime.combine(on, at, zone(zone_name))


def to_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def from_ms(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
