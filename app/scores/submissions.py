"""What may still be sent: the competition takes so many submissions a day, and its day is UTC's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlmodel import Session, col, func, select

from app.journal.days import from_ms, to_ms
from app.journal.tables import Challenge, Submission


@dataclass(frozen=True)
class Slots:
    """`resets_in_ms` is the time until the next UTC day begins."""

    left: int
    a_day: int
    resets_in_ms: int


def slots(db: Session, challenge: Challenge, now: int) -> Slots | None:
    """The submissions left today, as far as the journal knows of those sent; None when the daily number is not known."""
    if challenge.submissions_per_day is None:
        return None
    begins = datetime.combine(from_ms(now).date(), time(), UTC)
    ends_at = to_ms(begins + timedelta(days=1))
    sent = db.exec(
        select(func.count())
        .select_from(Submission)
        .where(
            Submission.challenge_id == challenge.id,
            col(Submission.sent_at) >= to_ms(begins),
            col(Submission.sent_at) < ends_at,
        )
    ).one()
    return Slots(max(0, challenge.submissions_per_day - sent), challenge.submissions_per_day, ends_at - now)
