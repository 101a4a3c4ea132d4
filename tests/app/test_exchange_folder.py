"""The record as a folder: out, and back into an empty home as an equal journal."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Date, Float, Integer, LargeBinary

from app.exchange.journal_folder import export, import_into
from app.journal import attachments, inbox
from app.journal.home import Home
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal, connect, migrate, newest_revision, open_journal
from app.journal.tables import Base, Challenge
from engine.contract import OnehourError
from tests.conftest import MovableClock

Rows = dict[str, list[tuple[Any, ...]]]
GIF = b"GIF89a" + bytes(40)
FIXED = {"time_zone": "Asia/Tokyo", "day_starts_at": "04:00", "origin": "person", "spec": '{"a": "画像"}'}


def value(column: Any, number: int) -> Any:
    """Something a column can hold, different in every row; nothing in the last one where that is allowed."""
    if column.foreign_keys or (column.primary_key and isinstance(column.type, Integer)):
        return number
    if column.name == "archived_at":
        return None if number == 1 else number
    if column.name in FIXED:
        return FIXED[column.name]
    if column.nullable and number == 3 and not column.unique:
        return None
    if isinstance(column.type, Integer):
        return 1_772_481_600_123 + number
    if isinstance(column.type, Float):
        return number / 7
    if isinstance(column.type, Date):
        return f"2026-03-0{number}"
    if isinstance(column.type, LargeBinary):
        return bytes(range(number, 250))
    return f'{column.name} {number}: 画像, "quoted"\n\t\u2028é'


@pytest.fixture
def full(tmp_path: Path, clock: MovableClock) -> Iterator[Journal]:
    """A journal with rows in every table, a person's among them, written before there was a guard."""
    home = Home(tmp_path / "full")
    home.path.mkdir()
    engine = connect(home, clock)
    migrate(engine, home, clock(), newest_revision())
    with engine.begin() as db:
        for table in Base.metadata.sorted_tables:
            for number in (1, 2, 3):
                row = {column.name: value(column, number) for column in table.columns}
                marks = ", ".join("?" * len(row))
                db.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({marks})", tuple(row.values()))
    engine.dispose()
    engine = connect(home, clock)
    migrate(engine, home, clock())
    engine.dispose()
    attachments.keep(home, GIF)
    journal = open_journal(home, clock)
    yield journal
    journal.close()


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    home = Home(tmp_path / "empty")
    home.path.mkdir()
    return home


def rows(home: Home) -> Rows:
    with sqlite3.connect(home.journal_db) as db:
        names = [table.name for table in Base.metadata.sorted_tables]
        return {name: db.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall() for name in names}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_export_imports_back_to_an_equal_journal(
    full: Journal, empty: Home, clock: MovableClock, tmp_path: Path
) -> None:
    folder = export(full, tmp_path / "out")
    import_into(empty, folder, clock)
    before = rows(full.home)
    assert all(len(found) == 3 for found in before.values()), "every table takes part"
    assert rows(empty) == before
    assert contents(empty.attachments_dir) == contents(full.home.attachments_dir) != {}
    again = open_journal(empty, clock)
    assert contents(export(again, tmp_path / "again")) == contents(folder)
    with pytest.raises(AgainstTheRules), again.writing() as db:
        db.connection().exec_driver_sql("UPDATE session_event SET at = 0")
    again.close()
    assert not list(empty.path.glob(".staged-*"))


