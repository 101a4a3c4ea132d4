"""What a person has looked at: the augmented sample sheet of each crop and geometry, and how much of it was invented then.

Looking is reading, so it is possible at any time; what was looked at is written down beside the measured share.
"""

from __future__ import annotations

from sqlmodel import Session

from app.journal import challenges
from app.journal.store import Journal
from app.journal.tables import Challenge, LookedAt


def of(db: Session, challenge: Challenge, augmentation_key: str) -> LookedAt | None:
    """When the augmentation with this key was looked at last; None when it never was."""
    return db.get(LookedAt, (challenge.id, augmentation_key))


def record(
    journal: Journal,
    augmentation_key: str,
    border_share_mean: float | None = None,
    border_share_max: float | None = None,
) -> LookedAt:
    """The person looked at the sheet of this augmentation, which showed these shares (0…1; None: nothing was measured)."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        row = of(db, challenge, augmentation_key) or LookedAt(
            challenge_id=challenge.id, augmentation_key=augmentation_key, looked_at=0
        )
        row.border_share_mean, row.border_share_max, row.looked_at = border_share_mean, border_share_max, journal.now()
        db.add(row)
    return row
