import sqlite3
import threading
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlmodel import create_engine

from app.journal import store
from app.journal.home import Home, find_home
from app.journal.store import Journal, open_journal
from app.journal.tables import Base, Challenge, Todo
from engine.contract import OnehourError
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit


def schema(path: str) -> dict[str, object]:
    """Columns, indexes and foreign keys of every table, as SQLAlchemy sees them."""
    engine = create_engine(f"sqlite:///{path}")
    seen = inspect(engine)
    described: dict[str, object] = {}
    for table in sorted(set(seen.get_table_names()) - {"alembic_version"}):
        if table.startswith("search_"):  # made by search.sql after every migration
            continue
        described[table] = (
            [(c["name"], str(c["type"]), c["nullable"], c["primary_key"]) for c in seen.get_columns(table)],
            sorted((i["name"], tuple(i["column_names"]), i["unique"]) for i in seen.get_indexes(table)),
            sorted((tuple(k["constrained_columns"]), k["referred_table"]) for k in seen.get_foreign_keys(table)),
            sorted(tuple(u["column_names"]) for u in seen.get_unique_constraints(table)),
        )
    engine.dispose()
    return described


# Of the columns that every version has had.
A_CHALLENGE = (
    "INSERT INTO challenge (id, slug, competition, data_dir, starts_on, days, mode, minutes_per_day, reflection_minutes,"
    " time_zone, day_starts_at, metric, image_col, label_col, created_at)"
    " VALUES (1, 'h', 'h', '/d', '2026-03-02', 60, 'daily', 60, 10, 'UTC', '04:00', 'map5', 'Image', 'Id', 0)"
)


def at_revision(home: Home, revision: str) -> Journal:
    """A journal as an earlier version left it."""
    engine = create_engine(f"sqlite:///{home.journal_db}")
    store.event.listen(engine, "connect", store._prepare_connection(lambda: 0))
    store.migrate(engine, home, 0, revision)
    return Journal(home, engine, lambda: 0)


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_a_migrated_journal_has_the_schema_of_the_tables(home: Home, journal: Journal) -> None:
    blank = home.path / "blank.db"
    engine = create_engine(f"sqlite:///{blank}")
    Base.metadata.create_all(engine)
    engine.dispose()
    assert schema(str(home.journal_db)) == schema(str(blank))
    indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name LIKE 'one_%' ORDER BY name"
    with sqlite3.connect(blank) as made, sqlite3.connect(home.journal_db) as migrated:
        assert made.execute(indexes).fetchall() == migrated.execute(indexes).fetchall()


EARLIER = sorted(path.name[:4] for path in (store.MIGRATIONS_DIR / "versions").glob("[0-9]*.py"))[:-1]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.parametrize("revision", EARLIER)
def test_every_earlier_schema_is_migrated_with_its_rows_triggers_and_a_backup(home: Home, revision: str) -> None:
    old = at_revision(home, revision)
    with old.engine.begin() as db:
        db.exec_driver_sql(A_CHALLENGE)
        db.exec_driver_sql(
            "INSERT INTO todo (challenge_id, title, planned_on, position, origin, created_at)"
            " VALUES (1, 'kept', '2026-03-02', 1, 'system', 0)"
        )
    old.close()
    journal = open_journal(home)
    with journal.reading() as db:
        # The rebuild of `challenge` must not have taken its children along.
        assert [todo.title for todo in db.exec(text("SELECT title FROM todo")).all()] == ["kept"]
        triggers = db.exec(text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'")).one()[0]
        assert db.exec(text("PRAGMA foreign_keys")).one()[0] == 1
    written_down = store.GUARD_SQL.read_text() + store.SEARCH_SQL.read_text()
    assert triggers == written_down.count("CREATE TRIGGER")
    journal.close()
    (copy,) = home.backups_dir.glob(f"journal-{revision}-*.db")
    with sqlite3.connect(copy) as saved:
        assert saved.execute("SELECT title FROM todo").fetchall() == [("kept",)]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_submissions_of_an_earlier_version_were_sent_when_they_were_imported_or_scored_by_hand(home: Home) -> None:
    old = at_revision(home, "0003")
    with old.engine.begin() as db:
        db.exec_driver_sql(A_CHALLENGE)
        db.exec_driver_sql(
            "INSERT INTO experiment (id, challenge_id, key, hypothesis, origin, created_at) VALUES (1, 1, 'h_001', '', 'system', 0)"
        )
        db.exec_driver_sql(
            "INSERT INTO run (id, challenge_id, experiment_id, key, local_date, spec, spec_source, origin, created_at, metric, direction)"
            " VALUES (1, 1, 1, 'h_001-r01', '2026-03-02', '{}', '', 'system', 0, 'map5', 'max')"
        )
        db.exec_driver_sql(
            "INSERT INTO submission (id, challenge_id, run_id, path, origin, created_at)"
            " VALUES (1, 1, NULL, 'imported', 'import', 10), (2, 1, 1, 'typed', 'system', 20), (3, 1, 1, 'at home', 'system', 30)"
        )
        db.exec_driver_sql(
            "INSERT INTO leaderboard_score (submission_id, source, origin, scored_at)"
            " VALUES (2, 'manual', 'person', 25), (3, 'local', 'system', 35)"
        )
    old.close()
    journal = open_journal(home)
    with journal.reading() as db:
        sent = db.exec(text("SELECT path, sent_at FROM submission ORDER BY id")).all()
        scores = db.exec(text("SELECT count(*) FROM leaderboard_score")).one()[0]
    journal.close()
    assert [tuple(row) for row in sent] == [("imported", 10), ("typed", 25), ("at home", None)]
    assert scores == 2


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_a_failing_migration_leaves_the_journal_as_it_was(home: Home) -> None:
    old = at_revision(home, "0001")
    with sqlite3.connect(home.journal_db) as raw:  # an orphan, as an old bug might have left it
        raw.execute("INSERT INTO session_event (session_id, kind, at, detail) VALUES (99, 'start', 0, '')")
    old.close()
    with pytest.raises(OnehourError, match="1 rows without their parent"):
        open_journal(home)
    with sqlite3.connect(home.journal_db) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert raw.execute("SELECT name FROM sqlite_master WHERE name = 'run'").fetchone() is None


def test_a_journal_of_a_newer_version_is_refused_and_not_touched(home: Home, journal: Journal) -> None:
    journal.close()
    with sqlite3.connect(home.journal_db) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OnehourError, match="schema 9999"):
        open_journal(home)


