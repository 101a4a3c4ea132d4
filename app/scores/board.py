"""The scoreboard: for each day its hour and its runs, CV beside the leaderboard. A handful of queries for all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import ColumnElement
from sqlalchemy import select as columns  # SQLModel's knows up to four
from sqlmodel import Session, col, func, select

from app.journal import usage
from app.journal.days import DAY, day_number, logical_date
from app.journal.tables import Challenge, LeaderboardScore, Run, Submission
from app.scores import lb_scores, wandb_runs
from app.scores.lb_scores import Pair, first_told
from app.scores.run_rows import RunRow, run_rows
from app.scores.wandb_runs import ForeignRun
from engine.contract import METRIC_DIRECTIONS


@dataclass(frozen=True)
class BoardRun:
    """A run with its submission's leaderboard scores; None until there are any."""

    row: RunRow
    submission_path: str | None = None  # relative to the home folder
    public: float | None = None
    private: float | None = None
    lb_source: str | None = None


@dataclass(frozen=True)
class SentElsewhere:
    """A submission that no run of ours made, as far as is known: the name and words it was sent under, with its scores.

    `ref` is its number at Kaggle, None where it was imported from elsewhere; `state` pending, complete, error or imported.
    """

    name: str
    description: str
    public: float | None
    private: float | None
    source: str | None = None
    ref: int | None = None
    state: str = "imported"


Elsewhere = Mapping[date, list[SentElsewhere]]


@dataclass(frozen=True)
class BoardDay:
    local_date: date
    number: int
    used_ms: int | None  # None: no hour was started
    runs: tuple[BoardRun, ...]
    sent_elsewhere: tuple[SentElsewhere, ...] = ()
    foreign_runs: tuple[ForeignRun, ...] = ()  # that W&B tells of, and that were not started here


@dataclass(frozen=True)
class BestScores:
    """The best CV and the best public score of some runs; None where there is none."""

    cv: float | None
    public: float | None


def board_runs(db: Session, challenge: Challenge, first: date, last: date) -> list[BoardRun]:
    """The runs of the days from `first` to `last` (inclusive), in the order in which they were queued."""
    rows = run_rows(db, challenge, first=first, last=last)
    return _on_board(db, rows, col(Run.challenge_id) == challenge.id, col(Run.local_date).between(first, last))


def board_runs_named(db: Session, challenge: Challenge, keys: Collection[str]) -> list[BoardRun]:
    """The runs with these keys, in the order in which they were queued."""
    rows = run_rows(db, challenge, keys=keys)
    return _on_board(db, rows, col(Run.challenge_id) == challenge.id, col(Run.key).in_(keys))


def _on_board(db: Session, rows: list[RunRow], *which: ColumnElement[bool]) -> list[BoardRun]:
    """`rows` with their leaderboard scores, the oldest first; `which` says the same runs in SQL."""
    lb = LeaderboardScore
    asked = (
        columns(Submission.run_id, Submission.id, Submission.path, lb.source, lb.public, lb.private)  # type: ignore[call-overload]
        .join(Run, col(Run.id) == col(Submission.run_id))
        .outerjoin(lb, col(lb.submission_id) == col(Submission.id))
        .where(*which)
        .order_by(col(Submission.id))
    )
    newest: dict[int, tuple[int, str]] = {}
    told: dict[int, dict[str, Pair]] = defaultdict(dict)
    for run_id, submission_id, path, source, public, private in db.connection().execute(asked):
        newest[run_id] = submission_id, path
        if source is not None:
            told[submission_id][source] = public, private
    board = []
    for row in reversed(rows):
        submission_id, path = newest.get(row.run_id, (0, None))
        board.append(BoardRun(row, path, *lb_scores.told(told.get(submission_id, {}))))
    return board


def board_days(
    db: Session, challenge: Challenge, first: date, last: date, now: int, elsewhere: Elsewhere
) -> list[BoardDay]:
    """Every day from `first` to `last` (inclusive), newest first, with its hour, its runs, those of others and what was imported."""
    used = usage.used_ms(db, challenge, first, last, now)
    by_day: dict[date, list[BoardRun]] = defaultdict(list)
    for run in board_runs(db, challenge, first, last):
        by_day[run.row.local_date].append(run)
    foreign: dict[date, list[ForeignRun]] = defaultdict(list)
    for started in wandb_runs.of_days(db, challenge, first, last):
        foreign[started.local_date].append(started)
    length = (last - first).days + 1
    return [
        BoardDay(
            on,
            day_number(on, challenge.starts_on),
            used.get(on),
            tuple(by_day[on]),
            tuple(elsewhere.get(on, ())),
            tuple(foreign[on]),
        )
        for on in (last - DAY * back for back in range(length))
    ]


