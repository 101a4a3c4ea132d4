"""Backups while the journal is in use, what is kept of them, damage noticed, and the way back."""

import os
import shutil
import sqlite3
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from app import cli
from app.journal import backups, challenges, inbox, sessions
from app.journal.backups import copy
from app.journal.home import Home
from app.journal.restore import restore
from app.journal.rules import AgainstTheRules
from app.journal.store import MIGRATIONS_DIR, Journal, connect, migrate, open_journal
from app.journal.tables import Challenge, Experiment, InboxItem, Job, Run
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError
from tests.conftest import MovableClock

DAY_S = 24 * 3600


def thoughts(journal: Journal) -> list[str]:
    with journal.reading() as db:
        return list(db.exec(select(InboxItem.body).order_by(InboxItem.id)).all())  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hurt(home: Home) -> None:
    """Overwrite pages in the middle of the file, as a failing disk does."""
    size = home.journal_db.stat().st_size
    with home.journal_db.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 2 * 4096))


def test_a_backup_overwrites_nothing_and_leaves_nothing_half_written(journal: Journal, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("a person's file")
    with pytest.raises(OnehourError, match="exists already"):
        copy(journal.home, there)
    assert there.read_text() == "a person's file"
    with pytest.raises(OnehourError, match="cannot be written"):
        copy(journal.home, there / "below.db")
    with pytest.raises(OnehourError, match="cannot be written"):
        copy(journal.home, Path("/proc/onehour/journal.db"))


def test_restore_brings_back_the_rows_under_open_connections_and_keeps_what_was(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    inbox.add(journal, "kept")
    saved = copy(journal.home, tmp_path / "saved.db")
    inbox.add(journal, "written since")
    with journal.reading() as db:
        before = db.exec(select(InboxItem.body)).all()  # a page in the middle of its reading
        done = restore(journal.home, saved, journal.clock)
    assert before == ["kept", "written since"]
    assert thoughts(journal) == ["kept"], "the connection that was open all the while"
    assert done.before is not None
    with sqlite3.connect(done.before) as kept:
        assert kept.execute("SELECT count(*) FROM inbox_item").fetchone() == (2,)
    inbox.add(journal, "and on it goes")
    assert thoughts(journal) == ["kept", "and on it goes"]
    assert not list(journal.home.path.glob(".staged-*"))


def test_a_restored_journal_is_guarded_whatever_the_backup_had(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    saved = copy(journal.home, tmp_path / "saved.db")
    with sqlite3.connect(saved) as db:
        db.execute("DROP TRIGGER todo_insert_in_hour")
    restore(journal.home, saved, journal.clock)
    with pytest.raises(AgainstTheRules), journal.writing() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO todo (challenge_id, title, priority, planned_on, position, origin, created_at)"
            " VALUES (1, 't', 0, '2026-03-02', 1, 'person', 0)"
        )


EARLIER = sorted(path.name[:4] for path in (MIGRATIONS_DIR / "versions").glob("[0-9]*.py"))[:-1]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.parametrize("revision", EARLIER)
def test_a_backup_of_an_earlier_schema_is_migrated(journal: Journal, tmp_path: Path, revision: str) -> None:
    old = Home(tmp_path)
    engine = connect(old, lambda: 0)
    migrate(engine, old, 0, revision)
    with engine.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO challenge (id, slug, competition, data_dir, starts_on, days, mode, minutes_per_day, reflection_minutes,"
            " time_zone, day_starts_at, metric, image_col, label_col, created_at)"
            " VALUES (1, 'old', 'old', '/d', '2026-03-02', 60, 'daily', 60, 10, 'UTC', '04:00', 'map5', 'Image', 'Id', 0)"
        )
    engine.dispose()
    restore(journal.home, old.journal_db, journal.clock)
    with journal.reading() as session:
        assert challenges.active(session).slug == "old"
    with sqlite3.connect(old.journal_db) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,), (
            "the file stays as it was"
        )


def a_text(path: Path, _journal: Journal) -> None:
    path.write_text("no journal")


def a_database_of_something_else(path: Path, _journal: Journal) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (id)")


def a_newer_journal(path: Path, journal: Journal) -> None:
    copy(journal.home, path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")


def a_damaged_journal(path: Path, journal: Journal) -> None:
    copy(journal.home, path)
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\x17" * 8 * 4096)


def a_journal_without_a_table(path: Path, journal: Journal) -> None:
    copy(journal.home, path)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE submission")


def a_journal_without_a_column(path: Path, journal: Journal) -> None:
    copy(journal.home, path)
    with sqlite3.connect(path) as db:
        for kind, name in db.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
        ).fetchall():
            db.execute(f"DROP {kind} {name}")
        db.execute("ALTER TABLE challenge DROP COLUMN truth_path")


def half_a_journal(path: Path, journal: Journal) -> None:
    copy(journal.home, path)
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path, journal: None, "no such file"),
        (a_text, "no journal of Onehour"),
        (a_database_of_something_else, "no journal of Onehour"),
        (a_newer_journal, "schema 9999"),
        (a_damaged_journal, "damaged"),
        (half_a_journal, "damaged"),
        (a_journal_without_a_table, "lacks something"),
        (a_journal_without_a_column, r"lacks challenge\.truth_path"),
    ],
)
def test_what_is_no_whole_journal_is_refused_and_nothing_changes(
    journal: Journal, challenge: Challenge, tmp_path: Path, make, reason: str
) -> None:
    inbox.add(journal, "kept")
    source = tmp_path / "given.db"
    make(source, journal)
    beside = files(tmp_path)
    with pytest.raises(OnehourError, match=reason):
        restore(journal.home, source, journal.clock)
    assert thoughts(journal) == ["kept"]
    assert files(tmp_path) == beside
    assert not list(journal.home.backups_dir.glob("journal-*"))


