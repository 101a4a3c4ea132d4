"""The calendar of the challenge: what each day's square says."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import get_args

import pytest
from sqlalchemy import event

from app.components import day_calendar as component
from app.journal import challenges, notes, rest_days, sessions, sittings
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, Run
from app.reports import day_calendar
from app.reports.day_calendar import CalendarDay
from app.reports.week import DayMark
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

DAY_S, HOUR_S = 86_400, 3_600
FIRST = date(2026, 3, 2)


def days_of(journal: Journal) -> list[CalendarDay]:
    with journal.reading() as db:
        return day_calendar.of_challenge(db, sittings.sitting(db, challenges.active(db), journal.now()))


def a_run(journal: Journal, challenge: Challenge, number: int, on: date, cv: float | None) -> None:
    with journal.writing() as db:
        experiment = Experiment(
            challenge_id=challenge.id, key=f"humpback_{number:03}", hypothesis="x", origin="import", created_at=0
        )
        db.add(experiment)
        db.flush()
        db.add(
            Run(
                challenge_id=challenge.id,
                experiment_id=experiment.id,
                key=f"{experiment.key}-r01",
                local_date=on,
                spec="{}",
                spec_source="x",
                origin="import",
                created_at=0,
                metric="map5",
                direction="max",
                cv=cv,
            )
        )


@pytest.fixture
def five_days(journal: Journal, challenge: Challenge, clock: MovableClock) -> list[CalendarDay]:
    """Day 1 full with two runs, 2 a part with a late note, 3 of rest, 4 lost, 5 is today."""
    sessions.start(journal)
    clock.move(DAY_S)
    a_run(journal, challenge, 1, FIRST, 0.61)
    a_run(journal, challenge, 2, FIRST, 0.58)
    a_run(journal, challenge, 3, FIRST + timedelta(days=1), None)
    rest_days.plan(journal, FIRST + timedelta(days=2))
    sessions.start(journal)
    clock.move(HOUR_S / 2)
    sessions.close(journal)
    clock.move(2 * DAY_S)
    notes.save(journal, FIRST + timedelta(days=1), "what came to mind later", 0)
    clock.move(DAY_S)
    return days_of(journal)


def test_each_day_says_what_became_of_its_hour(five_days: list[CalendarDay]) -> None:
    assert [day.mark for day in five_days[:6]] == ["full", "part", "rest", "lost", "today", "to come"]
    assert len(five_days) == 60
    assert [day.number for day in five_days] == list(range(1, 61))


def test_a_days_words_hold_number_minutes_best_score_and_lateness(five_days: list[CalendarDay]) -> None:
    assert five_days[0].in_words == "Day 1, Mon 2026-03-02: full, 60 min, best CV 0.610"
    assert five_days[1].in_words == "Day 2, Tue 2026-03-03: part, 30 min, note late"
    assert five_days[3].in_words == "Day 4, Thu 2026-03-05: lost"


def test_the_legend_counts_the_marks_that_occur(five_days: list[CalendarDay]) -> None:
    assert [words for _, words in component.legend(five_days)] == [
        "full 1",
        "part 1",
        "lost 1",
        "rest 1",
        "today",
        "to come 55",
        "note late 1",
    ]


def test_a_weekly_budget_loses_no_single_day(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    with journal.writing() as db:
        db.merge(challenge).mode = "weekly"
    clock.move(2 * DAY_S)
    assert [day.mark for day in days_of(journal)[:3]] == ["free", "free", "today"]


def test_a_year_takes_the_same_few_queries_as_a_day(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    with journal.reading() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        counted = []
        for length in (1, 365):
            at.challenge.days = length
            asked: list[str] = []
            listen = (journal.engine, "before_cursor_execute", lambda *args, to=asked: to.append(args[2]))
            event.listen(*listen)
            with db.no_autoflush:
                assert len(day_calendar.of_challenge(db, at)) == length
            event.remove(*listen)
            counted.append(len(asked))
        db.rollback()
    assert counted == [4, 4]


def test_every_mark_has_a_look_of_its_own_that_needs_no_colour() -> None:
    css = (component.HERE / "day_calendar.css").read_text(encoding="utf-8")
    shapes = []
    for mark in get_args(DayMark):
        name = mark.replace(" ", "-")
        shape = re.search(rf"^\.{name}::before {{ content: \"(.)\"", css, re.MULTILINE)
        fill = re.search(rf"^\.{name} {{ background: (linear-gradient|#)", css, re.MULTILINE)
        assert shape or fill, mark
        shapes.append(shape[1] if shape else fill and fill[1])
    assert len(set(shapes)) == len(shapes)
