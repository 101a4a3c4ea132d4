"""Runs with a submission, as they are held against the leaderboard: CV by fold, public and private score, family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.journal.tables import Challenge, LeaderboardScore, Run, Submission
from app.scores.baselines import Ground, fold_scores
from app.scores.families import family_of
from app.scores.lb_scores import Pair, newest_submissions, told

NEWEST = 500  # submissions that are looked at


@dataclass(frozen=True)
class Submitted:
    """A run's newest submission. `public` and `private` are None where nothing is known; `sent`: whether it went to Kaggle."""

    run_id: int
    run_key: str
    family: str
    cv: float | None
    folds: dict[int, float]
    on: Ground
    public: float | None
    private: float | None
    sent: bool


def submitted(db: Session, challenge: Challenge) -> list[Submitted]:
    """The newest submission of each run in the challenge's metric that has one, the first sent first; three queries."""
    newest = newest_submissions(col(Submission.challenge_id) == challenge.id).subquery()
    sent_at = func.coalesce(Submission.sent_at, Submission.created_at).label("at")
    # Chosen first, and what belongs to them read then: a run carries its whole spec, which need not be sorted with all others.
    chosen = (
        columns(col(Submission.id), sent_at)
        .join(newest, newest.c.id == col(Submission.id))
        .join(Run, col(Run.id) == col(Submission.run_id))
        .where(col(Run.metric) == challenge.metric)
        .order_by(sent_at.desc(), col(Submission.id).desc())
        .limit(NEWEST)
        .subquery()
    )
    asked: list[Any] = [
        Submission.id, Submission.sent_at, Run.id, Run.key, Run.kind, Run.spec, Run.cv, Run.data_sha256, Run.folds_sha256,
    ]  # fmt: skip
    query = (
        columns(*asked)
        .join(chosen, chosen.c.id == col(Submission.id))
        .join(Run, col(Run.id) == col(Submission.run_id))
        .order_by(chosen.c.at, chosen.c.id)
    )
    rows = db.connection().execute(query).all()
    scores = _lb(db, [row[0] for row in rows])
    folds = fold_scores(db, [row[2] for row in rows])
    return [
        Submitted(
            run_id, key, family_of(kind, spec), cv, folds.get(run_id, {}), (data, made_on),
            *scores.get(submission_id, (None, None)), sent_at is not None,
        )
        for submission_id, sent_at, run_id, key, kind, spec, cv, data, made_on in rows
    ]  # fmt: skip


def _lb(db: Session, submission_ids: list[int]) -> dict[int, Pair]:
    """(public, private) of each submission, each by the first source that tells it."""
    asked: tuple[Any, ...] = (
        LeaderboardScore.submission_id, LeaderboardScore.source, LeaderboardScore.public, LeaderboardScore.private,
    )  # fmt: skip
    query = columns(*asked).where(col(LeaderboardScore.submission_id).in_(submission_ids))
    found: dict[int, dict[str, Pair]] = {}
    for submission_id, source, public, private in db.connection().execute(query):
        found.setdefault(submission_id, {})[source] = public, private
    return {submission_id: told(said)[:2] for submission_id, said in found.items()}
