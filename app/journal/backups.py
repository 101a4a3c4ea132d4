"""Copies of journal.db: made while it is in use, whole or not at all, rotated, and looked at before they are trusted.

What lies in the home's `backups` folder:

    journal-2026-03-02.db                the day's own copy (UTC), made by the worker: the last 7 stay, and of each of the 4 weeks
                                         before them the newest
    journal-0002-<moment>.db             before schema 0002, its guard or search are brought up to date: all stay
    journal-before-restore-<moment>.db   what a restore replaced: the last 3 stay
    journal-by-hand-<moment>.db          `onehour backup` without a file: all stay
    checked                              the day (UTC) on which journal.db was last looked through

A copy is one file, without the -wal and -shm files that stand beside a journal in use.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from app.journal.days import from_ms
from app.journal.home import COMMAND, Home
from engine.contract import OnehourError
from engine.run_folder import write_text

DAILY_KEPT, WEEKLY_KEPT, BEFORE_RESTORE_KEPT = 7, 4, 3
BEFORE_RESTORE = "before-restore"
# How long a copy into a journal waits for somebody else's write.
PATIENCE_S = 5.0
# A page of the file that is not one of ours may fail in many ways; these tell damage from a full disk or a lock.
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@dataclass(frozen=True)
class Contents:
    """What a copy holds: its schema's number and how much of a record."""

    revision: str
    challenges: int
    hours: int


def named(home: Home, what: str, now: int) -> Path:
    """Where a copy made for `what` at the moment `now` (ms UTC) lies."""
    return home.backups_dir / f"journal-{what}-{from_ms(now):%Y%m%dT%H%M%S}{now % 1000:03d}.db"


