"""The whole challenge day by day in scores: what a plot of it needs, in three queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session

from app.journal import challenges
from app.journal.days import day_number
from app.journal.sittings import Sitting
from app.scores.board import best, best_cv_by_day, best_lb_by_day, sent_elsewhere
from engine.contract import METRIC_DIRECTIONS

Scores = tuple[float | None, float | None, float | None]  # CV, public, private


@dataclass(frozen=True)
class ScoreDay:
    """The best scores of a day, of runs in the challenge's metric and of what was sent elsewhere; `best_cv` among all days so far."""

    local_date: date
    number: int
    cv: float | None
    public: float | None
    private: float | None
    best_cv: float | None


def has_days_before(days: Sequence[ScoreDay]) -> bool:
    """Whether something was sent before the challenge's first day: such days are told by their dates, they have no number."""
    return any(day.number < 1 for day in days)


def read(db: Session, at: Sitting) -> list[ScoreDay]:
    """Every day with a score, the first one first; days before the challenge's first have numbers below 1."""
    challenge = at.challenge
    until = min(at.local_date, challenges.last_day(challenge))
    by_day: dict[date, list[Scores]] = defaultdict(list)
    for on, best_cv in best_cv_by_day(db, challenge).items():
        by_day[on].append((best_cv, None, None))
    for on, (best_public, best_private) in best_lb_by_day(db, challenge).items():
        by_day[on].append((None, best_public, best_private))
    for on, sent in sent_elsewhere(db, challenge).items():
        by_day[on] += [(None, one.public, one.private) for one in sent]
    direction = METRIC_DIRECTIONS[challenge.metric]
    days: list[ScoreDay] = []
    for on in sorted(on for on in by_day if on <= until):
        cv, public, private = (best(kind, direction) for kind in zip(*by_day[on], strict=True))
        so_far = best([cv, days[-1].best_cv if days else None], direction)
        days.append(ScoreDay(on, day_number(on, challenge.starts_on), cv, public, private, so_far))
    return days
