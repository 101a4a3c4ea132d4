"""Submissions left today: counted by the UTC day, from what is known to have been sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.jobs import orders
from app.journal import challenge_settings, sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Submission
from app.scores import lb_scores, leaderboard
from app.scores.submissions import Slots, slots
from engine.contract import OnehourError
from tests.app.trainings import small_spec
from tests.conftest import MovableClock, ms
from tests.e2e.past import finish

pytestmark = pytest.mark.unit


def sent(journal: Journal, challenge: Challenge, at: int | None) -> None:
    with journal.writing() as db:
        db.add(Submission(challenge_id=challenge.id, path="s.csv", sent_at=at, origin="import", created_at=0))


def test_those_sent_since_midnight_utc_are_taken_from_the_daily_number(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    challenge = challenge_settings.change(journal, submissions_per_day=5)
    for at in (ms("2026-03-01 23:59"), ms("2026-03-02 00:00"), ms("2026-03-02 19:00"), None):
        sent(journal, challenge, at)
    with journal.reading() as db:
        assert slots(db, challenge, clock.at) == Slots(left=3, a_day=5, resets_in_ms=4 * 3_600_000)


def test_without_a_daily_number_nothing_is_said(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    with journal.reading() as db:
        assert slots(db, challenge, clock.at) is None


def test_more_sent_than_allowed_leaves_none(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    challenge = challenge_settings.change(journal, submissions_per_day=1)
    for _ in range(2):
        sent(journal, challenge, clock.at)
    with journal.reading() as db:
        assert slots(db, challenge, clock.at).left == 0  # type: ignore[union-attr]


def test_a_number_that_is_none_is_refused(journal: Journal, challenge: Challenge) -> None:
    with pytest.raises(OnehourError, match="1000"):
        challenge_settings.change(journal, submissions_per_day=1000)
    challenge_settings.change(journal, submissions_per_day=5)
    assert challenge_settings.change(journal, submissions_per_day=0).submissions_per_day is None


def test_saying_that_a_runs_submission_was_sent_takes_a_slot_on_its_utc_day(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    challenge = challenge_settings.change(journal, submissions_per_day=5)
    sessions.start(journal)
    key = orders.queue_run(journal, "sample-quick", small_spec(Path(challenge.data_dir)), "x").run_key
    with pytest.raises(OnehourError, match="no submission yet"):
        leaderboard.mark_sent(journal, key)
    finish(journal, key, cv=0.8)
    with journal.reading() as db:
        assert slots(db, challenge, clock.at).left == 5  # type: ignore[union-attr]
    with pytest.raises(OnehourError, match="has not come yet"):
        leaderboard.mark_sent(journal, key, clock.at + 1)
    leaderboard.mark_sent(journal, key)
    with journal.reading() as db:
        assert slots(db, challenge, clock.at).left == 4  # type: ignore[union-attr]
    sent_at = clock.at
    clock.move(12 * 3_600)
    leaderboard.enter_by_hand(journal, key, 0.8, None)
    with journal.reading() as db:
        assert lb_scores.submission_of(db, key)[0].sent_at == sent_at, "a score that came later leaves the moment"
        assert slots(db, challenge, clock.at).left == 5  # type: ignore[union-attr]
