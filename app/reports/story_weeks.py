"""The weeks of the story, all of them at once: hours, best scores, the ideas begun, what was learnt, the review."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, or_, select

from app.journal import reviews
from app.journal.notes import WEEK_KIND
from app.journal.tables import Challenge, Note
from app.reports import week
from app.reports.day_calendar import CalendarDay
from app.reports.day_notes import learnt
from app.reports.score_days import ScoreDay
from app.reports.what_helped import Idea
from app.scores.board import best
from engine.contract import METRIC_DIRECTIONS

LEARNT_A_WEEK = 7


@dataclass(frozen=True)
class StoryWeek:
    """`ideas` were first queued in it; `learnt` is what its days' notes say under "Learnt"; `review` the text of its review."""

    number: int
    first: date
    last: date  # inclusive
    used_ms: int
    planned_ms: int
    lost_days: int
    cv: float | None
    public: float | None
    ideas: tuple[Idea, ...]
    learnt: tuple[str, ...]
    review: str


def read(
    db: Session, challenge: Challenge, last: date, calendar: Sequence[CalendarDay], days: Sequence[ScoreDay],
    ideas: Sequence[Idea],
) -> list[StoryWeek]:  # fmt: skip
    """The weeks up to that of the day `last`, from what is known of each day and idea of the challenge; one query."""
    of_day, of_week = _notes(db, challenge)
    direction = METRIC_DIRECTIONS[challenge.metric]
    told = []
    for place in range(0, (last - challenge.starts_on).days + 1, 7):
        lived = calendar[place : place + 7]
        first, until = lived[0].local_date, lived[-1].local_date
        scored = [day for day in days if first <= day.local_date <= until]
        said = [line for day in lived for line in learnt(of_day.get(day.local_date, ""))]
        number = week.week_number(challenge, first)
        told.append(
            StoryWeek(
                number=number,
                first=first,
                last=until,
                used_ms=sum(day.used_ms for day in lived),
                planned_ms=week.planned_ms(challenge, first, sum(day.mark == "rest" for day in lived)),
                lost_days=sum(day.mark == "lost" for day in lived),
                cv=best((day.cv for day in scored), direction),
                public=best((day.public for day in scored), direction),
                ideas=tuple(idea for idea in ideas if first <= idea.first_on <= until),
                learnt=tuple(said[:LEARNT_A_WEEK]),
                review=of_week.get(reviews.week_title(number), ""),
            )
        )
    return told


def _notes(db: Session, challenge: Challenge) -> tuple[dict[date, str], dict[str, str]]:
    """The texts of the days' notes by their days, and of the weeks' reviews by their titles."""
    asked = select(col(Note.local_date), Note.kind, col(Note.title), Note.body).where(
        Note.challenge_id == challenge.id, or_(col(Note.local_date).is_not(None), col(Note.kind) == WEEK_KIND)
    )
    of_day: dict[date, str] = defaultdict(str)
    of_week: dict[str, str] = {}
    for on, kind, title, body in db.exec(asked).all():
        if on is not None:
            of_day[on] += body
        elif kind == WEEK_KIND and title is not None:
            of_week[title] = body
    return of_day, of_week
