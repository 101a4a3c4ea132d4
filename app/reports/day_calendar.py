"""The challenge as a calendar: for each day what became of its hour, the minutes, the best CV, whether its note is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from app.journal import rest_days, usage
from app.journal.days import DAY, MINUTE_MS, day_number
from app.journal.sittings import Sitting
from app.journal.tables import Note
from app.reports.week import DayMark, mark
from app.scores.board import best_cv_by_day


@dataclass(frozen=True)
class CalendarDay:
    local_date: date
    number: int
    mark: DayMark
    used_ms: int
    best_cv: float | None = None
    is_late: bool = False  # the last words of its note were written after the day

    @property
    def in_words(self) -> str:
        """`Day 17, Wed 2026-03-18: part, 48 min, best CV 0.842, note late`."""
        parts: list[str] = [self.mark]
        if self.used_ms:
            parts.append(f"{self.used_ms / MINUTE_MS:.0f} min")
        if self.best_cv is not None:
            parts.append(f"best CV {self.best_cv:.3f}")
        if self.is_late:
            parts.append("note late")
        return f"Day {self.number}, {self.local_date:%a} {self.local_date}: {', '.join(parts)}"


def of_challenge(db: Session, at: Sitting) -> list[CalendarDay]:
    """Every day of the challenge, the first one first. Four queries, however long it is."""
    challenge = at.challenge
    every = [challenge.starts_on + DAY * n for n in range(challenge.days)]
    used = usage.used_ms(db, challenge, every[0], every[-1], at.now)
    rests = set(rest_days.of(db, challenge))
    late = set(db.exec(select(col(Note.local_date)).where(Note.challenge_id == challenge.id, Note.late)).all())
    best = best_cv_by_day(db, challenge)
    return [
        CalendarDay(
            on,
            day_number(on, challenge.starts_on),
            mark(challenge, used.get(on), on, at.local_date, on in rests),
            used.get(on, 0),
            best.get(on),
            on in late,
        )
        for on in every
    ]