def test_the_hour_cannot_be_had_twice_by_a_restore(
    journal: Journal, challenge: Challenge, clock: MovableClock, tmp_path: Path
) -> None:
    saved = copy(journal.home, tmp_path / "saved.db")
    sessions.start(journal)
    with pytest.raises(AgainstTheRules, match="not over"):
        restore(journal.home, saved, clock)
    sessions.close(journal)
    with pytest.raises(AgainstTheRules, match="Restore it tomorrow"):
        restore(journal.home, saved, clock)
    evening = copy(journal.home, tmp_path / "evening.db")
    assert restore(journal.home, evening, clock).contents.hours == 1
    clock.move(DAY_S)
    assert restore(journal.home, saved, clock).contents.hours == 0


def test_a_run_at_work_that_the_backup_does_not_know_is_not_orphaned(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    saved = copy(journal.home, tmp_path / "saved.db")
    with journal.writing() as db:
        db.add(Experiment(id=1, challenge_id=1, key="humpback_001", hypothesis="", origin="system", created_at=0))
        db.flush()
        db.add(
            Run(
                id=1,
                challenge_id=1,
                experiment_id=1,
                key="humpback_001-r01",
                local_date=date(2026, 3, 2),
                spec="{}",
                spec_source="x",
                origin="system",
                created_at=0,
                metric="map5",
                direction="max",
            )
        )
        db.flush()
        db.add(Job(run_id=1, state="running", backend="local", slot="cpu", origin="system", queued_at=0))
    with pytest.raises(OnehourError, match="onehour cancel humpback_001-r01"):
        restore(journal.home, saved, journal.clock)
    knowing = copy(journal.home, tmp_path / "knowing.db")
    restore(journal.home, knowing, journal.clock)


def test_a_damaged_journal_is_noticed_at_the_start_with_the_way_back_and_put_aside(
    home: Home, journal: Journal, challenge: Challenge, clock: MovableClock, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox.add(journal, "kept")
    saved = backups.daily(home, clock())
    with journal.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    hurt(home)
    clock.move(DAY_S)
    with pytest.raises(OnehourError, match="damaged") as told:
        open_journal(home, clock)
    command = told.value.fix.partition("onehour ")[2]
    assert command == f"restore {saved}"
    assert cli.main(command.split()) == EXIT_OK
    aside = Path(capsys.readouterr().out.splitlines()[-1].rpartition(" ")[2])
    assert aside.name.startswith("journal-damaged-")
    assert aside.parent == home.path
    again = open_journal(home, clock)
    assert thoughts(again) == ["kept"]
    again.close()


def test_a_journal_that_is_no_database_any_more_is_told_so_too(
    home: Home, journal: Journal, clock: MovableClock, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.close()
    home.journal_db.write_bytes(b"\0" * 10 + b"not a database at all" * 500)
    assert cli.main(["session", "status"]) == EXIT_BAD_INPUT
    assert "There is no good backup" in capsys.readouterr().err


def test_a_damaged_journal_that_somebody_holds_open_is_left_alone(
    home: Home, journal: Journal, clock: MovableClock, tmp_path: Path
) -> None:
    saved = copy(home, tmp_path / "saved.db")
    journal.close()
    home.journal_db.write_bytes(b"gone" * 5000)
    with pytest.raises(OnehourError, match="held by the worker"):
        restore(home, saved, clock, held_by="the worker (process 7)")
    assert home.journal_db.read_bytes() == b"gone" * 5000


def test_damage_met_while_writing_is_told_with_the_way_back(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    backups.daily(journal.home, clock())
    with journal.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.engine.dispose()
    hurt(journal.home)
    with pytest.raises(OnehourError, match=r"damaged.*onehour restore"):
        inbox.add(journal, "x")


def test_the_journal_is_looked_through_once_a_day(home: Home, journal: Journal, clock: MovableClock) -> None:
    assert (home.backups_dir / "checked").read_text() == "2026-03-02\n"
    clock.move(DAY_S)
    open_journal(home, clock).close()
    assert (home.backups_dir / "checked").read_text() == "2026-03-03\n"


def test_a_daily_backup_is_made_once_a_day_and_never_of_a_damaged_journal(
    home: Home, journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    first = backups.daily(home, clock())
    assert first == home.backups_dir / "journal-2026-03-02.db"
    assert backups.daily(home, clock()) is None
    with journal.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    hurt(home)
    clock.move(DAY_S)
    with pytest.raises(OnehourError, match="damaged"):
        backups.daily(home, clock())
    assert files(home.backups_dir) == ["checked", "journal-2026-03-02.db"]


def test_the_last_seven_days_and_the_newest_of_each_of_four_weeks_before_stay() -> None:
    days = [date(2026, 3, 2) + timedelta(days=number) for number in range(60)]  # ends on Thursday, 30 April
    assert sorted(backups.kept(days)) == [
        date(2026, 4, 5),
        date(2026, 4, 12),
        date(2026, 4, 19),
        date(2026, 4, 23),
        *(date(2026, 4, 24) + timedelta(days=number) for number in range(7)),
    ]
    assert backups.kept(days[:5]) == set(days[:5])


def test_rotation_touches_only_daily_copies(home: Home, journal: Journal, clock: MovableClock) -> None:
    made = backups.daily(home, clock())
    assert made is not None
    for number in range(1, 30):
        shutil.copy(made, home.backups_dir / f"journal-2026-01-{number:02d}.db")
    for name in (
        "journal-0002-20260101T000000000.db",
        "journal-by-hand-20260101T000000000.db",
        "journal-2026-13-01.db",
        "mine.db",
    ):
        (home.backups_dir / name).touch()
    clock.move(DAY_S)
    backups.daily(home, clock())
    left = files(home.backups_dir)
    assert {
        "journal-0002-20260101T000000000.db",
        "journal-by-hand-20260101T000000000.db",
        "journal-2026-13-01.db",
        "mine.db",
    } < set(left)
    assert len([name for name in left if name.startswith(("journal-2026-0",))]) == 7 + 4


def test_damage_met_while_reading_is_told_with_the_way_back(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    backups.daily(journal.home, clock())
    with journal.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.engine.dispose()
    hurt(journal.home)
    with pytest.raises(OnehourError, match=r"damaged.*onehour restore"):
        thoughts(journal)
