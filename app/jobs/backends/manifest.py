"""What is to lie on a host, file by file with its SHA-256; a file that has not changed is not read again.

A name of bytes that are no text (a Linux file may be called anything) is carried as Python does, with surrogates.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.jobs.programme import Input
from engine.contract import OnehourError
from engine.run_folder import RunFolder, file_sha256, travels

# A file that was written so lately may be written again without a change of its time.
SETTLED_S = 2.0
AT_ONCE = 4
SAVE_EACH = 500


@dataclass(frozen=True)
class File:
    """`name`: below its folder there. `path`: where it lies here."""

    name: str
    path: str
    size: int
    mtime_ns: int
    sha256: str = ""


@dataclass(frozen=True)
class Tree:
    """An input as it is to lie there. `below`: what of it is the input: "" for a folder, its name for a single file."""

    files: tuple[File, ...]
    below: str = ""

    @property
    def key(self) -> str:
        """The same names and contents have the same key, wherever they lie."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(os.fsencode(file.name) + b"\0" + file.sha256.encode() + b"\n")
        return digest.hexdigest()


def of_input(asked: Input) -> Tree:
    """The files of an input, not yet read. Raises OnehourError when it is not there."""
    path = str(asked.path)
    if asked.path.is_file():
        return Tree((_file(asked.path.name, path),), asked.path.name)
    if not asked.path.is_dir():
        raise OnehourError("there is no such file or folder", path)
    names = {
        os.path.normpath(name)
        for pattern in asked.only or ("**/*",)
        for name in glob.glob(pattern, root_dir=path, recursive=True, include_hidden=True)
    }
    outside = next((name for name in names if name.startswith(("../", "/")) or name == ".."), None)
    if outside is not None:
        raise OnehourError(f"{outside!r} lies outside of it and cannot be sent", path)
    files = [
        _file(name, os.path.join(path, name)) for name in sorted(names) if os.path.isfile(os.path.join(path, name))
    ]
    return Tree(tuple(files))


def of_run(folder: RunFolder) -> tuple[File, ...]:
    """The files of a run's folder that another machine needs to go on with it: the spec as asked for, and what travels."""
    found = []
    for parent, folders, names in os.walk(folder.path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for each in sorted(names):
            path = os.path.join(parent, each)
            name = os.path.relpath(path, folder.path)
            if (travels(name) or path == str(folder.spec_yaml)) and not os.path.islink(path):
                found.append(_file(name, path))
    return tuple(found)


class Hashes:
    """SHA-256 of files by path, size and time of change, kept in a file of this computer's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def filled(
        self,
        files: Sequence[File],
        say: Callable[[int], None] = lambda _: None,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> tuple[File, ...]:
        """The same with their hashes. `say` is told how many are done; ends early, with OnehourError, when not `goes_on`."""
        with closing(self._open()) as db:
            known = [self._known(db, file) for file in files]
            fresh: list[tuple[bytes, int, int, str]] = []
            done = sum(sha256 is not None for sha256 in known)
            with ThreadPoolExecutor(AT_ONCE) as readers:
                missing = [number for number, sha256 in enumerate(known) if sha256 is None]
                for batch in _batches(missing, SAVE_EACH):
                    if not goes_on():
                        raise OnehourError("it was called off")
                    read = readers.map(lambda number: file_sha256(Path(files[number].path)), batch)
                    for number, sha256 in zip(batch, read, strict=True):
                        known[number] = sha256
                        file, done = files[number], done + 1
                        if time.time_ns() - file.mtime_ns > SETTLED_S * 1e9:
                            fresh.append((os.fsencode(file.path), file.size, file.mtime_ns, sha256))
                    say(done)
                    self._keep(db, fresh)
                    fresh.clear()
        return tuple(
            File(file.name, file.path, file.size, file.mtime_ns, sha256 or "")
            for file, sha256 in zip(files, known, strict=True)
        )

    def forget(self, sha256: str) -> None:
        """What the host got under this name was something else: the file is read again next time."""
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM file WHERE sha256 = ?", (sha256,))

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30)
        db.execute(
            "CREATE TABLE IF NOT EXISTS file (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID"
        )
        return db

    def _known(self, db: sqlite3.Connection, file: File) -> str | None:
        asked = (os.fsencode(file.path), file.size, file.mtime_ns)
        row: Any = db.execute("SELECT sha256 FROM file WHERE path = ? AND size = ? AND mtime_ns = ?", asked).fetchone()
        return None if row is None else str(row[0])

    def _keep(self, db: sqlite3.Connection, fresh: Sequence[tuple[bytes, int, int, str]]) -> None:
        with db:
            db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", fresh)


def _file(name: str, path: str) -> File:
    facts = os.stat(path)
    return File(name, path, facts.st_size, facts.st_mtime_ns)


def _batches(numbers: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), most):
        yield numbers[first : first + most]
