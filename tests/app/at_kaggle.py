"""A challenge on a competition of the Kaggle double, with finished runs, and errands done at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlmodel import col, select

from app.jobs import errands, orders
from app.journal.days import from_ms
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, LeaderboardScore, Submission
from tests.app.trainings import small_spec
from tests.conftest import MovableClock
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import KaggleServer
from tests.e2e.past import finish

SLUG = "humpback"
# The submission of trainings.py: a.jpg is w_1 at once, b.jpg second.
TRUTH = {"a.jpg": ("w_1", "Public"), "b.jpg": ("w_1", "Private")}


def hold(kaggle: KaggleServer, clock: MovableClock) -> Competition:
    """The challenge's competition, by the test's clock."""
    kaggle.now = lambda: from_ms(clock.at)
    competition = Competition(SLUG, truth=dict(TRUTH), deadline=from_ms(clock.at + 30 * 86_400_000), now=kaggle.now)
    kaggle.competitions[SLUG] = competition
    return competition


def finished_run(journal: Journal, challenge: Challenge, cv: float = 0.8, said: str = "larger images help") -> str:
    data = Path(challenge.data_dir)
    (data / "sample_submission.csv").write_text("Image,Id\na.jpg,new_whale\nb.jpg,new_whale\n")
    key = orders.queue_run(journal, "x", small_spec(data), said).run_key
    finish(journal, key, cv)
    return key


def do(journal: Journal, errand_id: int) -> Errand:
    """Let an errand be done, as its child would."""
    errands.run(journal, errand_id)
    return row(journal, errand_id)


def row(journal: Journal, errand_id: int) -> Errand:
    with journal.reading() as db:
        found = db.get(Errand, errand_id)
    assert found is not None
    return found


def open_errands(journal: Journal, kind: str) -> list[Errand]:
    with journal.reading() as db:
        query = select(Errand).where(Errand.kind == kind, Errand.state == errands.OPEN).order_by(col(Errand.id))
        return list(db.exec(query).all())


def submissions(journal: Journal) -> list[Submission]:
    with journal.reading() as db:
        return list(db.exec(select(Submission).order_by(col(Submission.id))).all())


def scores(journal: Journal) -> list[tuple[str, Any, Any]]:
    with journal.reading() as db:
        rows = db.exec(select(LeaderboardScore).order_by(col(LeaderboardScore.id))).all()
    return [(one.source, one.public, one.private) for one in rows]