def test_the_folder_reads_well_and_is_the_same_each_time(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    with journal.writing() as db:
        db.connection().exec_driver_sql(
            "INSERT INTO note (challenge_id, local_date, kind, body, revision, late, writer, origin, created_at, updated_at)"
            " VALUES (1, '2026-03-01', 'day', '## Tried\n\ncrops', 1, 1, '', 'system', 0, 0)"
        )
    first = contents(export(journal, tmp_path / "one"))
    assert first == contents(export(journal, tmp_path / "two"))
    assert sorted(first) == [
        "days/humpback/2026-03-01.md",
        "journal.json",
        "references.csv",
        "runs.csv",
        "scores.csv",
        "todos.csv",
    ]
    assert first["days/humpback/2026-03-01.md"].decode() == (
        "---\ndate: 2026-03-01\nzone: UTC\nminutes: 0.0\nlate: true\n---\n\n## Tried\n\ncrops\n"
    )
    assert json.loads(first["journal.json"])["schema"] == newest_revision()


def test_an_export_goes_into_a_new_folder_only(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").touch()
    with pytest.raises(OnehourError, match="something already"):
        export(journal, taken)
    with pytest.raises(OnehourError, match="cannot be written"):
        export(journal, taken / "mine.txt" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "taken"]


def test_a_home_that_holds_a_challenge_takes_no_second_journal(
    journal: Journal, challenge: Challenge, clock: MovableClock, tmp_path: Path
) -> None:
    folder = export(journal, tmp_path / "out")
    inbox.add(journal, "kept")
    with pytest.raises(OnehourError, match="holds the challenge 'humpback' already"):
        import_into(journal.home, folder, clock)


def tables_of(folder: Path) -> Any:
    return json.loads((folder / "journal.json").read_text())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda told: told.update(schema="9999"), "schema '9999'"),
        (lambda told: told.update(schema="../0001"), "schema"),
        (lambda told: told.update(format="other"), "no export of Onehour"),
        (lambda told: told["tables"].update(photos=[]), "no table 'photos'"),
        (lambda told: told["tables"]["todo"][1].update(colour="red"), "todo, row 2: this is no row"),
        (lambda told: told["tables"]["todo"][1].pop("title"), "todo, row 2.*NOT NULL"),
        (lambda told: told["tables"]["todo"][1].update(title=[1]), "todo, row 2.*no value"),
        (lambda told: told["tables"]["todo"][1].update(challenge_id=77), "row 2 of todo belongs to a row of challenge"),
        (lambda told: told["tables"]["curve"][0].update(points={"base64": "?"}), "curve, row 1"),
    ],
)
def test_an_export_that_was_changed_for_the_worse_is_refused_whole(
    full: Journal, empty: Home, clock: MovableClock, tmp_path: Path, spoil: Any, reason: str
) -> None:
    folder = export(full, tmp_path / "out")
    told = tables_of(folder)
    spoil(told)
    (folder / "journal.json").write_text(json.dumps(told))
    with pytest.raises(OnehourError, match=reason):
        import_into(empty, folder, clock)
    assert all(found == [] for found in rows(empty).values())
    assert not list(empty.path.glob(".staged-*"))


def test_half_a_file_is_named_with_its_line(full: Journal, empty: Home, clock: MovableClock, tmp_path: Path) -> None:
    folder = export(full, tmp_path / "out")
    path = folder / "journal.json"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(OnehourError, match=r"journal\.json:\d+: this is no JSON"):
        import_into(empty, folder, clock)
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(OnehourError, match="not UTF-8"):
        import_into(empty, folder, clock)


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_an_export_of_an_earlier_schema_is_migrated(empty: Home, clock: MovableClock, tmp_path: Path) -> None:
    row = {"id": 1, "slug": "old", "competition": "old", "data_dir": "/d", "starts_on": "2026-03-02", "days": 60}
    row |= {
        "mode": "daily",
        "minutes_per_day": 60,
        "reflection_minutes": 10,
        "time_zone": "UTC",
        "day_starts_at": "04:00",
    }
    row |= {"metric": "map5", "image_col": "Image", "label_col": "Id", "created_at": 0}
    (tmp_path / "journal.json").write_text(
        json.dumps({"format": "onehour-journal", "schema": "0001", "tables": {"challenge": [row]}})
    )
    import_into(empty, tmp_path, clock)
    (taken,) = rows(empty)["challenge"]
    assert taken[1] == "old"


def test_only_pictures_come_along(full: Journal, empty: Home, clock: MovableClock, tmp_path: Path) -> None:
    folder = export(full, tmp_path / "out")
    (folder / "attachments" / "run.sh").write_text("#!/bin/sh")
    with pytest.raises(OnehourError, match=r"run\.sh: this is no picture"):
        import_into(empty, folder, clock)