def test_the_journal_is_opened_with_wal_foreign_keys_and_patience(journal: Journal) -> None:
    with journal.reading() as db:
        pragmas = [
            db.exec(text(f"PRAGMA {name}")).one()[0] for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 1, 5_000]


def test_sql_sees_the_clock_of_the_journal(journal: Journal, clock: MovableClock) -> None:
    with journal.reading() as db:
        assert db.exec(text("SELECT now_ms()")).one()[0] == clock.at
        clock.move(5)
        assert db.exec(text("SELECT now_ms()")).one()[0] == clock.at


def test_eight_threads_write_without_losing_a_row(journal: Journal, challenge: Challenge) -> None:
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(25):
                with journal.writing() as db:
                    db.add(
                        Todo(
                            challenge_id=challenge.id,
                            title=str(number),
                            planned_on=date(2026, 3, 2),
                            position=number,
                            origin="system",
                            created_at=0,
                        )
                    )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with journal.reading() as db:
        assert db.exec(text("SELECT count(*) FROM todo")).one()[0] == 200


def test_an_exception_in_a_write_leaves_nothing_behind(journal: Journal, challenge: Challenge) -> None:
    def write_and_fail() -> None:
        with journal.writing() as db:
            db.add(
                Todo(
                    challenge_id=challenge.id,
                    title="t",
                    planned_on=date(2026, 3, 2),
                    position=1,
                    origin="system",
                    created_at=0,
                )
            )
            db.flush()
            raise KeyError("elsewhere")

    with pytest.raises(KeyError):
        write_and_fail()
    with journal.reading() as db:
        assert db.exec(text("SELECT count(*) FROM todo")).one()[0] == 0


def test_what_happened_cannot_be_changed_or_deleted(journal: Journal, challenge: Challenge) -> None:
    from app.journal import sessions
    from app.journal.rules import AgainstTheRules

    sessions.start(journal)
    for statement in ("UPDATE session_event SET at = 0", "DELETE FROM session_event", "DELETE FROM daily_session"):
        with pytest.raises(AgainstTheRules), journal.writing() as db:
            db.connection().exec_driver_sql(statement)
    with journal.reading() as db:
        (kind,) = db.exec(text("SELECT kind FROM session_event")).one()
    assert kind == "start"


def test_a_home_that_cannot_be_made_is_refused_by_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ONEHOUR_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(OnehourError, match="ONEHOUR_HOME"):
        find_home()


def test_a_changed_guard_reaches_a_journal_that_exists(home: Home, journal: Journal) -> None:
    with journal.engine.connect() as connection:
        connection.exec_driver_sql("DROP TRIGGER run_insert_in_hour")
        connection.exec_driver_sql("PRAGMA user_version = 1")
    journal.close()
    again = open_journal(home)
    with again.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'run_insert_in_hour'").first()
    again.close()
    assert found is not None


@pytest.mark.parametrize("name", ["what?", "100%20sure", "a#b", "mit Leerzeichen ä"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    home.path.mkdir()
    open_journal(home).close()
    open_journal(home).close()
    assert home.journal_db.is_file()


def test_opening_and_migrating_says_nothing(home: Home, recwarn: pytest.WarningsRecorder) -> None:
    open_journal(home).close()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_connection_that_was_opened_read_only_is_let_go_when_a_write_fails(
    journal: Journal, challenge: Challenge
) -> None:
    with journal.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(OnehourError, match="readonly"), journal.writing() as db:
        db.add(Todo(challenge_id=challenge.id, title="t", created_at=1, position=1))
    with journal.writing() as db:
        assert db.connection().exec_driver_sql("PRAGMA query_only").scalar_one() == 0
