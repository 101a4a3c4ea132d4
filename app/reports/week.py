"""The week in numbers: hours used and lost, runs, best scores with their change, what stayed open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from sqlmodel import Session

from app.journal import challenges, rest_days, sittings, todos, usage
from app.journal.days import DAY, MINUTE_MS, week_starts
from app.journal.tables import Challenge, Todo
from app.scores.board import BoardRun, best, board_runs, gain
from engine.contract import METRIC_DIRECTIONS

DayMark = Literal["full", "part", "lost", "free", "rest", "today", "to come"]


@dataclass(frozen=True)
class BestScore:
    """The best score of the week, and its gain over the best of all earlier weeks (positive: better)."""

    score: float | None
    gain: float | None


@dataclass(frozen=True)
class Week:
    number: int
    first: date
    last: date  # inclusive
    marks: tuple[tuple[date, DayMark, int], ...]  # day, what became of its hour, milliseconds used
    used_ms: int
    planned_ms: int
    lost_ms: int  # what can no longer be used: of days gone by, in weekly mode of a week gone by
    lost_days: int
    runs: tuple[BoardRun, ...]
    cv: BestScore
    public: BestScore
    open_todos: tuple[Todo, ...]


def of_day(db: Session, challenge: Challenge, on: date, now: int) -> Week:
    """The challenge week in which `on` lies; the last one may be shorter than seven days."""
    first = week_starts(on, challenge.starts_on)
    last = min(first + timedelta(days=6), challenges.last_day(challenge))
    today = sittings.sitting(db, challenge, now).local_date  # an hour that runs past the day's turn is not over
    used = usage.used_ms(db, challenge, first, last, now)
    rest = {day for day in rest_days.of(db, challenge) if first <= day <= last}
    marks = tuple(
        (day, mark(challenge, used.get(day), day, today, day in rest), used.get(day, 0))
        for day in (first + DAY * n for n in range((last - first).days + 1))
    )
    runs = board_runs(db, challenge, challenge.starts_on, last)
    earlier, here = [r for r in runs if r.row.local_date < first], [r for r in runs if r.row.local_date >= first]
    direction = METRIC_DIRECTIONS[challenge.metric]
    cv, cv_before = best((r.row.cv for r in here), direction), best((r.row.cv for r in earlier), direction)
    public, public_before = best((r.public for r in here), direction), best((r.public for r in earlier), direction)
    return Week(
        number=(first - challenge.starts_on).days // 7 + 1,
        first=first,
        last=last,
        marks=marks,
        used_ms=sum(used.values()),
        planned_ms=_planned_ms(challenge, first, len(rest)),
        lost_ms=_lost_ms(challenge, marks, last < today),
        lost_days=sum(state == "lost" for _, state, _ in marks),
        runs=tuple(here),
        cv=BestScore(cv, gain(cv, cv_before, direction)),
        public=BestScore(public, gain(public, public_before, direction)),
        open_todos=tuple(todos.open_ones(db, challenge)),
    )


def mark(challenge: Challenge, used_ms: int | None, day: date, today: date, rests: bool = False) -> DayMark:
    """What became of a day's hour. In weekly mode a day without a session is free: its minutes belong to the whole week."""
    if rests:
        return "rest"
    if used_ms is not None and used_ms >= 0.99 * challenge.minutes_per_day * MINUTE_MS:
        return "full"
    if day > today:
        return "to come"
    if day == today:
        return "today"
    if used_ms:
        return "part"
    return "lost" if challenge.mode == "daily" else "free"


def _day_ms(challenge: Challenge) -> int:
    return round(challenge.minutes_per_day * MINUTE_MS)


def _planned_ms(challenge: Challenge, first: date, rests: int) -> int:
    """A day of rest takes its hour out of the daily plan; a weekly budget stays what it is."""
    allowance_ms = usage.week_allowance_ms(challenge, first)
    return allowance_ms - rests * _day_ms(challenge) if challenge.mode == "daily" else allowance_ms


def _lost_ms(challenge: Challenge, marks: tuple[tuple[date, DayMark, int], ...], week_is_over: bool) -> int:
    if challenge.mode == "daily":
        return sum(max(0, _day_ms(challenge) - used) for _, state, used in marks if state in ("part", "lost"))
    return max(0, len(marks) * _day_ms(challenge) - sum(used for _, _, used in marks)) if week_is_over else 0
