"""The scoreboard: for each day its hour and its runs, CV beside the leaderboard. A handful of queries for all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from statistics import stdev
from typing import Literal

from sqlmodel import Session, col, select

from app.journal import sessions
from app.journal.days import DAY, day_number
from app.journal.tables import Challenge, Experiment, FoldScore, Job, LeaderboardScore, Run, Submission

# A score typed in from the real leaderboard says more than one computed at home.
SOURCES = ("manual", "local")


@dataclass(frozen=True)
class BoardRun:
    """One run as the boards show it. Scores are None until measured; `spread` is the folds' sample standard deviation."""

    key: str
    hypothesis: str
    local_date: date
    state: str
    metric: str
    direction: Literal["max", "min"]
    cv: float | None
    spread: float | None
    public: float | None
    private: float | None
    lb_source: str | None
    wandb: str  # address, or "offline", "off", "" before it started
    device: str | None
    train_s: float | None
    finished_at: int | None
    submission_path: str | None


@dataclass(frozen=True)
class BoardDay:
    local_date: date
    number: int
    used_ms: int | None  # None: no hour was started
    runs: tuple[BoardRun, ...]


def board_runs(db: Session, challenge: Challenge, first: date, last: date) -> list[BoardRun]:
    """The runs of the days from `first` to `last` (inclusive), in the order in which they were queued."""
    in_days = (Run.challenge_id == challenge.id, Run.local_date >= first, Run.local_date <= last)
    rows = db.exec(
        select(Run, Experiment.hypothesis, Job.state, Submission)
        .join(Experiment, col(Run.experiment_id) == col(Experiment.id))
        .join(Job, col(Job.run_id) == col(Run.id))
        .outerjoin(Submission, col(Submission.run_id) == col(Run.id))
        .where(*in_days)
        .order_by(col(Run.id))
    ).all()
    folds: dict[int, list[float]] = defaultdict(list)
    for run_id, score in db.exec(
        select(FoldScore.run_id, FoldScore.score).join(Run, col(Run.id) == col(FoldScore.run_id)).where(*in_days)
    ).all():
        folds[run_id].append(score)
    boards: dict[int, LeaderboardScore] = {}
    for found in db.exec(
        select(LeaderboardScore)
        .join(Submission, col(Submission.id) == col(LeaderboardScore.submission_id))
        .join(Run, col(Run.id) == col(Submission.run_id))
        .where(*in_days)
    ).all():
        known = boards.get(found.submission_id)
        if known is None or SOURCES.index(found.source) < SOURCES.index(known.source):
            boards[found.submission_id] = found
    board: list[BoardRun] = []
    for run, hypothesis, state, submission in rows:
        lb = boards.get(submission.id) if submission is not None else None
        board.append(
            BoardRun(
                key=run.key,
                hypothesis=hypothesis,
                local_date=run.local_date,
                state=state,
                metric=run.metric,
                direction="max" if run.direction == "max" else "min",
                cv=run.cv,
                spread=stdev(folds[run.id]) if len(folds[run.id]) > 1 else None,
                public=lb.public if lb else None,
                private=lb.private if lb else None,
                lb_source=lb.source if lb else None,
                wandb=run.wandb_url or run.wandb_mode or "",
                device=run.device,
                train_s=run.train_s,
                finished_at=run.finished_at,
                submission_path=submission.path if submission is not None else None,
            )
        )
    return board


def board_days(db: Session, challenge: Challenge, first: date, last: date, now: int) -> list[BoardDay]:
    """Every day from `first` to `last` (inclusive), newest first, with its hour and its runs."""
    used = sessions.used_ms(db, challenge, first, last, now)
    by_day: dict[date, list[BoardRun]] = defaultdict(list)
    for run in board_runs(db, challenge, first, last):
        by_day[run.local_date].append(run)
    length = (last - first).days + 1
    return [
        BoardDay(on, day_number(on, challenge.starts_on), used.get(on), tuple(by_day[on]))
        for on in (last - DAY * back for back in range(length))
    ]


def best(scores: Iterable[float | None], direction: Literal["max", "min"]) -> float | None:
    """The best of the scores that are there, in the metric's direction."""
    known = [score for score in scores if score is not None]
    if not known:
        return None
    return max(known) if direction == "max" else min(known)


def gain(now: float | None, before: float | None, direction: Literal["max", "min"]) -> float | None:
    """How much better `now` is than `before`: positive is an improvement whatever the metric's direction."""
    if now is None or before is None:
        return None
    return now - before if direction == "max" else before - now
