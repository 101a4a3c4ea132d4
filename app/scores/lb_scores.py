"""A submission's scores on the leaderboard: which submission of a run counts (its newest), and whose word on its score (SOURCES).

The one home of both rules, for what is read row by row and for what SQL picks out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select
from sqlalchemy import select as columns
from sqlmodel import Session, case, col, func, select

from app.journal.run_keys import run_named
from app.journal.tables import LeaderboardScore, Run, Submission
from engine.contract import OnehourError

KAGGLE, LOCAL, MANUAL = "kaggle", "local", "manual"
# What counts more comes first: what Kaggle itself tells, what was read there, what was computed at home.
SOURCES = (KAGGLE, MANUAL, LOCAL)

Pair = tuple[float | None, float | None]  # public and private


@dataclass(frozen=True)
class Scored:
    """A submission's scores. With a truth file that has no split, `private` holds the score over all images."""

    run_key: str
    public: float | None
    private: float | None


def store(db: Session, submission: Submission, source: str, score: Scored, now: int, origin: str) -> None:
    """What `source` says of a submission, in place of what it said before. In a writing transaction."""
    row = _said(db, submission, source) or LeaderboardScore(
        submission_id=submission.id, source=source, origin=origin, scored_at=now
    )
    row.public, row.private, row.scored_at = score.public, score.private, now
    db.add(row)


def forget(db: Session, submission: Submission, source: str) -> None:
    """Take back what `source` said of a submission. In a writing transaction."""
    row = _said(db, submission, source)
    if row is not None:
        db.delete(row)


def _said(db: Session, submission: Submission, source: str) -> LeaderboardScore | None:
    """The table holds one row of each source."""
    return db.exec(
        select(LeaderboardScore).where(
            LeaderboardScore.submission_id == submission.id, LeaderboardScore.source == source
        )
    ).first()


def told(scores: Mapping[str, Pair]) -> tuple[float | None, float | None, str | None]:
    """Public, private, and who says so: each is taken from the first of SOURCES that tells it. `scores`: by source."""
    if not scores:  # as of most runs
        return None, None, None
    public_of = next((name for name in SOURCES if scores.get(name, (None, None))[0] is not None), None)
    private_of = next((name for name in SOURCES if scores.get(name, (None, None))[1] is not None), None)
    return (
        scores[public_of][0] if public_of else None,
        scores[private_of][1] if private_of else None,
        public_of or private_of,
    )


def first_told(score: Any) -> ColumnElement[float | None]:
    """In SQL, of one submission's rows: what the first of SOURCES says that says anything. `score`: public or private."""
    said = [func.max(case((col(LeaderboardScore.source) == source, col(score)))) for source in SOURCES]
    return func.coalesce(*said)


def newest_submissions(*which: ColumnElement[bool]) -> Select[Any]:
    """In SQL: the number (`id`) of the newest submission of each run (`run_id`), of those submissions that are `which`."""
    asked: tuple[Any, ...] = func.max(Submission.id).label("id"), col(Submission.run_id).label("run_id")
    newest: Select[Any] = columns(*asked)
    return newest.where(col(Submission.run_id).is_not(None), *which).group_by(col(Submission.run_id))


def newest_ids(*which: ColumnElement[bool]) -> Select[Any]:
    """Their numbers alone."""
    return columns(newest_submissions(*which).subquery().c.id)


def first_told_of_newest(score: Any) -> ScalarSelect[float | None]:
    """In SQL: `first_told` of the newest submission of a run of the enclosing query."""
    newest = select(func.max(Submission.id)).where(col(Submission.run_id) == Run.id).correlate(Run).scalar_subquery()
    said = columns(first_told(score)).where(col(LeaderboardScore.submission_id) == newest)
    return said.correlate(Run).scalar_subquery()


def newest_submission(db: Session, run_id: int) -> Submission | None:
    """Of one run; None where it has none yet."""
    query = select(Submission).where(Submission.run_id == run_id).order_by(col(Submission.id).desc())
    return db.exec(query.limit(1)).first()


def submission_of(db: Session, run_key: str) -> tuple[Submission, Run]:
    """The newest submission of a run. Raises OnehourError when there is no such run or it has none yet."""
    run = run_named(db, run_key)
    submission = newest_submission(db, run.id)
    if submission is None:
        raise OnehourError("this run has no submission yet", where=run_key)
    return submission, run