def days_before(challenge: Challenge, elsewhere: Elsewhere) -> list[BoardDay]:
    """The days before the challenge's first on which something imported was sent, newest first."""
    earlier = sorted((on for on in elsewhere if on < challenge.starts_on), reverse=True)
    return [BoardDay(on, day_number(on, challenge.starts_on), None, (), tuple(elsewhere[on])) for on in earlier]


def sent_elsewhere(db: Session, challenge: Challenge) -> dict[date, list[SentElsewhere]]:
    """The submissions without a run by the logical day on which they were sent, in that order."""
    rows = db.exec(
        select(Submission, LeaderboardScore)
        .outerjoin(LeaderboardScore, col(LeaderboardScore.submission_id) == col(Submission.id))
        .where(Submission.challenge_id == challenge.id, col(Submission.run_id).is_(None))
        .order_by(func.coalesce(Submission.sent_at, Submission.created_at), col(Submission.id))
    ).all()
    found: dict[int, Submission] = {}
    told: dict[int, dict[str, Pair]] = defaultdict(dict)
    for sent, score in rows:
        found[sent.id] = sent
        if score is not None:
            told[sent.id][score.source] = score.public, score.private
    by_day: dict[date, list[SentElsewhere]] = defaultdict(list)
    for sent in found.values():
        on = logical_date(sent.sent_at or sent.created_at, challenge.time_zone, challenge.day_starts_at)
        state = sent.kaggle_status or "imported"
        by_day[on].append(
            SentElsewhere(sent.path, sent.description, *lb_scores.told(told[sent.id]), ref=sent.kaggle_ref, state=state)
        )
    return by_day


def best_cv_by_day(db: Session, challenge: Challenge) -> dict[date, float]:
    """The best CV among the runs of each day that has one, in the metric's direction; one query."""
    best_of = func.max if METRIC_DIRECTIONS[challenge.metric] == "max" else func.min
    rows = db.exec(
        select(col(Run.local_date), best_of(Run.cv))
        .where(Run.challenge_id == challenge.id, Run.metric == challenge.metric, col(Run.cv).is_not(None))
        .group_by(col(Run.local_date))
    ).all()
    return {on: cv for on, cv in rows if cv is not None}


def best_lb_by_day(db: Session, challenge: Challenge) -> dict[date, tuple[float | None, float | None]]:
    """The best public and private score among the runs in the challenge's metric of each day that has one; one query."""
    best_of = func.max if METRIC_DIRECTIONS[challenge.metric] == "max" else func.min
    newest = lb_scores.newest_submissions(col(Submission.challenge_id) == challenge.id).subquery()
    of_run = (
        columns(
            col(Run.local_date).label("on"),
            first_told(LeaderboardScore.public).label("public"),
            first_told(LeaderboardScore.private).label("private"),
        )
        .join(newest, newest.c.run_id == col(Run.id))
        .join(LeaderboardScore, col(LeaderboardScore.submission_id) == newest.c.id)
        .where(col(Run.metric) == challenge.metric)
        .group_by(newest.c.id)
        .subquery()
    )
    asked = columns(of_run.c.on, best_of(of_run.c.public), best_of(of_run.c.private)).group_by(of_run.c.on)
    return {on: (public, private) for on, public, private in db.connection().execute(asked)}


def best_before(db: Session, challenge: Challenge, on: date) -> BestScores:
    """The best scores among the runs queued on the days before `on`."""
    best_of = func.max if METRIC_DIRECTIONS[challenge.metric] == "max" else func.min
    cv = select(best_of(Run.cv)).where(
        Run.challenge_id == challenge.id, Run.metric == challenge.metric, Run.local_date < on
    )
    of_a_run = (
        select(first_told(LeaderboardScore.public).label("public"))
        .join(Submission, col(Submission.id) == col(LeaderboardScore.submission_id))
        .join(Run, col(Run.id) == col(Submission.run_id))
        .where(Run.challenge_id == challenge.id, Run.local_date < on, col(Submission.id).in_(lb_scores.newest_ids()))
        .group_by(col(Submission.id))
        .subquery()
    )
    return BestScores(db.exec(cv).one(), db.exec(select(best_of(of_a_run.c.public))).one())


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
