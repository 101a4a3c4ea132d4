"""The story of the challenge, gathered: rules, numbers, how the score rose, the weeks, what helped and what did not, credits."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, func, select

from app.jobs import ledger
from app.jobs.ledger import MachineTime
from app.journal import checklist, reviews
from app.journal.checklist import CompetitionRule
from app.journal.days import DAY
from app.journal.sittings import Sitting
from app.journal.tables import Challenge, Note, Run, Submission
from app.reports import day_calendar, score_days, week, what_helped
from app.reports.day_calendar import CalendarDay
from app.reports.score_days import ScoreDay
from app.reports.week import Week
from app.reports.what_helped import Idea
from app.scores import position
from app.scores.baselines import is_better
from app.scores.board import best, board_runs
from app.scores.position import Position
from engine.contract import METRIC_DIRECTIONS

LEARNT_A_WEEK = 7
SECTIONS = ("preface", "afterword")


@dataclass(frozen=True)
class Step:
    """A run whose CV was the best so far."""

    number: int  # of its day
    run_key: str
    hypothesis: str
    cv: float
    public: float | None


@dataclass(frozen=True)
class Story:
    challenge: Challenge
    preface: str
    afterword: str
    rules: tuple[CompetitionRule, ...]
    calendar: tuple[CalendarDay, ...]
    days: tuple[ScoreDay, ...]
    weeks: tuple[Week, ...]
    learnt: dict[int, tuple[str, ...]]  # by the week's number: what its notes said under "Learnt"
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
    return Story(
        challenge=challenge,
        preface=preface,
        afterword=afterword,
        rules=tuple(checklist.of(challenge)),
        calendar=tuple(day_calendar.of_challenge(db, at)),
        days=tuple(scored),
        weeks=tuple(week.of_day(db, challenge, on, at.now) for on in _week_starts(challenge, last)),
        learnt=_learnt(db, challenge),
        steps=tuple(_steps(db, challenge, last)),
        ideas=tuple(what_helped.ideas(db, challenge, at.now)),
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


def learnt(body: str) -> list[str]:
    """The lines under the heading "Learnt" of a day's note."""
    inside, lines = False, []
    for line in body.splitlines():
        if line.startswith("#"):
            inside = line.lstrip("# ").strip().lower() == "learnt"
        elif inside and line.strip(" -*\t"):
            lines.append(line.strip(" -*\t"))
    return lines


def _week_starts(challenge: Challenge, last: date) -> list[date]:
    count = max(0, (last - challenge.starts_on).days // 7 + 1)
    return [challenge.starts_on + 7 * DAY * number for number in range(count)]


def _learnt(db: Session, challenge: Challenge) -> dict[int, tuple[str, ...]]:
    asked = select(Note).where(Note.challenge_id == challenge.id, col(Note.local_date).is_not(None))
    of: dict[int, list[str]] = defaultdict(list)
    for note in db.exec(asked.order_by(col(Note.local_date))).all():
        assert note.local_date is not None
        of[week.week_number(challenge, note.local_date)] += learnt(note.body)
    return {number: tuple(lines[:LEARNT_A_WEEK]) for number, lines in of.items()}


def _steps(db: Session, challenge: Challenge, last: date) -> Sequence[Step]:
    better, so_far, steps = is_better(challenge.metric), None, []
    for run in board_runs(db, challenge, challenge.starts_on, last):
        row = run.row
        if row.metric == challenge.metric and row.cv is not None and better(row.cv, so_far):
            so_far = row.cv
            number = (row.local_date - challenge.starts_on).days + 1
            steps.append(Step(number, row.run_key, row.hypothesis, row.cv, run.public))
    return steps
