"""The week in numbers: hours and their division, runs and verdicts, gain, machine time, what was collected, what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from sqlmodel import Session

from app.jobs import ledger
from app.jobs.ledger import MachineTime
from app.journal import challenges, references, rest_days, reviews, sittings, todos, usage
from app.journal.activities import Activity
from app.journal.days import DAY, MINUTE_MS, week_starts
from app.journal.tables import Challenge, Note, Reference, Todo
from app.reports import day as day_report
from app.scores.board import BoardRun, best, best_before, board_runs, gain, sent_elsewhere
from app.scores.verdict import Verdict, verdicts
from engine.contract import METRIC_DIRECTIONS

DayMark = Literal["full", "part", "lost", "free", "rest", "today", "to come"]


@dataclass(frozen=True)
class BestScore:
    """The best score of the week, and its gain over the best of all earlier weeks (positive: better)."""

    score: float | None
    gain: float | None


@dataclass(frozen=True)
class NextWeek:
    """`todos` are those planned for it that were open when it began (or are now), `minutes` their estimates together."""

    first: date
    last: date
    planned_ms: int
    rest_days: tuple[date, ...]
    todos: tuple[Todo, ...]
    minutes: float


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
    split: dict[Activity, int]  # milliseconds
    target: dict[Activity, float]  # shares; empty when none is set
    runs: tuple[BoardRun, ...]
    verdicts: dict[int, Verdict]  # by the run's id; a run without a baseline has none
    cv: BestScore
    public: BestScore
    machines: tuple[MachineTime, ...]
    collected: tuple[Reference, ...]
    open_todos: tuple[Todo, ...]  # at the week's end, or now; without those planned for the next week
    note: Note | None
    next_week: NextWeek | None  # None after the challenge's last

    def gain_an_hour(self, found: BestScore) -> float | None:
        """The gain for each hour of the person's time in this week."""
        return found.gain / (self.used_ms / MINUTE_MS / 60) if found.gain is not None and self.used_ms else None


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
    runs = board_runs(db, challenge, first, last)
    before = best_before(db, challenge, first)
    direction = METRIC_DIRECTIONS[challenge.metric]
    elsewhere = [(on, one.public) for on, sent in sent_elsewhere(db, challenge).items() for one in sent]
    cv = best((run.row.cv for run in runs if run.row.metric == challenge.metric), direction)
    public = best([*(run.public for run in runs), *(lb for on, lb in elsewhere if first <= on <= last)], direction)
    public_before = best([before.public, *(lb for on, lb in elsewhere if on < first)], direction)
    number = week_number(challenge, on)
    began_at, ended_at = (day_report.ends_at(db, challenge, day) for day in (first - DAY, last))
    # A week gone by keeps telling what was open at its end; the day for which a todo is planned is today's.
    open_ones = todos.open_at(db, challenge, ended_at) if last < today else todos.open_ones(db, challenge)
    next_week = _next_week(db, challenge, last, open_ones)
    for_later = {todo.id for todo in next_week.todos} if next_week else set()
    return Week(
        number=number,
        first=first,
        last=last,
        marks=marks,
        used_ms=sum(used.values()),
        planned_ms=planned_ms(challenge, first, len(rest)),
        lost_ms=_lost_ms(challenge, marks, last < today),
        lost_days=sum(state == "lost" for _, state, _ in marks),
        split=sittings.split_between(db, challenge, first, last, now),
        target=sittings.target(challenge),
        runs=tuple(runs),
        verdicts=verdicts(db, challenge, [run.row.run_id for run in runs]),
        cv=BestScore(cv, gain(cv, before.cv, direction)),
        public=BestScore(public, gain(public, public_before, direction)),
        machines=tuple(ledger.by_backend(db, challenge, now, first=first, last=last)),
        collected=tuple(references.collected_between(db, challenge, began_at, ended_at)),
        open_todos=tuple(todo for todo in open_ones if todo.id not in for_later),
        note=reviews.of_week(db, challenge, number),
        next_week=next_week,
    )


def week_number(challenge: Challenge, on: date) -> int:
    """The number of the challenge week in which `on` lies, counted from 1."""
    return (on - challenge.starts_on).days // 7 + 1


def planned_ms(challenge: Challenge, first: date, rests: int) -> int:
    """A day of rest takes its hour out of the daily plan; a weekly budget stays what it is."""
    allowance_ms = usage.week_allowance_ms(challenge, first)
    return allowance_ms - rests * _day_ms(challenge) if challenge.mode == "daily" else allowance_ms


def _next_week(db: Session, challenge: Challenge, last: date, open_ones: Sequence[Todo]) -> NextWeek | None:
    first = last + DAY
    if first > challenges.last_day(challenge):
        return None
    until = min(first + timedelta(days=6), challenges.last_day(challenge))
    rest = tuple(sorted(day for day in rest_days.of(db, challenge) if first <= day <= until))
    planned = tuple(todo for todo in open_ones if first <= todo.planned_on <= until)
    minutes = sum(todo.minutes or 0 for todo in planned)
    return NextWeek(first, until, planned_ms(challenge, first, len(rest)), rest, planned, minutes)


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


def _lost_ms(challenge: Challenge, marks: tuple[tuple[date, DayMark, int], ...], week_is_over: bool) -> int:
    if challenge.mode == "daily":
        return sum(max(0, _day_ms(challenge) - used) for _, state, used in marks if state in ("part", "lost"))
    return max(0, len(marks) * _day_ms(challenge) - sum(used for _, _, used in marks)) if week_is_over else 0
