"""Setting the journal back to a backup, also while pages and worker have it open.

Everything that can go wrong goes wrong on a copy in a folder of its own: it is looked through, migrated and given today's guard
there. Then it takes the journal's place in one transaction (backups.copy_into), so other processes read the old journal or the
new one and nothing between. Only a journal so damaged that SQLite cannot write into it is put aside and replaced as a file; for
that, nobody else may have it open.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import col, select

from app.journal import backups, challenges, sittings
from app.journal.home import COMMAND, Home
from app.journal.hour import State
from app.journal.rules import AgainstTheRules
from app.journal.steady import system_clock
from app.journal.store import Clock, Journal, connect, migrate, newest_revision, open_journal
from app.journal.tables import Base, DailySession, Job, Run
from engine.contract import OnehourError

RUNNING_JOB = ("starting", "running", "stopping")


@dataclass(frozen=True)
class Restored:
    """What was done: what the journal holds now, and where what it held before lies (None: there was nothing)."""

    contents: backups.Contents
    before: Path | None
    was_damaged: bool


def restore(home: Home, source: Path, clock: Clock = system_clock, held_by: str = "") -> Restored:
    """Set the journal back to the backup `source`. `held_by` names the process that has the home open, if one does.

    Refused, with nothing changed: a file that is no whole journal or of a newer Onehour (OnehourError), an hour that is running
    or was used today and is unknown to the backup (AgainstTheRules), a run at work that the backup does not know.
    """
    backups.look(source)
    with staged(home) as stage:
        backups.copy_into(source, stage)
        finish(stage, clock)
        return take_place(home, stage, clock, held_by)


@contextlib.contextmanager
def staged(home: Home) -> Iterator[Home]:
    """A home of its own, on the same disk, in which a journal is made ready; gone afterwards."""
    try:
        made = tempfile.TemporaryDirectory(dir=home.path, prefix=".staged-")
    except OSError as error:
        raise OnehourError(f"the home folder cannot be written ({error.strerror})", where=str(home.path)) from None
    with made as path:
        yield Home(Path(path))


def finish(stage: Home, clock: Clock, revision: str = "head") -> None:
    """Migrate the staged journal; to head, with the guard and search of this version whatever it had."""
    engine = connect(stage, clock)
    try:
        with engine.connect() as connection:
            found = _schema(connection.connection.driver_connection)
        if found > newest_revision():
            raise OnehourError(
                f"this journal has schema {found}, this version knows up to {newest_revision()}",
                fix="Nothing was changed. Use the newer Onehour that wrote it.",
            )
        migrate(engine, stage, clock(), revision)
        if revision == "head":
            _require_every_column(engine)
    except DatabaseError as error:
        raise OnehourError(
            f"this journal lacks something and cannot be used ({error.orig})", fix="Nothing was changed."
        ) from None
    finally:
        engine.dispose()


def _require_every_column(engine: Engine) -> None:
    """A file may call itself a journal of this schema and be none."""
    with engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            there = {row[1] for row in connection.exec_driver_sql(f'PRAGMA table_info("{table.name}")')}
            missing = [column.name for column in table.columns if column.name not in there]
            if missing:
                raise OnehourError(f"this journal lacks {table.name}.{missing[0]}", fix="Nothing was changed.")


def take_place(home: Home, stage: Home, clock: Clock, held_by: str = "") -> Restored:
    """Put the staged journal in the place of the present one, which is kept as a backup."""
    contents = backups.look(stage.journal_db)
    now = clock()
    damaged = backups.is_damaged(home)
    before = None
    if damaged:
        before = _put_aside(home, now, held_by)
    elif home.journal_db.exists():
        present = open_journal(home, clock)
        try:
            _require_restorable(present, stage, now)
        finally:
            present.close()
        before = backups.copy(home, backups.named(home, backups.BEFORE_RESTORE, now))
    backups.copy_into(stage.journal_db, home)
    backups.keep_newest(home, backups.BEFORE_RESTORE, backups.BEFORE_RESTORE_KEPT)
    return Restored(contents, before, damaged)


def _require_restorable(present: Journal, stage: Home, now: int) -> None:
    with contextlib.closing(backups.still(stage.journal_db)) as db:
        runs = {key for (key,) in db.execute("SELECT key FROM run")}
        hours = {on for (on,) in db.execute("SELECT local_date FROM daily_session")}
    with present.reading() as db:
        challenge = challenges.find_active(db)
        if challenge is not None:
            at = sittings.sitting(db, challenge, now)
            if at.state in (State.FOCUS, State.PAUSED, State.REFLECTION):
                raise AgainstTheRules(
                    f"Today's hour is not over: restore when its day is closed ({COMMAND} session close)."
                )
        latest = db.exec(select(DailySession).order_by(col(DailySession.local_date).desc())).first()
        if latest is not None and latest.day_ends_at > now and str(latest.local_date) not in hours:
            raise AgainstTheRules(
                "Today's hour is used and this backup does not know it: restored now, the hour would be there twice. Restore it tomorrow."
            )
        at_work = db.exec(
            select(Run.key).join(Job, col(Job.run_id) == col(Run.id)).where(col(Job.state).in_(RUNNING_JOB))
        ).all()
    unknown = sorted(set(at_work) - runs)
    if unknown:
        raise OnehourError(
            f"the run {unknown[0]} is at work and this backup does not know it",
            fix=f"Nothing was changed. Wait for it, or: {COMMAND} cancel {unknown[0]}",
        )


def _put_aside(home: Home, now: int, held_by: str) -> Path:
    """A damaged journal under another name, with what belongs to it."""
    if held_by:
        raise OnehourError(
            f"the damaged journal is still held by {held_by}",
            where=str(home.journal_db),
            fix="Nothing was changed. End `onehour up` and worker first, then restore.",
        )
    aside = home.path / backups.named(home, "damaged", now).name
    for suffix in ("-wal", "-shm", ""):
        path = home.journal_db.with_name(home.journal_db.name + suffix)
        if path.exists():
            path.rename(aside.with_name(aside.name + suffix))
    return aside


def _schema(db: object) -> str:
    assert isinstance(db, sqlite3.Connection)
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return ""
    row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""
