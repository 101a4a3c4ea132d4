"""Opening journal.db: pragmas, the clock that SQL sees, the daily look for damage, migration, guard.

`open_journal` is the only way in. Reads and writes are short blocks:

    with journal.reading() as db: ...
    with journal.writing() as db: ...      # BEGIN IMMEDIATE, committed at the end, rolled back on an exception
"""

from __future__ import annotations

import sqlite3
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, SAWarning
from sqlmodel import Session, create_engine

from app.journal import backups
from app.journal.days import logical_date
from app.journal.home import Home
from app.journal.rules import AgainstTheRules
from app.journal.steady import Instant, SteadyClock
from engine.contract import OnehourError

MIGRATIONS_DIR = Path(__file__).parent / "migrations"
GUARD_SQL = Path(__file__).parent / "guard.sql"
SEARCH_SQL = Path(__file__).parent / "search.sql"
BUSY_TIMEOUT_MS = 5_000

NEWEST_EVENT = """
SELECT e.at, e.steady_ms, e.boot_id, max(s.day_ends_at, coalesce(s.reflection_ends_at, 0))
FROM session_event e JOIN daily_session s ON s.id = e.session_id ORDER BY e.id DESC LIMIT 1
"""

Clock = Callable[[], int]


@dataclass(frozen=True)
class Journal:
    """An open journal: its folder, its database and the one clock that Python and SQL share."""

    home: Home
    engine: Engine
    clock: Clock

    def now(self) -> int:
        return self.clock()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self.engine) as db:
            try:
                self._hold_clock(db)
                yield db
            except DatabaseError as error:
                self._tell_damage(error)
                raise

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One short transaction, never across I/O. A refusal by guard.sql becomes AgainstTheRules."""
        with Session(self.engine, expire_on_commit=False) as db:
            try:
                db.connection().exec_driver_sql("BEGIN IMMEDIATE")
                self._hold_clock(db)
                yield db
                db.commit()
            except IntegrityError as error:
                db.rollback()
                if (
                    isinstance(error.orig, sqlite3.IntegrityError)
                    and error.orig.sqlite_errorname == "SQLITE_CONSTRAINT_TRIGGER"
                ):
                    raise AgainstTheRules(str(error.orig)[0].upper() + str(error.orig)[1:]) from None
                raise
            except OperationalError as error:
                db.rollback()
                reason = str(getattr(error.orig, "sqlite_errorname", ""))
                if reason.startswith("SQLITE_READONLY"):
                    # What was opened while the file was read-only stays read-only; the next write opens anew.
                    self.engine.dispose()
                is_held = reason.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
                advice = "Another program holds it; try" if is_held else "Check free space and permissions, then try"
                raise OnehourError(
                    f"the journal cannot be written ({error.orig})",
                    where=str(self.home.journal_db),
                    fix=f"Nothing was changed. {advice} again.",
                ) from error
            except DatabaseError as error:
                db.rollback()
                self._tell_damage(error)
                raise

    def _hold_clock(self, db: Session) -> None:
        """Hold the clock to the newest event, whichever process wrote it."""
        if isinstance(self.clock, SteadyClock):
            newest = db.connection().exec_driver_sql(NEWEST_EVENT).first()
            if newest is not None and newest[1] is not None:
                self.clock.hold(Instant(newest[0], newest[1], newest[2]), until=newest[3])

    def _tell_damage(self, error: DatabaseError) -> None:
        """Raises the sentence with the way back when the error means that the file is damaged."""
        if error.orig is not None and backups.is_damage(error.orig):
            raise backups.damaged(self.home, error.orig) from error

    def close(self) -> None:
        self.engine.dispose()


def open_journal(home: Home, clock: Clock | None = None) -> Journal:
    """Open the journal of `home`, making or migrating it if needed (with a backup first).

    Raises OnehourError when it cannot be opened; of a damaged one, with the backup to go back to.
    """
    home.claim_host()
    clock = clock or SteadyClock()
    engine = connect(home, clock)
    try:
        with engine.connect() as connection:
            found = _revision(connection)
            backups.check_daily(home, _raw(connection), clock())
            in_force = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if found != newest_revision() or in_force != checksum():
            migrate(engine, home, clock())
    except DatabaseError as error:
        engine.dispose()
        if error.orig is not None and backups.is_damage(error.orig):
            raise backups.damaged(home, error.orig) from error
        raise OnehourError(f"the journal cannot be opened ({error.orig})", where=str(home.journal_db)) from error
    except BaseException:
        engine.dispose()
        raise
    return Journal(home, engine, clock)


def connect(home: Home, clock: Clock) -> Engine:
    """An engine on the journal of `home` as it stands: whatever schema it has, no migration, no look."""
    address = URL.create("sqlite", database=str(home.journal_db))  # a path may hold ? and %
    engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_connection(clock))
    return engine


def newest_revision() -> str:
    """The newest migration's number: its file name up to the first underscore."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS_DIR / "versions").glob("[0-9]*.py"))


@cache
def checksum() -> int:
    """Of guard.sql and search.sql: a journal whose user_version differs has another guard in force and gets this one."""
    return zlib.crc32(GUARD_SQL.read_bytes() + SEARCH_SQL.read_bytes()) & 0x7FFFFFFF


def migrate(engine: Engine, home: Home, now: int, to_revision: str = "head") -> None:
    """Bring the schema to `to_revision`, then create guard and search anew. A non-empty journal is backed up first.

    Foreign keys are off meanwhile: a table rebuilt with them on would delete its children.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    with engine.connect() as connection:
        found = _revision(connection)
        if found is not None and found > newest_revision():
            raise OnehourError(
                f"the journal has schema {found}, this version knows up to {newest_revision()}",
                where=str(home.journal_db),
                fix="Use the newer Onehour that wrote it.",
            )
        if found is not None:
            backups.copy(home, backups.named(home, found, now))
        connection.rollback()
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        _drop_guard(connection)
        config.attributes["connection"] = connection
        with warnings.catch_warnings():
            # Migrations take care of it by hand: an expression index cannot be reflected.
            warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index", SAWarning)
            command.upgrade(config, to_revision)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise OnehourError(
                f"the migration would leave {len(broken)} rows without their parent",
                where=str(home.journal_db),
                fix=f"Nothing was changed; a backup lies in {home.backups_dir}.",
            )
        if to_revision == "head":
            _execute(connection, GUARD_SQL)
            _execute(connection, SEARCH_SQL)
            connection.exec_driver_sql(f"PRAGMA user_version = {checksum()}")
        connection.commit()
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _prepare_connection(clock: Clock) -> Callable[[Any, Any], None]:
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # Transactions are begun by us (BEGIN IMMEDIATE), not behind our back by the driver.
        connection.isolation_level = None
        connection.create_function("now_ms", 0, clock)
        connection.create_function("logical_date", 3, _sql_logical_date, deterministic=True)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    return prepare


def _sql_logical_date(at: int, zone_name: str, day_starts_at: str) -> str:
    return logical_date(at, zone_name, day_starts_at).isoformat()


def _revision(connection: Connection) -> str | None:
    known = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else None


def _drop_guard(connection: Connection) -> None:
    for kind in ("trigger", "view"):
        for (name,) in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = :kind"), {"kind": kind}
        ).fetchall():
            connection.exec_driver_sql(f'DROP {kind} "{name}"')


def _execute(connection: Connection, sql: Path) -> None:
    statement = ""
    for line in sql.read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.exec_driver_sql(statement)
            statement = ""
