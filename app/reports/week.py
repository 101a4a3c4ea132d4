"""The week in numbers: hours used and lost, runs, best scores with their change, what stayed open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from sqlmodel import Session

from app.journal import challenges, sessions, todos, usage
from app.journal.days import DAY, MINUTE_MS, week_starts
from app.journal.tables import Challenge, Todo
from app.scores.board import BoardRun, best, board_runs, gain
from engine.contract import METRIC_DIRECTIONS

DayMark = Literal["full", "part", "lost", "today", "to come"]


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
    lost_days: int
    runs: tuple[BoardRun, ...]
    cv: BestScore
    public: BestScore
    open_todos: tuple[Todo, ...]


def of_day(db: Session, challenge: Challenge, on: date, now: int) -> Week:
    """The challenge week in which `on` lies; the last one may be shorter than seven days."""
    first = week_starts(on, challenge.starts_on)
    last = min(first + timedelta(days=6), challenges.last_day(challenge))
    today = sessions.today(challenge, now)
    used = usage.used_ms(db, challenge, first, last, now)
    marks = tuple(
        (day, mark(challenge, used.get(day), day, today), used.get(day, 0))
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
        planned_ms=usage.week_allowance_ms(challenge, first),
        lost_days=sum(state == "lost" for _, state, _ in marks),
        runs=tuple(here),
        cv=BestScore(cv, gain(cv, cv_before, direction)),
        public=BestScore(public, gain(public, public_before, direction)),
        open_todos=tuple(todos.open_ones(db, challenge)),
    )


def mark(challenge: Challenge, used_ms: int | None, day: date, today: date) -> DayMark:
    """What became of a day's hour. In weekly mode a day without a session is not lost: its minutes can still be used."""
    if used_ms is not None and used_ms >= 0.99 * challenge.minutes_per_day * MINUTE_MS:
        return "full"
    if day > today:
        return "to come"
    if day == today:
        return "today"
    if used_ms:
        return "part"
    return "lost" if challenge.mode == "daily" else "part"
