"""What a person says of the leaderboard: a score that it shows for a run, or that a submission was sent. At any time."""

from __future__ import annotations

from math import isfinite

from sqlmodel import select

from app.journal.days import from_ms
from app.journal.store import Journal
from app.journal.tables import LeaderboardScore, Submission
from app.scores.lb_scores import MANUAL, Scored, store, submission_of
from engine.contract import OnehourError


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
