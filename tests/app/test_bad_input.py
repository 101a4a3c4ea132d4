"""What cannot be, all the way: the command ends with 2 and one sentence, the page says it, and nothing of it is kept."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import cli
from app.commands import terminal
from app.journal import challenges, notes, sessions
from app.journal.days import DAY
from app.journal.home import CHECKOUT
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.reports import credits
from app.views import desk
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.conftest import MovableClock, competition_folder

pytestmark = pytest.mark.usefixtures("migrated_home")

EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def same_clock(monkeypatch: pytest.MonkeyPatch, clock: MovableClock) -> None:
    opened = terminal.open_journal
    monkeypatch.setattr(terminal, "open_journal", lambda home: opened(home, clock))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence that a command which was given something impossible says."""
    capsys.readouterr()
    assert cli.main([*arguments]) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def shown(monkeypatch: pytest.MonkeyPatch, journal: Journal, page: str) -> AppTest:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    script = (
        "from app.journal import challenges, sittings\n"
        f"from app.views import desk, {page}\n"
        "journal = desk.current_journal()\n"
        "with journal.reading() as db:\n"
        "    at = sittings.sitting(db, challenges.active(db), journal.now())\n"
        "desk.say_refusal()\n"
        f"{page}.show(journal, at)\n"
    )
    at = AppTest.from_string(script).run(timeout=20)
    assert not at.exception, at.exception
    return at


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["todo", "add", "x", "--minutes", "-5"], "-5"),
        (["todo", "add", "x", "--minutes", "nan"], "nan"),
        (["session", "away", "--", "-5"], "-5 minutes away do not fit"),
        (["session", "away", "nan"], "nan minutes away do not fit"),
        (["session", "split", "code=-5"], "-5"),
        (["settings", "--reflection-minutes", "-1"], "-1 minutes of reflection are not possible"),
        (["settings", "--reflection-minutes", "nan"], "nan minutes of reflection are not possible"),
        (["settings", "--target", "code=-50 read=150"], "must be 100 %"),
        (["settings", "--target", "code=nan"], "'code=nan' is no activity=number"),
        (["session", "split", "code=inf"], "'code=inf' is no activity=number"),
        (["session", "activity", "coding"], "there is no activity 'coding'. Did you mean 'code'?"),
        (["settings", "--time-zone", "Mars/Olympus"], "there is no time zone 'Mars/Olympus'"),
    ],
)
def test_minutes_and_zones_that_cannot_be_are_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge, arguments: list[str], reason: str
) -> None:
    sessions.start(journal)
    if arguments[1] == "split":
        sessions.end(journal)
    assert reason in refused(capsys, *arguments)


def test_a_start_in_the_past_is_said_on_the_page_and_nothing_begins(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    at = AppTest.from_file(str(CHECKOUT / "app" / "dashboard.py")).run(timeout=20)
    at.text_input(key="competition").input("humpback")
    at.text_input(key="data_dir").input(str(competition_folder(tmp_path / "data")))
    begins = at.date_input(key="starts_on").value
    at.date_input(key="starts_on").set_value(begins - DAY)
    next(each for each in at.button if each.label == "Take it on").click().run(timeout=20)
    assert "is in the past. Start today" in at.warning[0].value.replace("\\", "")
    with journal.reading() as db:
        assert challenges.find_active(db) is None


def test_a_note_of_more_than_a_megabyte_is_refused_and_what_stood_there_stays(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.start(journal)
    notes.save(journal, challenge.starts_on, "kept", 0)
    for command in ("write", "add"):
        monkeypatch.setattr("sys.stdin", io.StringIO("x" * (notes.MAX_BYTES + 1)))
        assert "a note holds at most 1000 KB" in refused(capsys, "note", command, "-")
    assert cli.main(["note", "show"]) == EXIT_OK
    assert capsys.readouterr().out.strip() == "kept"


def test_a_note_that_is_no_text_is_refused(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.start(journal)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"gr\xfc\xdfe"), encoding="utf-8"))
    assert "is no UTF-8 text" in refused(capsys, "note", "write", "-")


def test_what_a_browser_could_run_is_kept_and_shown_as_text(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command in, page out: a rule and a reference's words."""
    sessions.start(journal)
    assert cli.main(["settings", "--add-rule", EVIL]) == EXIT_OK
    address = ["ref", "add", "https://example.org/x", "--title", EVIL, "--author", "[me](javascript:alert(1))"]
    assert cli.main(address) == EXIT_OK
    assert "no web address" in refused(capsys, "ref", "add", "javascript:alert(1)")
    at = shown(monkeypatch, journal, "references")
    said = "\n".join(element.value for element in (*at.markdown, *at.caption))
    assert r"\<script" in said
    assert "<script" not in said.replace(r"\<script", "")
    assert "](javascript:" not in said
    labels = [box.label for box in shown(monkeypatch, journal, "settings").checkbox]
    assert labels[-1].startswith(r"\<script")
    with journal.reading() as db:
        credited = credits.page(db, challenge)
    assert "<script" not in credited.replace(r"\<script", "")
    assert "](javascript:" not in credited.replace(r"\](javascript:", "")


def test_an_import_that_is_half_right_is_told_line_by_line_and_imports_nothing(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(
        "fileName,date,description,status,publicScore,privateScore\n"
        "good.csv,2026-03-01 10:00:00,first,complete,0.8,\n"
        "bad.csv,yesterday,second,complete,0.8,\n"
        "worse.csv,2026-03-01 11:00:00,third,complete,high,\n"
    )
    assert cli.main(["import", str(tmp_path / "list.csv")]) == EXIT_BAD_INPUT
    said = capsys.readouterr().err.splitlines()
    assert ["list.csv:3" in said[0], "list.csv:4" in said[1]] == [True, True], said
    assert "2 lines cannot be read, so nothing was imported" in said[2]
    with journal.reading() as db:
        assert db.connection().exec_driver_sql("SELECT count(*) FROM submission").scalar_one() == 0
