"""What the pages tell of Kaggle and let be done there, as Streamlit runs them, without a browser."""

from __future__ import annotations

import pytest

from app.jobs import errands, kaggle_looks, standing_orders, submitting
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.scores.submissions import keep_allowance
from app.views import desk
from tests.app.at_kaggle import do, finished_run, hold, open_errands, submissions
from tests.app.test_views import named, page, ran, texts
from tests.conftest import MovableClock
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import TOKEN, KaggleServer
from tests.e2e.today import look_at_presets


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


@pytest.fixture
def competition(kaggle: KaggleServer, clock: MovableClock) -> Competition:
    return hold(kaggle, clock)


@pytest.fixture
def key(journal: Journal, challenge: Challenge, competition: Competition) -> str:
    sessions.start(journal)
    return finished_run(journal, challenge)


def test_a_run_is_sent_from_today_and_its_way_is_told(
    kaggle: KaggleServer, journal: Journal, key: str, competition: Competition
) -> None:
    at = page("today")
    assert not named(at, "Submit").disabled
    at = ran(named(at, "Submit").click())
    assert "being sent" in texts(at)
    assert "Submit" not in [button.label for button in at.button]
    assert kaggle.calls == [], "a page never speaks to Kaggle"
    do(journal, open_errands(journal, "submit")[0].id)
    assert competition.sent[0].description == f"{key} | CV 0.8000 | larger images help"
    assert "4 of 5 submissions left today (UTC, for another 4 h 0 min)" in texts(page("today"))


def test_runs_sends_with_words_and_says_what_became_of_it(journal: Journal, key: str, competition: Competition) -> None:
    at = page("runs")
    ran(at.text_input(key=f"say_{key}").set_value("384 px"))
    at = ran(named(at, "Submit").click())
    assert "On its way to Kaggle." in texts(at)
    do(journal, open_errands(journal, "submit")[0].id)
    assert competition.sent[0].description == f"{key} | CV 0.8000 | 384 px"
    assert "Sent: number 1000 at Kaggle, its score is still to come" in texts(page("runs"))


def test_sending_is_greyed_out_with_its_reason(
    journal: Journal, challenge: Challenge, key: str, clock: MovableClock
) -> None:
    with journal.writing() as db:
        keep_allowance(db, challenge.id, 5, 0, journal.now())
    at = page("runs")
    assert named(at, "Submit").disabled
    assert "None of today's 5 submissions is left. 0 of 5 submissions left today" in texts(at)
    clock.move(2 * 3_600)
    at = page("runs")
    assert named(at, "Submit").disabled
    assert "Submitting is part of the hour, and today's hour is used." in texts(at)
    at = page("today")
    assert named(at, "Submit").disabled


def test_without_a_key_nobody_offers_to_send(journal: Journal, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    for name in ("today", "runs", "leaderboard"):
        assert "Submit" not in [button.label for button in page(name).button]
    assert "or there is no key" in texts(page("leaderboard"))


def test_a_refusal_is_told_where_it_was_asked_for(
    kaggle: KaggleServer, journal: Journal, key: str, competition: Competition
) -> None:
    kaggle.refused_tokens.add(TOKEN)
    ran(named(page("runs"), "Submit").click())
    do(journal, open_errands(journal, "submit")[0].id)
    at = page("runs")
    assert "does not take the key. Make a new token" in texts(at)
    assert not named(at, "Submit").disabled
    at = page("settings")
    assert "does not take the key" in texts(at)
    assert TOKEN not in texts(at)


def test_the_leaderboard_tells_rank_medals_and_whose_a_submission_is(
    kaggle: KaggleServer,
    journal: Journal,
    challenge: Challenge,
    key: str,
    competition: Competition,
    clock: MovableClock,
) -> None:
    competition.others = [(f"team {number}", 1 - number / 100, 0.5) for number in range(30)]
    competition.take("by-hand.csv", b"Image,Id\na.jpg,x w_1\nb.jpg,w_1\n", "from a notebook", kaggle.now()).polls = 0
    assert "Kaggle was not asked yet." in texts(page("leaderboard"))
    at = ran(named(page("leaderboard"), "Ask Kaggle now").click())
    for kind in ("scores", "leaderboard"):
        assert do(journal, open_errands(journal, kind)[0].id).state == "done"
    at = page("leaderboard")
    assert "Rank 31 of 31 (top 100.0%), LB 0.5; bronze at 0.89, 0.39 away" in texts(at)
    assert "tester answered on 2026-03-02 at 20:00" in texts(at)
    at.selectbox(key="link_ref").set_value(1000)
    at.selectbox(key="link_run").set_value(key)
    ran(named(at, "Link").click())
    assert submissions(journal)[0].kaggle_ref == 1000
    assert "Sent elsewhere" not in texts(page("leaderboard"))
    clock.move(86_400)
    kaggle_looks.ask_now(journal)
    do(journal, open_errands(journal, "leaderboard")[0].id)
    assert "Rank by day" in texts(page("leaderboard"))


def test_the_resume_card_tells_position_submissions_and_gpu_hours(
    journal: Journal, challenge: Challenge, competition: Competition, clock: MovableClock
) -> None:
    (journal.home.path / "config.toml").write_text('[backends.kaggle]\nkind = "kaggle"\ntime_limit = "12h"\n')
    kaggle_looks.Looks(journal).tick()
    for kind in ("scores", "leaderboard", "probe"):
        do(journal, open_errands(journal, kind)[0].id)
    said = texts(page("today"))
    assert "Leaderboard: not on the leaderboard of 0 teams yet" in said
    assert "5 of 5 submissions left today" in said
    assert "GPU 28.5 of 30 h left on kaggle" in said
    clock.move(3 * 86_400)
    assert "GPU" not in texts(page("today")), "old figures are not told"


def test_a_standing_order_is_given_with_the_run_shown_and_taken_back(
    journal: Journal, challenge: Challenge, key: str
) -> None:
    standing_orders.give(journal, key, 0.9)
    at = page("runs")
    assert "Standing order: is sent if its CV is better than 0.9" in texts(at)
    ran(named(at, "Take it back").click())
    with journal.reading() as db:
        assert standing_orders.of_run(db, 1) is None
    assert "Standing order" not in texts(page("runs"))


def test_the_form_that_queues_a_run_takes_an_order_for_it(
    journal: Journal, challenge: Challenge, key: str, competition: Competition
) -> None:
    look_at_presets(journal)
    at = page("today")
    at.number_input(key="submit_if").set_value(0.84)
    at.text_input(key="hypothesis").set_value("384 px help")
    ran(named(at, "Queue a run").click())
    with journal.reading() as db:
        order = standing_orders.of_run(db, 2)
    assert order is not None
    assert (order.better_than, order.origin) == (0.84, "person")


def test_only_what_is_still_to_be_sent_is_under_way(journal: Journal, challenge: Challenge, key: str) -> None:
    submitting.ask(journal, key)
    with journal.reading() as db:
        assert submitting.under_way(db, challenge) == {key}
    with journal.writing() as db:
        asked = errands.newest(db, "submit", key)
        assert asked is not None
        asked.state = errands.FAILED
        db.add(asked)
    with journal.reading() as db:
        assert submitting.under_way(db, challenge) == set()