def copy(home: Home, target: Path) -> Path:
    """Copy the journal into `target`, also while other processes write; whole or not at all.

    Raises OnehourError when `target` exists, cannot be written or the journal cannot be read.
    """
    if target.exists():
        raise OnehourError("this file exists already", where=str(target), fix="Choose another name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise OnehourError(f"the backup cannot be written ({error.strerror})", where=str(target)) from None
    part = Path(name)
    try:
        with (
            contextlib.closing(_opened(home.journal_db, "mode=rw")) as source,
            contextlib.closing(sqlite3.connect(part)) as to,
        ):
            source.backup(to)
            to.execute("PRAGMA journal_mode=DELETE")
        _to_disk(part)
        part.chmod(0o644)
        part.replace(target)
        _to_disk(target.parent)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise damaged(home, error) from None
        raise OnehourError(
            f"the backup cannot be written ({error})", where=str(target), fix="Nothing was left behind."
        ) from None
    except OSError as error:
        raise OnehourError(f"the backup cannot be written ({error.strerror})", where=str(target)) from None
    finally:
        part.unlink(missing_ok=True)
    return target


def copy_into(source: Path, home: Home) -> None:
    """Put what stands in `source` in the place of the journal of `home`, in one transaction that others wait for.

    Connections of other processes go on: they see the old journal until the last page is written, then the new one.
    """
    give_up_at = time.monotonic() + PATIENCE_S

    def patience(status: int, _left: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > give_up_at:
            raise OnehourError(
                "somebody else is writing", where=str(home.journal_db), fix="Nothing was changed; try again."
            )

    try:
        with contextlib.closing(still(source)) as read, contextlib.closing(sqlite3.connect(home.journal_db)) as to:
            read.backup(to, progress=patience)
    except sqlite3.DatabaseError as error:
        raise OnehourError(
            f"the journal cannot be written ({error})", where=str(home.journal_db), fix="Nothing was changed."
        ) from error


def look(path: Path) -> Contents:
    """What a copy holds, read without touching it. Raises OnehourError naming what is wrong: no file, no journal, damaged."""
    if not path.is_file():
        raise OnehourError("there is no such file", where=str(path))
    try:
        with contextlib.closing(still(path)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"alembic_version", "challenge", "daily_session"} <= tables:
                raise OnehourError("this is no journal of Onehour", where=str(path))
            (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
            found = [row[0] for row in db.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise OnehourError(
                    f"this journal is damaged ({found[0]})", where=str(path), fix="Choose another backup."
                )
            count = [
                db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("challenge", "daily_session")
            ]
    except sqlite3.DatabaseError as error:
        what = "this journal is damaged" if "malformed" in str(error) else "this is no journal of Onehour"
        raise OnehourError(f"{what} ({error})", where=str(path), fix="Choose another backup.") from None
    return Contents(revision, *count)


def daily(home: Home, now: int) -> Path | None:
    """Make the day's copy if there is none yet, look through it, and let the oldest go. None when it was there.

    Raises OnehourError when it cannot be made; a copy of a damaged journal is not kept and pushes no good one out.
    """
    today = from_ms(now).date()
    target = home.backups_dir / f"journal-{today}.db"
    if target.exists():
        return None
    copy(home, target)
    with contextlib.closing(still(target)) as db:
        problem = _first_problem(db)
    if problem:
        target.unlink()
        raise damaged(home, problem)
    for path in _outlived(home, today):
        path.unlink(missing_ok=True)
    return target


def check_daily(home: Home, db: sqlite3.Connection, now: int) -> None:
    """Look through the journal, at most once a day (0.2 s for 120 MB). Raises the sentence with the way back if it is damaged."""
    stamp, today = home.backups_dir / "checked", str(from_ms(now).date())
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if stamp.read_text(encoding="utf-8").strip() == today:
            return
    if problem := _first_problem(db):
        raise damaged(home, problem)
    with contextlib.suppress(OSError):  # it is looked through again at the next start
        write_text(stamp, f"{today}\n")


def damaged(home: Home, why: object) -> OnehourError:
    """What a person reads when journal.db is damaged: the newest good backup and the command that brings it back."""
    best = newest_good(home)
    fix = f"There is no good backup in {home.backups_dir}."
    if best is not None:
        made = from_ms(best.stat().st_mtime_ns // 1_000_000)
        fix = f"The newest good backup is of {made:%Y-%m-%d %H:%M} UTC: {COMMAND} restore {shlex.quote(str(best))}"
    return OnehourError(f"the journal is damaged ({why})", where=str(home.journal_db), fix=fix)


def newest_good(home: Home) -> Path | None:
    """The newest backup that can be read and is whole."""
    for path in sorted(home.backups_dir.glob("journal-*.db"), key=lambda one: one.stat().st_mtime_ns, reverse=True):
        with contextlib.suppress(OnehourError):
            look(path)
            return path
    return None


def is_damage(error: BaseException) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and str(getattr(error, "sqlite_errorname", "")).startswith(DAMAGE)


def is_damaged(home: Home) -> bool:
    """Whether there is a journal, and SQLite cannot read it or finds it broken."""
    if not home.journal_db.exists():
        return False
    try:
        with contextlib.closing(_opened(home.journal_db, "mode=rw")) as db:
            return bool(_first_problem(db))
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return True
        raise OnehourError(f"the journal cannot be opened ({error})", where=str(home.journal_db)) from error


def keep_newest(home: Home, what: str, count: int) -> None:
    """Of the copies made for `what`, let all but the newest `count` go."""
    for path in sorted(home.backups_dir.glob(f"journal-{what}-*.db"))[:-count]:
        path.unlink(missing_ok=True)


def kept(days: Sequence[date]) -> set[date]:
    """Which daily copies stay: the last 7, and of each of the 4 weeks (from Monday) before those the newest."""
    newest_first = sorted(days, reverse=True)
    stay = set(newest_first[:DAILY_KEPT])
    weeks: dict[tuple[int, int], date] = {}
    for day in newest_first[DAILY_KEPT:]:
        weeks.setdefault(day.isocalendar()[:2], day)
    return stay | set(sorted(weeks.values(), reverse=True)[:WEEKLY_KEPT])


def still(path: Path) -> sqlite3.Connection:
    """A copy opened for reading, leaving no file beside it. One that has a -wal of its own is read together with it."""
    has_wal = path.with_name(f"{path.name}-wal").exists()
    return _opened(path, "mode=ro" if has_wal else "mode=ro&immutable=1")


def _outlived(home: Home, today: date) -> Iterator[Path]:
    found: dict[date, Path] = {}
    for path in home.backups_dir.glob("journal-????-??-??.db"):
        if match := re.fullmatch(r"journal-(\d{4}-\d\d-\d\d)\.db", path.name):
            with contextlib.suppress(ValueError):
                found[date.fromisoformat(match[1])] = path
    # A copy "of tomorrow" (a clock that was wrong) must not push out today's.
    stay = kept([day for day in found if day <= today])
    yield from (path for day, path in found.items() if day <= today and day not in stay)


def _first_problem(db: sqlite3.Connection) -> str:
    """Empty when everything is in order."""
    try:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        found = str(error)
    return "" if found == "ok" else str(found)


def _opened(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=PATIENCE_S)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
