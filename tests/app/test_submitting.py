"""Submissions are sent once, by an errand, and only what Kaggle would take; their scores arrive by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.jobs import errands, kaggle_looks, submitting
from app.jobs.kaggle_account import Account
from app.journal import challenges, sessions
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.scores import lb_scores, leaderboard, sent_intake
from app.scores.board import board_runs, sent_elsewhere
from app.scores.submissions import slots
from engine.contract import OnehourError
from tests.app.at_kaggle import SLUG, do, finished_run, hold, open_errands, scores, submissions
from tests.conftest import MovableClock
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import TOKEN, KaggleServer


@pytest.fixture
def competition(kaggle: KaggleServer, clock: MovableClock) -> Competition:
    return hold(kaggle, clock)


@pytest.fixture
def key(journal: Journal, challenge: Challenge, competition: Competition) -> str:
    sessions.start(journal)
    return finished_run(journal, challenge)


def left(journal: Journal, challenge: Challenge) -> tuple[int, int]:
    with journal.reading() as db:
        found = slots(db, challenges.active(db), journal.now())
    assert found is not None
    return found.left, found.a_day


def look(journal: Journal) -> dict[str, Any]:
    """The errand of scores that is waiting is done now."""
    (waiting,) = open_errands(journal, "scores")
    return dict(errands.answer_of(do(journal, waiting.id)))


def test_what_is_sent_names_its_run_and_its_score_arrives_by_itself(
    journal: Journal, challenge: Challenge, competition: Competition, key: str, clock: MovableClock
) -> None:
    sent = do(journal, submitting.ask(journal, key, "384 px,\n  again").id)
    assert (sent.state, sent.message) == ("done", "")
    (there,) = competition.sent
    assert there.description == f"{key} | CV 0.8000 | 384 px, again"
    assert there.content == (journal.home.run_dir(key) / "submission.csv").read_bytes()
    (mine,) = submissions(journal)
    assert (mine.kaggle_ref, mine.kaggle_status, mine.sent_at) == (there.ref, "pending", clock.at)
    assert left(journal, challenge) == (4, 5)
    (first,) = open_errands(journal, "scores")
    assert first.due_at == clock.at + 15_000
    assert look(journal)["pending"] == 1
    (second,) = open_errands(journal, "scores")
    assert second.due_at == clock.at + 15_000, "asked again, later each time"
    while open_errands(journal, "scores"):
        look(journal)
    assert scores(journal) == [("kaggle", 1.0, None)]
    with journal.reading() as db:
        (run,) = board_runs(db, challenge, challenge.starts_on, challenge.starts_on)
    assert (run.public, run.lb_source) == (1.0, "kaggle")
    leaderboard.enter_by_hand(journal, key, 0.5)
    with journal.reading() as db:
        (run,) = board_runs(db, challenge, challenge.starts_on, challenge.starts_on)
    assert (run.public, run.lb_source) == (1.0, "kaggle"), "the real leaderboard's own figure counts most"


def test_a_run_that_is_named_with_an_at_is_sent_once_all_the_same(
    journal: Journal, competition: Competition, key: str
) -> None:
    assert submitting.ask(journal, f"@{key}").id == submitting.ask(journal, key).id


def test_without_words_the_hypothesis_stands_beside_it(journal: Journal, competition: Competition, key: str) -> None:
    do(journal, submitting.ask(journal, key).id)
    assert competition.sent[0].description == f"{key} | CV 0.8000 | larger images help"


def test_submitting_is_part_of_the_hour_for_persons_at_each_level(
    journal: Journal, competition: Competition, key: str, clock: MovableClock
) -> None:
    clock.move(2 * 3_600)
    with pytest.raises(AgainstTheRules, match="Submitting is part of the hour, and today's hour is used"):
        submitting.ask(journal, key)
    with pytest.raises(AgainstTheRules, match="submitting is part of the hour"), journal.writing() as db:
        errands.ask(db, "submit", key, journal.now(), challenge_id=challenges.active(db).id)
    submitting.ask(journal, key, origin="system")


def test_a_file_that_kaggle_would_refuse_is_never_sent(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge, key: str
) -> None:
    sample = Path(challenge.data_dir) / "sample_submission.csv"
    sample.write_text("Image,Id\na.jpg,new_whale\nc.jpg,new_whale\n")
    with pytest.raises(
        OnehourError, match=r"1 of 2 ids are missing: 'c.jpg'; 1 are not in the sample submission: 'b.jpg'"
    ):
        submitting.ask(journal, key)
    sample.unlink()
    with pytest.raises(
        OnehourError, match=r"no sample submission to hold the file against. Kaggle gives it with the data"
    ):
        submitting.ask(journal, key)
    path = journal.home.run_dir(key) / "submission.csv"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(OnehourError, match="not the file that the run wrote"):
        submitting.ask(journal, key)
    assert kaggle.calls == []


def test_a_file_that_changed_while_it_waited_is_not_sent(journal: Journal, competition: Competition, key: str) -> None:
    asked = submitting.ask(journal, key)
    (journal.home.run_dir(key) / "submission.csv").write_text("Image,Id\na.jpg,x\nb.jpg,y\n")
    assert "not the file that the run wrote" in do(journal, asked.id).message
    assert competition.sent == []


def test_an_answer_that_is_lost_sends_nothing_twice(
    kaggle: KaggleServer, journal: Journal, competition: Competition, key: str, clock: MovableClock
) -> None:
    kaggle.fail("CreateSubmission", lost=True)
    asked = do(journal, submitting.ask(journal, key).id)
    assert (asked.state, asked.due_at) == ("open", clock.at + 60_000)
    assert "it cannot be reached" in asked.message
    assert submissions(journal)[0].kaggle_ref is None
    clock.move(60)
    assert do(journal, asked.id).state == "done"
    assert len(competition.sent) == 1
    assert submissions(journal)[0].kaggle_ref == competition.sent[0].ref


def test_two_clicks_send_one_and_what_was_sent_is_not_sent_again(
    journal: Journal, competition: Competition, key: str
) -> None:
    first, second = submitting.ask(journal, key, "a"), submitting.ask(journal, key, "b")
    assert first.id == second.id
    do(journal, first.id)
    with pytest.raises(OnehourError, match="it was sent and is number 1000 at Kaggle"):
        submitting.ask(journal, key)
    assert errands.answer_of(do(journal, first.id))["ref"] == 1000
    assert len(competition.sent) == 1


def test_what_kaggle_found_wrong_is_told_and_may_be_sent_again(
    journal: Journal, competition: Competition, key: str
) -> None:
    competition.truth["c.jpg"] = ("w_1", "Public")
    do(journal, submitting.ask(journal, key).id)
    while open_errands(journal, "scores"):
        look(journal)
    (mine,) = submissions(journal)
    assert (mine.kaggle_status, mine.kaggle_error) == (
        "error", "ERROR: The submission must have the ids of the sample submission."
    )  # fmt: skip
    del competition.truth["c.jpg"]
    do(journal, submitting.ask(journal, key).id)
    assert len(competition.sent) == 2
    assert submissions(journal)[0].kaggle_ref == 1001


def test_when_none_is_left_it_is_refused_here_or_by_the_account(
    journal: Journal, challenge: Challenge, competition: Competition, key: str, clock: MovableClock
) -> None:
    other, third = finished_run(journal, challenge, 0.7, "another"), finished_run(journal, challenge, 0.6, "a third")
    competition.a_day = 1
    do(journal, submitting.ask(journal, key).id)
    assert left(journal, challenge) == (0, 1)
    with pytest.raises(
        OnehourError, match=r"none of today's 1 submissions is left. The next ones come in 4 h 0 min \(UTC\)"
    ):
        submitting.ask(journal, other)
    order = do(journal, submitting.ask(journal, third, origin="system").id)
    assert (order.state, order.due_at) == ("open", clock.at + 4 * 3_600_000 + 60_000), (
        "an order waits for the next UTC day"
    )
    clock.move(4 * 3_600 + 60)
    assert do(journal, order.id).state == "done"
    assert [one.description.split(" | ")[0] for one in competition.sent] == [key, third]


def test_the_account_knows_of_submissions_that_the_journal_does_not(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge, competition: Competition, key: str
) -> None:
    for number in range(5):
        competition.take(f"{number}.csv", b"x", "elsewhere", kaggle.now())
    asked = do(journal, submitting.ask(journal, key).id)
    assert asked.state == "failed"
    assert "Kaggle takes no more submissions today, 5 were sent. The next ones come in 4 h 0 min" in asked.message
    assert left(journal, challenge) == (0, 5)
    assert len(competition.sent) == 5


def test_what_kaggle_cannot_do_now_is_a_sentence_and_tried_again(
    kaggle: KaggleServer, journal: Journal, competition: Competition, key: str, clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("app.jobs.submitting.Account", lambda: Account(waits_s=(0.01,)))
    asked = submitting.ask(journal, key)
    tries = [
        ({"status": 429, "headers": {"Retry-After": "90"}}, "asks to wait for 90 s", 90),
        ({"status": 500, "times": 9}, "an error of its own (HTTP 500)", 120),
        ({"body": b"{not json", "times": 9}, "its answer cannot be read", 240),
    ]
    for fault, sentence, after_s in tries:
        kaggle.fail("ListSubmissions", **fault)  # type: ignore[arg-type]
        left_open = do(journal, asked.id)
        assert (left_open.state, left_open.due_at) == ("open", clock.at + after_s * 1000), sentence
        assert sentence in left_open.message
        kaggle.faults.clear()
    clock.move(86_401)
    kaggle.fail("ListSubmissions", 503, times=9)
    assert "given up after a day" in do(journal, asked.id).message


def test_a_key_that_is_not_taken_and_rules_that_are_not_accepted_say_what_to_do(
    kaggle: KaggleServer, journal: Journal, competition: Competition, key: str
) -> None:
    kaggle.refused_tokens.add(TOKEN)
    asked = do(journal, submitting.ask(journal, key).id)
    assert asked.state == "failed"
    assert "does not take the key. Make a new token on https://www.kaggle.com/settings/api" in asked.message
    with journal.reading() as db:
        status = kaggle_looks.account_status(db)
    assert (status.user, status.last_contact_at) == ("", None)
    assert "does not take the key" in status.error
    kaggle.refused_tokens.clear()
    kaggle.fail("CreateSubmission", 403, body=b'{"code": 403, "message": "You must accept the rules first."}')
    asked = do(journal, submitting.ask(journal, key).id)
    assert (asked.state, asked.message) == ("failed", "Kaggle: You must accept the rules first.")
    do(journal, submitting.ask(journal, key).id)
    with journal.reading() as db:
        status = kaggle_looks.account_status(db)
    assert (status.user, status.error) == ("tester", "")


def test_without_a_key_or_for_the_sample_nothing_is_asked(
    journal: Journal, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with journal.reading() as db:
        assert submitting.is_possible(challenges.active(db))
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with journal.reading() as db:
        assert not submitting.is_possible(challenges.active(db))
    with pytest.raises(OnehourError, match="there is no key that Kaggle takes"):
        submitting.ask(journal, key)


def test_what_was_sent_elsewhere_is_told_apart_by_its_content_or_linked_by_hand(
    kaggle: KaggleServer,
    journal: Journal,
    challenge: Challenge,
    competition: Competition,
    key: str,
    clock: MovableClock,
) -> None:
    mine = (journal.home.run_dir(key) / "submission.csv").read_bytes()
    other = finished_run(journal, challenge, 0.7, "another")
    path = journal.home.run_dir(other) / "submission.csv"
    strange = competition.take("from-a-notebook.csv", b"Image,Id\na.jpg,w_1\nb.jpg,w_1\n", "notebook v3", kaggle.now())
    same = competition.take("sub.csv", mine, "by hand", kaggle.now())
    for one in competition.sent:
        one.polls = 0
    with journal.writing() as db:
        asked = errands.ask(db, "scores", SLUG, journal.now(), challenge_id=challenge.id)
    answer = errands.answer_of(do(journal, asked.id))
    assert (answer["submissions"], answer["without_run"]) == (2, [strange.ref])
    with journal.reading() as db:
        (elsewhere,) = [one for sent in sent_elsewhere(db, challenge).values() for one in sent]
    assert (elsewhere.name, elsewhere.ref, elsewhere.public, elsewhere.source) == (
        "from-a-notebook.csv", strange.ref, 1.0, "kaggle",
    )  # fmt: skip
    refs = {one.run_id: one.kaggle_ref for one in submissions(journal)}
    assert same.ref in refs.values()
    assert path.read_bytes() == mine, "both runs wrote the same bytes: the content belongs to one of them"
    (unlinked,) = [run for run in (key, other) if leaderboard_ref(journal, run) is None]
    sent_intake.link(journal, strange.ref, unlinked)
    with journal.reading() as db:
        assert sent_elsewhere(db, challenge) == {}
        found = {
            run.row.run_key: run.public for run in board_runs(db, challenge, challenge.starts_on, challenge.starts_on)
        }
    assert found == {key: 1.0, other: 1.0}
    for ref, run, sentence in (
        (strange.ref, key, "is that of|is number"),
        (999, key, "no submission 999 at Kaggle is known"),
    ):
        with pytest.raises(OnehourError, match=sentence):
            sent_intake.link(journal, ref, run)
    again = do(journal, open_or_new(journal, challenge))
    assert errands.answer_of(again)["without_run"] == []
    assert len(submissions(journal)) == 2


def leaderboard_ref(journal: Journal, run: str) -> int | None:
    with journal.reading() as db:
        return lb_scores.submission_of(db, run)[0].kaggle_ref


def open_or_new(journal: Journal, challenge: Challenge) -> int:
    with journal.writing() as db:
        return errands.ask(db, "scores", SLUG, journal.now(), challenge_id=challenge.id).id


def test_a_list_that_was_imported_before_is_not_told_twice(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge, competition: Competition, clock: MovableClock
) -> None:
    from app.exchange import intake
    from app.exchange.found import Found, FoundSubmission

    there = competition.take("old.csv", b"Image,Id\na.jpg,w_1\nb.jpg,w_1\n", "before", kaggle.now())
    there.polls = 0
    found = Found(submissions=[FoundSubmission("list.csv:2", "old.csv", "before", at=clock.at, public=0.9)])
    intake.take_in(journal, found)
    do(journal, open_or_new(journal, challenge))
    (only,) = submissions(journal)
    assert (only.kaggle_ref, scores(journal)) == (there.ref, [("kaggle", 1.0, None)])
