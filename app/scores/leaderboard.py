"""The leaderboard's scores: Kaggle's own, computed at home from a truth file, or typed in by hand.

Allowed at any time: they are measurements.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from sqlalchemy import ColumnElement
from sqlmodel import Session, case, col, func, select

from app.journal import challenges
from app.journal.days import from_ms
from app.journal.home import CHECKOUT
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardScore, Run, Submission
from app.scores.runs import submission_path
from engine.contract import OnehourError, nearest

KAGGLE, LOCAL, MANUAL = "kaggle", "local", "manual"
# What counts more comes first: what Kaggle itself tells, what was read there, what was computed at home.
SOURCES = (KAGGLE, MANUAL, LOCAL)
SCORING_WAIT_S = 120


@dataclass(frozen=True)
class Scored:
    """A submission's scores. With a truth file that has no split, `private` holds the score over all images."""

    run_key: str
    public: float | None
    private: float | None


def use_truth(journal: Journal, path: Path) -> list[Scored]:
    """Take `path` as the truth of the active challenge's test images and score every submission so far against it.

    Nothing is stored when the file or one of the submissions is refused (OnehourError of the engine).
    """
    truth = path.expanduser().resolve()
    with journal.reading() as db:
        challenge = challenges.active(db)
        submissions = _submissions(db, challenge)
    _require_truth(truth, challenge)
    scored = [(one, _score(challenge, truth, submission_path(journal.home, one), run)) for one, run in submissions]
    with journal.writing() as db:
        stored = db.get(Challenge, challenge.id)
        assert stored is not None
        stored.truth_path = str(truth)
        db.add(stored)
        for submission, score in scored:
            store(db, submission, LOCAL, score, journal.now(), origin="system")
    return [score for _, score in scored]


def score_locally(journal: Journal, run_key: str) -> Scored | None:
    """Score a run's submission against the challenge's truth file; None when the challenge has none."""
    with journal.reading() as db:
        submission, run = submission_of(db, run_key)
        challenge = db.get(Challenge, run.challenge_id)
    assert challenge is not None
    if challenge.truth_path is None:
        return None
    truth = Path(challenge.truth_path)
    _require_truth(truth, challenge)  # it may have changed since it was taken
    score = _score(challenge, truth, submission_path(journal.home, submission), run)
    with journal.writing() as db:
        store(db, submission, LOCAL, score, journal.now(), origin="system")
    return score


def enter_by_hand(journal: Journal, run_key: str, public: float | None, private: float | None = None) -> Scored:
    """What the competition's own leaderboard says of a run's submission. Entering one again replaces it; None leaves what is there."""
    if public is None and private is None:
        raise OnehourError(
            "a leaderboard score is missing", where=run_key, fix="Give the public score, the private or both."
        )
    for name, value in (("public", public), ("private", private)):
        if value is not None and not isfinite(value):
            raise OnehourError(
                f"the {name} score {value} is no number", where=run_key, fix="Give it as it stands there, like 0.8421."
            )
    with journal.writing() as db:
        submission, _ = submission_of(db, run_key)
        known = db.exec(
            select(LeaderboardScore).where(
                LeaderboardScore.submission_id == submission.id, LeaderboardScore.source == MANUAL
            )
        ).first()
        if known is not None:
            public, private = known.public if public is None else public, known.private if private is None else private
        score = Scored(run_key, public, private)
        submission.sent_at = submission.sent_at or journal.now()  # it has a score there, so it was sent
        db.add(submission)
        store(db, submission, MANUAL, score, journal.now(), origin="person")
    return score


def mark_sent(journal: Journal, run_key: str, at: int | None = None) -> Submission:
    """Say that a run's submission was sent, now or at the moment `at`. Sending it is part of the hour, saying so is not."""
    now = journal.now()
    if at is not None and at > now:
        raise OnehourError(f"{from_ms(at):%Y-%m-%d %H:%M} UTC has not come yet", where=run_key)
    with journal.writing() as db:
        submission, _ = submission_of(db, run_key)
        submission.sent_at = now if at is None else at
        db.add(submission)
    return submission


def public_of_newest() -> ColumnElement[float | None]:
    """In SQL: the public score of the newest submission of a run of the enclosing query, from the first of SOURCES that tells it."""
    newest = select(func.max(Submission.id)).where(col(Submission.run_id) == Run.id).correlate(Run).scalar_subquery()
    lb = LeaderboardScore
    told = [func.max(case((col(lb.source) == source, col(lb.public)))) for source in SOURCES]
    return select(func.coalesce(*told)).where(col(lb.submission_id) == newest).correlate(Run).scalar_subquery()


def submission_of(db: Session, run_key: str) -> tuple[Submission, Run]:
    """The newest submission of a run. Raises OnehourError when there is no such run or it has none yet."""
    run = run_named(db, run_key)
    newest = select(Submission).where(Submission.run_id == run.id).order_by(col(Submission.id).desc())
    submission = db.exec(newest).first()
    if submission is None:
        raise OnehourError("this run has no submission yet", where=run_key)
    return submission, run


def _submissions(db: Session, challenge: Challenge) -> list[tuple[Submission, Run]]:
    query = select(Submission, Run).join(Run, col(Submission.run_id) == col(Run.id))
    rows = db.exec(query.where(Submission.challenge_id == challenge.id).order_by(col(Submission.id))).all()
    return [(submission, run) for submission, run in rows]


def _require_truth(truth: Path, challenge: Challenge) -> None:
    """The header alone; the rows are checked by whoever scores with them."""
    try:
        with truth.open(encoding="utf-8-sig") as file:
            columns = [name.strip().strip('"') for name in file.readline().strip().split(",")]
    except FileNotFoundError:
        raise OnehourError("there is no such truth file", where=str(truth)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OnehourError(f"the truth file cannot be read ({error})", where=str(truth)) from None
    wanted = [challenge.image_col, challenge.label_col]
    for needed in wanted:
        if needed not in columns:
            raise OnehourError(f"the column {needed!r} is missing", where=str(truth), fix=nearest(needed, columns))
    if columns[:2] != wanted:
        raise OnehourError(
            f"the first two columns are {columns[0]!r} and {columns[1]!r}",
            where=str(truth),
            fix=f"Begin each row with {wanted[0]!r} and {wanted[1]!r}, in this order.",
        )


def _score(challenge: Challenge, truth: Path, predictions: Path, run: Run) -> Scored:
    """One scoring in a child process: the app itself never loads what it takes."""
    command = [sys.executable, "-m", "engine", "score", "--metric", challenge.metric, "--json"]
    command += ["--truth", str(truth), "--predictions", str(predictions)]
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=SCORING_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OnehourError(f"scoring took longer than {SCORING_WAIT_S} s", where=str(predictions)) from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["the scoring ended without a reason"]
        raise OnehourError(lines[-1])
    scores = json.loads(done.stdout)
    whole = scores["all"] if scores["public"] is None and scores["private"] is None else scores["private"]
    return Scored(run.key, scores["public"], whole)


def store(db: Session, submission: Submission, source: str, score: Scored, now: int, origin: str) -> None:
    """What `source` says of a submission, in place of what it said before. In a writing transaction."""
    known = select(LeaderboardScore).where(
        LeaderboardScore.submission_id == submission.id, LeaderboardScore.source == source
    )
    row = db.exec(known).first() or LeaderboardScore(
        submission_id=submission.id, source=source, origin=origin, scored_at=now
    )
    row.public, row.private, row.scored_at = score.public, score.private, now
    db.add(row)
