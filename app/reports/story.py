"""The story of the challenge, gathered: rules, numbers, how the score rose, the weeks, what helped and what did not, credits."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, func, select

from app.jobs import ledger
from app.jobs.ledger import MachineTime
from app.journal import checklist, reviews
from app.journal.checklist import CompetitionRule
from app.journal.days import DAY, day_number
from app.journal.sittings import Sitting
from app.journal.tables import Challenge, Run, Submission
from app.reports import day_calendar, score_days, story_weeks, what_helped
from app.reports.day_calendar import CalendarDay
from app.reports.score_days import ScoreDay
from app.reports.story_weeks import StoryWeek
from app.reports.what_helped import Idea
from app.scores import position
from app.scores.baselines import best_so_far, is_better
from app.scores.board import best, board_runs_named, sent_elsewhere
from app.scores.position import Position
from engine.contract import METRIC_DIRECTIONS

SECTIONS = ("preface", "afterword")


@dataclass(frozen=True)
class Step:
    """A run whose CV was the best so far, or a submission of no run here whose public score was."""

    local_date: date
    number: int  # of its day; below 1 before the challenge
    name: str
    words: str
    cv: float | None
    public: float | None

    @property
    def day(self) -> str:
        return str(self.number) if self.number >= 1 else str(self.local_date)


@dataclass(frozen=True)
class Story:
    challenge: Challenge
    preface: str
    afterword: str
    rules: tuple[CompetitionRule, ...]
    calendar: tuple[CalendarDay, ...]
    days: tuple[ScoreDay, ...]
    weeks: tuple[StoryWeek, ...]
    steps: tuple[Step, ...]
    ideas: tuple[Idea, ...]
    machines: tuple[MachineTime, ...]
    runs: int
    submissions: int
    best_public: float | None
    best_private: float | None
    position: Position | None  # on the competition's leaderboard; None where it was never seen

    def counts(self) -> Counter[str]:
        return Counter(day.mark for day in self.calendar)


def read(db: Session, at: Sitting) -> Story:
    """Up to the day of `at`."""
    challenge = at.challenge
    last = min(at.local_date, challenge.starts_on + DAY * (challenge.days - 1))
    scored = score_days.read(db, at)
    direction = METRIC_DIRECTIONS[challenge.metric]
    told = reviews.of_story(db, challenge)
    preface, afterword = parts_of(told.body if told is not None else "")
    calendar = day_calendar.of_challenge(db, at)
    ideas = what_helped.ideas(db, challenge, at.now)
    return Story(
        challenge=challenge,
        preface=preface,
        afterword=afterword,
        rules=tuple(checklist.of(challenge)),
        calendar=tuple(calendar),
        days=tuple(scored),
        weeks=tuple(story_weeks.read(db, challenge, last, calendar, scored, ideas)),
        steps=tuple(_steps(db, challenge, last)),
        ideas=tuple(ideas),
        machines=tuple(ledger.by_backend(db, challenge, at.now)),
        runs=db.exec(select(func.count()).select_from(Run).where(Run.challenge_id == challenge.id)).one(),
        submissions=db.exec(
            select(func.count())
            .select_from(Submission)
            .where(Submission.challenge_id == challenge.id, col(Submission.sent_at).is_not(None))
        ).one(),
        best_public=best((day.public for day in scored), direction),
        best_private=best((day.private for day in scored), direction),
        position=position.newest(db, challenge),
    )


def parts_of(body: str) -> tuple[str, str]:
    """The person's own words before the story and after it: the note's text, parted at its second heading."""
    found = re.split(r"(?m)^##[ \t]+.*$", body)
    words = [part.strip() for part in found]
    preface = words[1] if len(words) > 1 else words[0]
    return preface, words[2] if len(words) > 2 else ""


def _steps(db: Session, challenge: Challenge, last: date) -> list[Step]:
    steps = [
        Step(
            row.local_date, day_number(row.local_date, challenge.starts_on), row.run_key, row.hypothesis, row.cv, public
        )
        for row, public in (
            (run.row, run.public) for run in board_runs_named(db, challenge, best_so_far(db, challenge, last))
        )
    ]
    better, best_public = is_better(challenge.metric), None
    for on, sent in sorted(sent_elsewhere(db, challenge).items()):
        for one in sent:
            if on <= last and better(one.public, best_public):
                best_public = one.public
                steps.append(
                    Step(on, day_number(on, challenge.starts_on), one.name, one.description, None, best_public)
                )
    return sorted(steps, key=lambda step: step.local_date)
