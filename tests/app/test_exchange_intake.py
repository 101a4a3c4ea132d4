"""Foreign records in the journal: once, flagged as imported, all or nothing."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.exchange import foreign_records, intake
from app.exchange.found import Found, FoundNote
from app.jobs import home_scoring
from app.journal import notes, reviews
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.scores import board
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.app.test_exchange_foreign import DIARY, NOTION, SUBMISSIONS, laid_out
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

TABLES = ("note", "todo", "reference", "submission", "leaderboard_score")


def rows(home: Home, columns: str, table: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home.journal_db) as db:
        return db.execute(f"SELECT {columns} FROM {table} ORDER BY id").fetchall()


def counts(home: Home) -> list[int]:
    return [len(rows(home, "id", table)) for table in TABLES]


@pytest.fixture
def diary_md(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(DIARY.replace("Day 3", "Day 3 (2019-02-14)"), encoding="utf-8")
    return path


def imported(journal: Journal, challenge: Challenge, path: Path, **how: bool) -> intake.Intake:
    return intake.take_in(journal, foreign_records.read(path, challenge.starts_on), **how)


def test_an_import_is_flagged_as_one_and_is_not_late(journal: Journal, challenge: Challenge, diary_md: Path) -> None:
    assert len(imported(journal, challenge, diary_md).said) == 9
    assert counts(journal.home) == [3, 3, 1, 2, 2]
    for table in TABLES:
        assert {origin for (origin,) in rows(journal.home, "origin", table)} == {"import"}
    assert rows(journal.home, "local_date, kind, late", "note") == [
        ("2019-02-12", "day", 0),
        ("2019-02-14", "day", 0),
        (None, "idea", 0),
    ]
    assert rows(journal.home, "path, run_id, sha256", "submission")[0] == ("resnet18", None, None)
    assert rows(journal.home, "source, public, private", "leaderboard_score") == [
        ("manual", 0.382, None),
        ("manual", 0.401, 0.41),
    ]


def test_an_imported_page_never_takes_the_title_of_a_weeks_review(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    found = Found([FoundNote("notes.md:1", None, "week 3", "what it brought")])
    assert intake.take_in(journal, found).said == ['note "week 3 (imported)"  (notes.md:1)']
    assert intake.take_in(journal, found).there == 1
    assert reviews.begin_week(journal, 3).body == reviews.WEEK_TEMPLATE


def test_importing_twice_adds_nothing_twice(
    journal: Journal, challenge: Challenge, diary_md: Path, tmp_path: Path
) -> None:
    (tmp_path / "sub.csv").write_text(SUBMISSIONS)
    for path in (diary_md, tmp_path / "sub.csv"):
        first = imported(journal, challenge, path)
        before = counts(journal.home)
        again = imported(journal, challenge, path)
        assert (again.said, again.there) == ([], len(first.said))
        assert counts(journal.home) == before


def test_a_day_with_a_note_of_its_own_keeps_it(journal: Journal, challenge: Challenge, diary_md: Path) -> None:
    with journal.writing() as db:
        db.connection().exec_driver_sql(
            "INSERT INTO note (challenge_id, local_date, kind, body, revision, late, writer, origin, created_at, updated_at)"
            " VALUES (1, '2019-02-12', 'day', 'mine', 1, 1, '', 'person', 0, 0)"
        )
    imported(journal, challenge, diary_md)
    imported(journal, challenge, diary_md)
    assert rows(journal.home, "local_date, title, substr(body, 1, 12)", "note") == [
        ("2019-02-12", None, "mine"),
        (None, "2019-02-12 · README.md", "## first CNN"),
        ("2019-02-14", None, "## siamese\n\n"),
        (None, "Humpback diary", "# Humpback d"),
    ]


def test_a_page_whose_day_has_a_note_keeps_its_title(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    table = {"Journal.csv": "Name,Date\nKickoff,2026-03-01\n", "Journal/Kickoff.md": "# Kickoff\n\nWe begin.\n"}
    alone = {"Retro 0123456789abcdef0123456789abcdef.md": "# Retro\n\nDate: 2026-03-01\n\nIt went well.\n"}
    (tmp_path / "a.md").write_text("## 2026-03-01\nthe day's own\n")
    imported(journal, challenge, tmp_path / "a.md")
    for _ in range(2):
        imported(journal, challenge, laid_out(tmp_path / "notion", table | alone))
    assert rows(journal.home, "local_date, title", "note") == [
        ("2026-03-01", None),
        (None, "2026-03-01 · Kickoff"),
        (None, "2026-03-01 · Retro"),
    ]


def test_a_person_may_go_on_with_an_imported_note_and_import_again(
    journal: Journal, challenge: Challenge, clock: MovableClock, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("## Day 1\nimported\n")
    clock.move(24 * 3600)
    imported(journal, challenge, tmp_path / "a.md")
    assert notes.save(journal, challenge.starts_on, "imported, and thought over", 1).late
    again = imported(journal, challenge, tmp_path / "a.md")
    assert (again.said, again.there) == ([], 1)


def test_half_right_records_are_imported_only_when_asked(
    journal: Journal, challenge: Challenge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = laid_out(tmp_path / "notion", NOTION)
    assert cli.main(["import", str(folder)]) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert counts(journal.home) == [0] * 5
    assert "note 2019-02-12" in said.out
    assert "10 would be imported, 0 there already, 1 other file left out" in said.out
    assert "is no web address" in said.err, "what only the journal can tell is told with the rest"
    assert "4 lines cannot be read, so nothing was imported" in said.err
    assert cli.main(["import", str(folder), "--skip-bad"]) == EXIT_OK
    assert counts(journal.home) == [4, 5, 1, 0, 0]


def test_a_dry_run_says_everything_and_writes_nothing(
    journal: Journal, challenge: Challenge, diary_md: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", str(diary_md), "--dry-run"]) == EXIT_OK
    assert "9 would be imported" in capsys.readouterr().out
    assert counts(journal.home) == [0] * 5


def test_a_day_that_has_not_come_and_a_note_too_long_are_problems_of_their_lines(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text(
        "## 2026-03-03\ntomorrow\n\n## 2019-02-12\n" + "é" * 600_000 + "\n\n## 2019-02-13\nfine\n"
    )
    found = foreign_records.read(tmp_path / "a.md", challenge.starts_on)
    intake.take_in(journal, found, skip_bad=True)
    assert [(problem.where, problem.reason) for problem in found.problems] == [
        ("a.md:1", "2026-03-03 has not come yet"),
        ("a.md:4", "a note holds at most 1000 KB"),
    ]
    assert rows(journal.home, "body", "note") == [("fine",)]


def test_submissions_without_a_run_disturb_no_board_and_no_scoring(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    (tmp_path / "sub.csv").write_text(SUBMISSIONS)
    imported(journal, challenge, tmp_path / "sub.csv")
    (tmp_path / "truth.csv").write_text("Image,Id\na,b\n")
    assert home_scoring.use_truth(journal, tmp_path / "truth.csv").scored == []
    with journal.reading() as db:
        assert board.board_runs(db, challenge, challenge.starts_on, challenge.starts_on) == []
    assert cli.main(["export", str(tmp_path / "out")]) == EXIT_OK
    assert (tmp_path / "out" / "scores.csv").read_text().count("sub.csv") == 2
