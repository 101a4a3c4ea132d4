"""The parts of the Scores page: timeline, CV against LB, what helped, the final two; and the same from a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import charts, cli
from app.journal import challenges, sessions, sittings
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.reports import score_days
from app.scores import leaderboard
from app.scores.agreement import Scored, line
from app.views import desk
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.app.test_views import page, queued, ran, texts
from tests.conftest import MovableClock
from tests.e2e.past import finish

DAY_S = 86_400


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


@pytest.fixture
def three(journal: Journal, challenge: Challenge, clock: MovableClock) -> list[str]:
    """A day each: CV and LB rise together, then the CV alone."""
    keys = []
    for hypothesis, cv, public in (("a", 0.60, 0.50), ("b", 0.65, 0.55), ("c", 0.80, 0.54)):
        sessions.start(journal)
        keys.append(queued(journal, challenge, hypothesis))
        clock.move(600)
        finish(journal, keys[-1], cv=cv)
        leaderboard.enter_by_hand(journal, keys[-1], public, None)
        clock.move(DAY_S - 600)
    return keys


def part(name: str) -> AppTest:
    return ran(page("scores").segmented_control(key="part").set_value(name))


def test_each_part_says_what_to_do_while_there_is_nothing(challenge: Challenge) -> None:
    assert "No score yet" in texts(part("Timeline"))
    assert "Nothing has both a CV and a leaderboard score yet" in texts(part("CV and LB"))
    assert "No idea was tried yet" in texts(part("What helped"))
    assert "No submission has a CV yet" in texts(part("Final two"))
    assert "There is no leaderboard: the challenge is none at Kaggle" in texts(part("Leaderboard"))


def test_a_leaderboard_at_home_is_called_one(journal: Journal, challenge: Challenge) -> None:
    with journal.writing() as db:
        challenge.truth_path = "truth.csv"
        db.merge(challenge)
    assert "The leaderboard is a truth file at home" in texts(part("Leaderboard"))


def test_a_cv_that_left_the_leaderboard_behind_is_an_alarm_with_its_causes(three: list[str]) -> None:
    at = part("CV and LB")
    assert "fairer than it should be" in at.warning[0].value
    shown = texts(at)
    assert f"`{three[-1]}`: CV 0.8000, LB 0.5400. The CV is 0.2600 fairer" in shown
    assert ":green[✓] ruled out: copies of validation images in training" in shown
    assert ":orange[?] possible: photographs of one sighting in training and validation" in shown


def test_a_run_that_was_not_sent_is_advised_on(journal: Journal, challenge: Challenge, three: list[str]) -> None:
    sessions.start(journal)
    finish(journal, queued(journal, challenge, "d"), cv=0.85)
    assert "worth a submission" in texts(part("CV and LB"))


def test_the_ledger_has_a_row_an_idea(three: list[str]) -> None:
    at = part("What helped")
    table = at.dataframe[0].value
    assert table[["Idea", "Verdict"]].to_numpy().tolist() == [["c", "▲ helped"], ["b", "▲ helped"], ["a", "–"]]
    assert "▲ helped 2, ▼ hurt 0, ◆ unclear 0, of 3 ideas" in texts(at)


def test_the_final_two_are_told_with_their_reasons(three: list[str]) -> None:
    at = part("Final two")
    assert [one.label for one in at.metric] == [three[2], three[1]]
    assert "has the best CV, 0.8000" in texts(at)


def test_the_timeline_has_the_best_of_each_day(journal: Journal, three: list[str]) -> None:
    with journal.reading() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        days = score_days.read(db, at)
    assert [(day.number, day.cv, day.public, day.best_cv) for day in days] == [
        (1, 0.60, 0.50, 0.60), (2, 0.65, 0.55, 0.65), (3, 0.80, 0.54, 0.80),
    ]  # fmt: skip
    figure = charts.score_timeline(days, "map5")
    assert [trace["name"] for trace in figure["data"]] == ["CV", "LB public", "best CV so far"]
    assert part("Timeline").get("plotly_chart")


def test_the_band_encloses_the_line_and_outliers_have_names() -> None:
    scored = [Scored(f"r{n}", "vgg", 0.5 + n / 50, 0.01, 5, 0.4 + n / 50 + (n % 2) / 200) for n in range(8)]
    figure = charts.cv_against_lb(scored, line(scored), scored[-1:])
    above, below, middle = figure["data"][:3]
    assert all(low < mid < high for low, mid, high in zip(below["y"], middle["y"], above["y"], strict=True))
    assert figure["data"][3]["text"] == [""] * 7 + ["r7"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == EXIT_OK
    return capsys.readouterr().out


def test_the_same_from_a_terminal(
    journal: Journal, three: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    agree = said(capsys, "lb", "agree")
    assert f"{three[-1]}: CV 0.8000, LB 0.5400" in agree
    assert "alarm: " in agree
    told = json.loads(said(capsys, "lb", "agree", "--json"))
    assert [one["gap"] for one in told["submissions"]] == pytest.approx([0.1, 0.1, 0.26])
    assert told["alarm"]
    assert "helped (+0.050" in said(capsys, "ideas")
    assert [one["verdict"] for one in json.loads(said(capsys, "ideas", "--json"))] == ["helped", "helped", None]
    assert said(capsys, "lb", "final-two").startswith(f"{three[2]}\n{three[1]}\n")
    assert "the best that was sent" in said(capsys, "lb", "advise", three[1])
    assert cli.main(["lb", "advise", "humpback_009-r01"]) == EXIT_BAD_INPUT
    assert "there is no CV and submission of it to advise on" in capsys.readouterr().err
