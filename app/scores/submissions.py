"""What may still be sent: the competition takes so many submissions a day, and its day is UTC's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlmodel import Session, col, func, select

from app.journal.days import from_ms, to_ms
from app.journal.tables import Challenge, Submission, SubmissionAllowance


@dataclass(frozen=True)
class Slots:
    """`resets_in_ms` is the time until the next UTC day begins."""

    left: int
    a_day: int
    resets_in_ms: int


def slots(db: Session, challenge: Challenge, now: int) -> Slots | None:
    """The submissions left today: as the account was told last on this UTC day, less what was sent since; without that, as far
    as the journal knows of those sent. None when the daily number is not known."""
    begins = datetime.combine(from_ms(now).date(), time(), UTC)
    ends_at = to_ms(begins + timedelta(days=1))
    told = db.get(SubmissionAllowance, challenge.id)
    if told is not None and to_ms(begins) <= told.asked_at < ends_at:
        left = told.left_today - _sent(db, challenge, told.asked_at + 1, ends_at)
        return Slots(max(0, left), told.sent_today + told.left_today, ends_at - now)
    if challenge.submissions_per_day is None:
        return None
    left = challenge.submissions_per_day - _sent(db, challenge, to_ms(begins), ends_at)
    return Slots(max(0, left), challenge.submissions_per_day, ends_at - now)


def keep_allowance(db: Session, challenge_id: int, sent_today: int, left_today: int, now: int) -> None:
    """What the account told `now`. In a writing transaction."""
    db.merge(SubmissionAllowance(challenge_id=challenge_id, asked_at=now, sent_today=sent_today, left_today=left_today))


def _sent(db: Session, challenge: Challenge, first: int, before: int) -> int:
    """How many were sent from the moment `first` on and before `before`, as far as the journal knows."""
    return db.exec(
        select(func.count())
        .select_from(Submission)
        .where(
            Submission.challenge_id == challenge.id,
            col(Submission.sent_at) >= first,
            col(Submission.sent_at) < before,
        )
    ).one()
