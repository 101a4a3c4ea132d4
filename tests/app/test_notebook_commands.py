"""onehour note, ref, todo and search: what they print, and what they refuse with which exit code."""

from __future__ import annotations

import io
import json

import pytest

from app import cli
from app.commands import terminal
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge
from tests.conftest import MovableClock

pytestmark = pytest.mark.usefixtures("migrated_home")


@pytest.fixture(autouse=True)
def same_clock(monkeypatch: pytest.MonkeyPatch, clock: MovableClock) -> None:
    opened = terminal.open_journal
    monkeypatch.setattr(terminal, "open_journal", lambda home: opened(home, clock))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert cli.main(list(arguments)) == code
    out = capsys.readouterr()
    return (out.err if code else out.out).strip()


def test_a_note_is_written_added_to_and_brought_back(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Start the hour first" in said(capsys, "note", "write", "x", code=3)
    sessions.start(journal)
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    assert said(capsys, "note", "write", "-") == "revision 1"
    assert said(capsys, "note", "add", "and more") == "revision 2"
    assert said(capsys, "note", "show") == "from a pipe\n\nand more"
    assert "not kept" in said(capsys, "note", "restore", "9", code=2)
    assert said(capsys, "note", "write", "anew") == "revision 3"
    assert [line[0] for line in said(capsys, "note", "revisions").splitlines()] == ["2", "1"]
    assert said(capsys, "note", "restore", "2") == "revision 4"
    assert said(capsys, "note", "show") == "from a pipe\n\nand more"
    assert said(capsys, "note", "show", "--day", "2026-03-01", code=2) == "nothing was written on this day."


def test_a_note_outside_the_days_by_its_number(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge
) -> None:
    assert said(capsys, "note", "new", "Grey images", "--kind", "data") == "1  Grey images, flagged: outside the hour"
    assert said(capsys, "note", "add", "notches", "--note", "1") == "revision 2, flagged late"
    assert said(capsys, "note", "list") == "1  data  Grey images"
    assert said(capsys, "note", "show", "--note", "1") == "notches"


def test_a_note_is_renamed_and_the_links_that_break_are_named(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    said(capsys, "note", "new", "Grey images")
    said(capsys, "note", "write", "as [[grey images]] says")
    assert said(capsys, "note", "rename", "1", "Grey Images") == "1  Grey Images"
    renamed = said(capsys, "note", "rename", "1", "Colourless").splitlines()
    assert renamed[0] == "1  Colourless"
    assert len(renamed) == 2
    assert renamed[1] == "[[Grey Images]] in Day 1 leads nowhere now"
    assert "Known: 1 Colourless" in said(capsys, "note", "rename", "7", "x", code=2)


def test_references_from_the_address_to_the_credits(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    assert said(capsys, "ref", "add", "https://github.com/owner/repo") == "&repo  repository  owner/repo by owner"
    assert said(capsys, "ref", "edit", "repo", "--licence", "MIT") == "&repo  repository  owner/repo"
    assert json.loads(said(capsys, "ref", "list", "--json"))[0]["licence"] == "MIT"
    assert "there is no run" in said(capsys, "ref", "link", "humpback_001-r01", "repo", code=2)
    assert "no web address" in said(capsys, "ref", "add", "javascript:alert(1)", code=2)
    assert "by owner (MIT)." in said(capsys, "ref", "credits")
    said(capsys, "note", "add", "see &repo")
    assert "&repo is named by the note of 2026-03-02" in said(capsys, "ref", "remove", "repo", code=2)
    removed = "&repo is removed: owner/repo, https://github.com/owner/repo"
    assert said(capsys, "ref", "remove", "&repo", "--force") == removed
    assert said(capsys, "ref", "list") == ""


def test_todos_are_edited_moved_linked_and_removed(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    said(capsys, "ref", "add", "https://github.com/owner/repo")
    said(capsys, "todo", "add", "read", "--minutes", "10", "--important")
    said(capsys, "todo", "add", "queue", "--on", "2026-03-09")
    said(capsys, "todo", "add", "look")
    said(capsys, "todo", "link", "1", "&repo")
    assert said(capsys, "todo", "move", "3", "--", "-1").splitlines() == [
        "3  look",
        "2  queue  for 2026-03-09",
        "1  read  &repo  (10 min)  important",
    ]
    assert said(capsys, "todo", "edit", "1", "--title", "read it", "--usual") == "1  read it"
    assert said(capsys, "todo", "remove", "3") == "removed: look"


def test_search_prints_what_it_finds_and_asks_for_words(
    capsys: pytest.CaptureFixture[str], journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    said(capsys, "todo", "add", "画像 crops")
    assert said(capsys, "search", "画像", "crops") == "2026-03-02  todo  画像 crops"
    assert json.loads(said(capsys, "search", "crops", "--json"))[0]["address"] == "/journal?day=2026-03-02"
    assert "Give words" in said(capsys, "search", code=2)
    assert "Did you mean 'todo'" in said(capsys, "search", "x", "--kind", "todos", code=2)
