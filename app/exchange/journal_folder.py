"""The whole record as a folder that a person, a spreadsheet and another Onehour can read.

    journal.json                 every row of every table, with the schema's number: what an import reads
    days/<challenge>/<date>.md   the page of a day, with date, zone, minutes and late in its front matter
    notes/<challenge>/<number>.md  notes outside any day
    todos.csv references.csv runs.csv scores.csv
    attachments/                 pictures of notes

The same journal gives the same bytes. Runs' folders are not in it: they stand under runs/ as files already.

Importing makes a new database beside the journal: tables of the schema that the export names, all rows, then the migrations since,
then the guard, which from there on holds. So rows of a person stay rows of a person and no trigger has to look away. The finished
database takes the place of the empty journal in one step (app.journal.restore).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from sqlmodel import Session, select

from app.exchange.readable_files import readable_files
from app.journal import attachments, backups, restore
from app.journal.home import Home
from app.journal.steady import system_clock
from app.journal.store import MIGRATIONS_DIR, Clock, Journal, connect, newest_revision, open_journal
from app.journal.tables import Base, Challenge
from engine.contract import OnehourError

FORMAT = "onehour-journal"
JOURNAL_JSON = "journal.json"
MAX_BYTES = 2_000_000_000
Row = dict[str, Any]


def export(journal: Journal, target: Path) -> Path:
    """Write the record into the new folder `target`, whole or not at all. Raises OnehourError if it exists or cannot be written."""
    target = target.expanduser().absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise OnehourError("there is something already", where=str(target), fix="Choose a new folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise OnehourError(f"the export cannot be written ({error.strerror})", where=str(target)) from None
    try:
        with journal.reading() as db:
            db.connection().exec_driver_sql("BEGIN")  # one state of the journal for all files
            with (part / JOURNAL_JSON).open("w", encoding="utf-8", newline="") as file:
                _write_tables(db, file)
            for name, text in readable_files(db, journal.now()):
                path = part / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="")
        if journal.home.attachments_dir.is_dir():
            shutil.copytree(journal.home.attachments_dir, part / "attachments")
        part.chmod(0o755)
        part.replace(target)
    except OSError as error:
        raise OnehourError(
            f"the export cannot be written ({error.strerror or error})",
            where=str(target),
            fix="Nothing was left behind.",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def is_export(path: Path) -> bool:
    return (path / JOURNAL_JSON).is_file()


def import_into(
    home: Home, folder: Path, clock: Clock = system_clock, held_by: str = "", *, dry_run: bool = False
) -> backups.Contents:
    """Make the journal of `home`, which must not hold a challenge yet, equal to the exported one. All or nothing.

    A dry run does everything but the last step.
    """
    _require_empty(home, clock)
    schema, tables = _read(folder / JOURNAL_JSON)
    pictures = list(_pictures(folder / "attachments"))
    with restore.staged(home) as stage:
        restore.finish(stage, clock, schema)
        engine = connect(stage, clock)
        try:
            with engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, sqlite3.Connection)
                _fill(raw, tables, folder / JOURNAL_JSON)
        finally:
            engine.dispose()
        restore.finish(stage, clock)
        if dry_run:
            return backups.look(stage.journal_db)
        for picture in pictures:
            attachments.keep(home, picture)
        return restore.take_place(home, stage, clock, held_by).contents


def _write_tables(db: Session, file: TextIO) -> None:
    """One row a line, tables and rows in a fixed order: readable, and a change is a line in a diff."""
    connection = db.connection()
    file.write(f'{{"format": "{FORMAT}", "schema": "{newest_revision()}", "tables": {{')
    between = "\n"
    for table in Base.metadata.sorted_tables:
        columns = [column.name for column in table.columns]
        order = ", ".join(f'"{column.name}"' for column in table.primary_key)
        listed = ", ".join(f'"{name}"' for name in columns)
        file.write(f"{between}{json.dumps(table.name)}: [")
        between, comma = ",\n", "\n"
        for row in connection.exec_driver_sql(f'SELECT {listed} FROM "{table.name}" ORDER BY {order}'):
            values = {name: _as_json(value) for name, value in zip(columns, row, strict=True)}
            file.write(comma + json.dumps(values, ensure_ascii=False))
            comma = ",\n"
        file.write("]")
    file.write("\n}}\n")


def _as_json(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and list(value) == ["base64"]:
        return base64.b64decode(value["base64"], validate=True)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{value!r} is no value of a table")


def _require_empty(home: Home, clock: Clock) -> None:
    journal = open_journal(home, clock)
    try:
        with journal.reading() as db:
            slugs = db.exec(select(Challenge.slug)).all()
    finally:
        journal.close()
    if slugs:
        raise OnehourError(
            f"this home holds the challenge {slugs[0]!r} already, and two journals cannot be made one",
            where=str(home.path),
            fix="Import into an empty home: set ONEHOUR_HOME to a new folder.",
        )


def _read(path: Path) -> tuple[str, dict[str, list[Row]]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OnehourError(f"the file is larger than {MAX_BYTES // 1_000_000_000} GB", where=str(path))
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OnehourError(f"the export cannot be read ({error.strerror})", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise OnehourError(f"the file is not UTF-8 (byte {error.start})", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise OnehourError(f"this is no JSON ({error.msg})", where=f"{path}:{error.lineno}") from None
    except RecursionError:
        raise OnehourError("this is no JSON of ours (nested too deep)", where=str(path)) from None
    if not isinstance(read, dict) or read.get("format") != FORMAT or not isinstance(read.get("tables"), dict):
        raise OnehourError("this is no export of Onehour", where=str(path))
    schema = str(read.get("schema"))
    if not re.fullmatch(r"\d{4}", schema) or not list((MIGRATIONS_DIR / "versions").glob(f"{schema}_*.py")):
        raise OnehourError(
            f"the export has schema {schema!r}, this version knows up to {newest_revision()}",
            where=str(path),
            fix="Use the Onehour that wrote it.",
        )
    return schema, read["tables"]


def _fill(db: sqlite3.Connection, tables: dict[str, list[Row]], path: Path) -> None:
    """All rows in one transaction; what cannot be a row is named by table and number."""
    known = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} - {
        "alembic_version"
    }
    db.execute("BEGIN IMMEDIATE")
    db.execute("PRAGMA defer_foreign_keys=ON")  # a row may stand before the one it points to
    for table, rows in tables.items():
        if table not in known or not isinstance(rows, list):
            raise OnehourError(f"there is no table {table!r} in this schema", where=str(path))
        columns = {row[1] for row in db.execute(f'PRAGMA table_info("{table}")')}
        for number, row in enumerate(rows, start=1):
            where = f"{path}: {table}, row {number}"
            if not isinstance(row, dict) or not set(row) <= columns:
                raise OnehourError("this is no row of this table", where=where)
            names = ", ".join(f'"{name}"' for name in row)
            try:
                values = [_from_json(value) for value in row.values()]
                db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', values)
            except (sqlite3.Error, ValueError, OverflowError, binascii.Error) as error:
                raise OnehourError(f"this row cannot be taken ({error})", where=where) from None
    try:
        db.execute("COMMIT")
    except sqlite3.IntegrityError:
        table, row_id, parent, _ = db.execute("PRAGMA foreign_key_check").fetchone()
        raise OnehourError(
            f"the row {row_id} of {table} belongs to a row of {parent} that is missing", where=str(path)
        ) from None


def _pictures(folder: Path) -> Iterator[bytes]:
    """Pictures under the name that their content gives them; anything else there is no picture of ours."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_file() or path.stat().st_size > attachments.MAX_BYTES:
            raise OnehourError("this is no picture of a note", where=str(path))
        picture = path.read_bytes()
        if attachments.suffix_of(picture) is None:
            raise OnehourError("this is no picture of a note", where=str(path))
        yield picture
