"""What a person allows during the hour, the worker does at night: a submission if its CV is good enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.jobs import backlog, orders, standing_orders, submitting
from app.journal import sessions
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, Run, StandingOrder
from app.scores import submission_file
from engine.contract import OnehourError
from tests.app.at_kaggle import do, hold, open_errands
from tests.app.trainings import small_spec
from tests.conftest import MovableClock
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import KaggleServer
from tests.e2e.past import finish


@pytest.fixture
def competition(kaggle: KaggleServer, clock: MovableClock) -> Competition:
    return hold(kaggle, clock)


@pytest.fixture
def key(journal: Journal, challenge: Challenge) -> str:
    """A run that waits, with the hour running."""
    sessions.start(journal)
    data = Path(challenge.data_dir)
    (data / "sample_submission.csv").write_text("Image,Id\na.jpg,new_whale\nb.jpg,new_whale\n")
    return orders.queue_run(journal, "x", small_spec(data), "larger images help").run_key


def order(journal: Journal, run_id: int = 1) -> tuple[StandingOrder | None, str]:
    with journal.reading() as db:
        found = standing_orders.of_run(db, run_id)
        run = db.get(Run, run_id)
        assert run is not None
        return found, "" if found is None else standing_orders.words(db, found, run.key)


def test_a_run_that_is_good_enough_is_sent_at_night(
    journal: Journal, competition: Competition, key: str, clock: MovableClock
) -> None:
    standing_orders.give(journal, key, 0.75, "for the night")
    standing_orders.decide_due(journal)
    assert order(journal)[1] == "is sent if its CV is better than 0.75"
    clock.move(5 * 3_600)
    finish(journal, key, 0.8)
    standing_orders.decide_due(journal)
    assert order(journal)[1] == "a CV of 0.8000 is better than 0.75: it is to be sent; it is on its way"
    (asked,) = open_errands(journal, "submit")
    assert asked.origin == "system"
    standing_orders.decide_due(journal)
    assert len(open_errands(journal, "submit")) == 1
    do(journal, asked.id)
    assert competition.sent[0].description == f"{key} | CV 0.8000 | for the night"
    assert order(journal)[1] == "a CV of 0.8000 is better than 0.75: it is to be sent; sent as number 1000"


@pytest.mark.parametrize(
    ("direction", "better_than", "outcome"),
    [
        ("max", 0.8, "not sent: a CV of 0.8000 is not better than 0.8"),
        ("max", 0.84, "not sent: a CV of 0.8000 is not better than 0.84"),
        ("min", 0.75, "not sent: a CV of 0.8000 is not better than 0.75"),
        ("min", 0.84, "a CV of 0.8000 is better than 0.84: it is to be sent; it is on its way"),
    ],
)
def test_better_is_what_the_metric_says(
    journal: Journal, competition: Competition, key: str, direction: str, better_than: float, outcome: str
) -> None:
    standing_orders.give(journal, key, better_than)
    finish(journal, key, 0.8)
    with journal.writing() as db:
        run = db.get(Run, 1)
        assert run is not None
        run.direction = direction
        db.add(run)
    standing_orders.decide_due(journal)
    assert order(journal)[1] == outcome


def test_a_run_that_has_no_result_or_a_bad_file_sends_nothing_and_says_why(
    journal: Journal, challenge: Challenge, competition: Competition, key: str
) -> None:
    standing_orders.give(journal, key, 0.1)
    other = orders.queue_run(journal, "x", small_spec(Path(challenge.data_dir)), "another").run_key
    standing_orders.give(journal, other, 0.1)
    backlog.cancel(journal, key)
    finish(journal, other, 0.8)
    (Path(challenge.data_dir) / "sample_submission.csv").write_text("Image,Id\nc.jpg,new_whale\n")
    standing_orders.decide_due(journal)
    assert order(journal)[1] == "not sent: the run was cancelled"
    assert order(journal, 2)[1].startswith("not sent, though a CV of 0.8000 is better than 0.1: ")
    assert "1 of 1 ids are missing: 'c.jpg'" in order(journal, 2)[1]
    assert open_errands(journal, "submit") == []


def test_an_order_is_given_in_the_hour_and_taken_back_at_any_time(
    journal: Journal, competition: Competition, key: str, clock: MovableClock
) -> None:
    standing_orders.give(journal, key, 0.9)
    standing_orders.give(journal, key, 0.7)
    assert order(journal)[1] == "is sent if its CV is better than 0.7"
    with pytest.raises(OnehourError, match="a CV of nan is no number"):
        standing_orders.give(journal, key, float("nan"))
    clock.move(5 * 3_600)
    with pytest.raises(AgainstTheRules):
        standing_orders.give(journal, key, 0.5)
    standing_orders.take_back(journal, key)
    assert order(journal) == (None, "")
    with pytest.raises(OnehourError, match="there is no order for this run"):
        standing_orders.take_back(journal, key)
    finish(journal, key, 0.8)
    standing_orders.decide_due(journal)
    assert open_errands(journal, "submit") == []


def test_one_that_was_decided_is_taken_back_as_long_as_nothing_was_sent(
    journal: Journal, competition: Competition, key: str
) -> None:
    standing_orders.give(journal, key, 0.5)
    finish(journal, key, 0.8)
    standing_orders.decide_due(journal)
    (asked,) = open_errands(journal, "submit")
    standing_orders.take_back(journal, key)
    do(journal, asked.id)
    assert competition.sent == []
    do(journal, submitting.ask(journal, key).id)
    assert len(competition.sent) == 1


@pytest.mark.parametrize("anew", [None, 0.9], ids=["taken back", "given anew"])
def test_an_order_that_goes_while_its_file_is_looked_through_sends_nothing(
    journal: Journal, competition: Competition, key: str, monkeypatch: pytest.MonkeyPatch, anew: float | None
) -> None:
    standing_orders.give(journal, key, 0.5)
    finish(journal, key, 0.8)
    look_through = submission_file.check

    def meanwhile(path: Path, sample: Path) -> None:
        look_through(path, sample)
        standing_orders.take_back(journal, key) if anew is None else standing_orders.give(journal, key, anew)

    with monkeypatch.context() as patched:
        patched.setattr(submission_file, "check", meanwhile)
        standing_orders.decide_due(journal)
    assert open_errands(journal, "submit") == []
    assert order(journal)[1] == ("" if anew is None else "is sent if its CV is better than 0.9")
    standing_orders.decide_due(journal)
    assert open_errands(journal, "submit") == []
