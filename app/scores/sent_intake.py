"""The account's list of submissions, taken into the journal: numbers, states and scores of ours, and those that no run of ours made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, delete, or_, select

from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardScore, Run, Submission
from app.scores.lb_scores import KAGGLE, MANUAL, Scored, newest_ids, store, submission_of
from app.scores.runs import submission_path
from app.scores.sent_submissions import PENDING, AtKaggle, Ours
from engine.contract import OnehourError, nearest

IMPORT = "import"


@dataclass(frozen=True)
class TakenIn:
    """`new`: numbers without a run that were not known before; `pending`: those whose score is still to come."""

    new: tuple[int, ...]
    pending: tuple[int, ...]


def ours(db: Session, home: Home, challenge: Challenge) -> list[Ours]:
    """The submissions of the challenge that one at Kaggle may be: each run's newest, those with a number, those without a run."""
    rows = db.exec(
        select(Submission, Run.key)
        .outerjoin(Run, col(Run.id) == col(Submission.run_id))
        .where(Submission.challenge_id == challenge.id)
        .where(
            or_(
                col(Submission.id).in_(newest_ids()),
                col(Submission.run_id).is_(None),
                col(Submission.kaggle_ref).is_not(None),
            )
        )
        .order_by(col(Submission.id).desc())
    ).all()
    found = []
    for row, key in rows:
        path = submission_path(home, row)
        is_open = key is not None and row.kaggle_ref is None and path.is_file()
        size = path.stat().st_size if is_open else None
        found.append(
            Ours(row.id, key or "", row.kaggle_ref, row.path, row.description, row.sent_at, size, row.sha256 or "")
        )
    return found


def take_in(journal: Journal, challenge_id: int, listed: Sequence[AtKaggle], matched: Mapping[int, int]) -> TakenIn:
    """Write down what the account says of each; `matched` as `sent_submissions.match` found it. Doing it again changes nothing."""
    new, now = [], journal.now()
    with journal.writing() as db:
        rows = {row.id: row for row in db.exec(select(Submission).where(Submission.challenge_id == challenge_id)).all()}
        known = {row.kaggle_ref: row for row in rows.values()}
        for each in sorted(listed, key=lambda one: (one.at, one.ref)):
            row = known.get(each.ref) or rows.get(matched.get(each.ref, 0))
            if row is None:
                row = Submission(challenge_id=challenge_id, path=each.file_name, origin=IMPORT, created_at=each.at)
                new.append(each.ref)
            row.kaggle_ref, row.kaggle_status, row.kaggle_error = each.ref, each.status, each.error or None
            row.sent_at, row.description = row.sent_at or each.at, each.message or row.description
            db.add(row)
            db.flush()
            if each.public is not None or each.private is not None:
                store(db, row, KAGGLE, Scored("", each.public, each.private), now, origin="system")
                if row.origin == IMPORT:  # the list that was imported before said the same
                    _drop(db, row.id, MANUAL, IMPORT)
    return TakenIn(tuple(new), tuple(each.ref for each in listed if each.status == PENDING))


def link(journal: Journal, ref: int, run_key: str) -> None:
    """Say that the submission `ref` at Kaggle is a run's: its number and scores become the run's own."""
    with journal.writing() as db:
        mine, run = submission_of(db, run_key)
        there = _without_run(db, run.challenge_id, ref)
        if mine.kaggle_ref is not None:
            raise OnehourError(f"its submission is number {mine.kaggle_ref} at Kaggle already", where=run_key)
        scores = db.exec(select(LeaderboardScore).where(LeaderboardScore.submission_id == there.id)).all()
        told = [(row.source, Scored(run_key, row.public, row.private), row.origin) for row in scores]
        for row in scores:
            db.delete(row)
        state, error, said, sent_at = there.kaggle_status, there.kaggle_error, there.description, there.sent_at
        db.delete(there)
        db.flush()
        mine.kaggle_ref, mine.kaggle_status, mine.kaggle_error = ref, state, error
        mine.description, mine.sent_at = said or mine.description, mine.sent_at or sent_at
        db.add(mine)
        for source, score, origin in told:
            store(db, mine, source, score, journal.now(), origin)


def _without_run(db: Session, challenge_id: int, ref: int) -> Submission:
    query = select(Submission).where(Submission.challenge_id == challenge_id, col(Submission.kaggle_ref).is_not(None))
    every = db.exec(query).all()
    found = next((row for row in every if row.kaggle_ref == ref), None)
    if found is None:
        free = [str(row.kaggle_ref) for row in every if row.run_id is None]
        raise OnehourError(f"no submission {ref} at Kaggle is known", fix=nearest(str(ref), free))
    if found.run_id is not None:
        run = db.get(Run, found.run_id)
        assert run is not None
        raise OnehourError(f"the submission {ref} is that of {run.key} already")
    return found


def _drop(db: Session, submission_id: int, source: str, origin: str) -> None:
    score = LeaderboardScore
    which = col(score.submission_id) == submission_id, col(score.source) == source, col(score.origin) == origin
    db.exec(delete(score).where(*which))
