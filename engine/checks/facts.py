"""What was seen in each image, kept in facts.csv of a check's folder: a known file is not read again.

A file is known by its name, its size, the date of its contents (mtime) and the date of its last change of any kind (ctime).
The latter cannot be set, so contents exchanged under the same size and date (rsync -t, cp -p) are seen; what is trusted is
that the file system and the clock keep that date.
"""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.check_folder import CheckFolder
from engine.checks.picture import Picture, look_at
from engine.contract import OnehourError
from engine.data.progress import progress
from engine.run_folder import write_text

log = logging.getLogger(__name__)
SEEN = tuple(field.name for field in dataclasses.fields(Picture))
STAMPED = ("bytes", "mtime_ns", "ctime_ns")
COLUMNS = ("part", "image", "label", *STAMPED, *SEEN)
QUARANTINE_COLUMNS = ("part", "image", "label", "reason")
Stamp = tuple[int, int, int]  # see STAMPED
WAIT_S = 0.1  # between two looks whether another process has finished
WRITTEN_EACH_S = 2.0  # what a killed check has to look at again


@dataclass(frozen=True)
class Entry:
    """An image to look at. `part` is train or test; `label` is empty where there is none."""

    part: str
    image: str
    path: Path
    label: str = ""


def look_at_all(
    wanted: Sequence[Entry], folder: CheckFolder, check: Callable[[], None] = lambda: None
) -> list[tuple[Entry, Picture]]:
    """What is seen in each of `wanted`, in order. Writes facts.csv as it goes and quarantine.csv at the end.

    A file of known name, size and dates is not read again, so a check that was killed goes on where it stopped. Another
    process that looks at the same folder is waited for, and what it saw is not looked at again. `check` is asked after each
    image and while waiting: what it raises ends the work.
    Raises OnehourError when the folder cannot be written.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with _alone(folder, check):
            stamps = [_stamp(entry.path) for entry in wanted]
            seen = _known(folder, wanted, stamps)
            missing = [place for place, one in enumerate(seen) if one is None]
            if missing:
                _look_at_missing(wanted, stamps, seen, missing, folder, check)
            pictures = [(entry, one) for entry, one in zip(wanted, seen, strict=True) if one is not None]
            rows = [_row(entry, stamp, one) for (entry, one), stamp in zip(pictures, stamps, strict=True)]
            write_text(folder.facts_csv, _csv([COLUMNS, *rows]))
            broken = [
                (entry.part, entry.image, entry.label, one.unreadable) for entry, one in pictures if one.unreadable
            ]
            if broken:
                write_text(folder.quarantine_csv, _csv([QUARANTINE_COLUMNS, *broken]))
            else:
                folder.quarantine_csv.unlink(missing_ok=True)
    except OSError as error:
        raise OnehourError(
            f"the check's folder cannot be written ({error.strerror or error})",
            str(folder.path),
            "Choose a place you may write to.",
        ) from None
    return pictures


@contextmanager
def _alone(folder: CheckFolder, check: Callable[[], None]) -> Iterator[None]:
    """Nobody else writes the facts of `folder` meanwhile; the lock goes with its process."""
    with folder.facts_lock.open("ab") as lock:
        if not _taken(lock):
            log.info("waiting for another process that looks at the same images")
            while not _taken(lock):
                check()
                time.sleep(WAIT_S)
        yield


def _taken(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _look_at_missing(
    wanted: Sequence[Entry], stamps: Sequence[Stamp], seen: list[Picture | None], missing: Sequence[int],
    folder: CheckFolder, check: Callable[[], None],
) -> None:  # fmt: skip
    with _facts_to_append(folder.facts_csv) as append, progress("looking at images", len(missing)) as advance:
        pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        try:
            for place, picture in zip(missing, pool.map(lambda i: look_at(wanted[i].path), missing), strict=True):
                seen[place] = picture
                append(_csv([_row(wanted[place], stamps[place], picture)]))
                advance()
                check()
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt need not wait for the other thousands


def _known(folder: CheckFolder, wanted: Sequence[Entry], stamps: Sequence[Stamp]) -> list[Picture | None]:
    """What facts.csv knows of each, None for what has to be looked at."""
    rows = {(row["part"], row["image"]): row for row in folder.rows_of_facts() if tuple(row) == COLUMNS}
    found: list[Picture | None] = []
    for entry, stamp in zip(wanted, stamps, strict=True):
        row = rows.get((entry.part, entry.image))
        same = row is not None and tuple(row[name] for name in STAMPED) == tuple(map(str, stamp))
        known = _picture(row) if same and row is not None else None
        # Why a file could not be read may have gone without a trace in its date: a closed folder, a slow disk.
        found.append(known if known and not known.unreadable else None)
    return found


def _picture(row: dict[str, str]) -> Picture | None:
    """None for a row that was not written by this version."""
    try:
        picture = Picture(**{name: _read[name](row[name]) for name in SEEN})
    except (ValueError, KeyError):
        return None
    return picture


_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text == "1",
}
_read = {field.name: _READERS[str(field.type)] for field in dataclasses.fields(Picture)}
_read["phash"] = lambda text: int(text, 16)


def _row(entry: Entry, stamp: Stamp, picture: Picture) -> tuple[object, ...]:
    values = dataclasses.asdict(picture)
    values["phash"] = f"{picture.phash:016x}"
    values["transparent"] = int(picture.transparent)
    return (entry.part, entry.image, entry.label, *stamp, *values.values())


def _stamp(path: Path) -> Stamp:
    """Size in bytes, date of the contents and of the last change of any kind (ns); -1 for a file that is not there."""
    try:
        stat = path.stat()
    except OSError:
        return -1, -1, -1
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@contextmanager
def _facts_to_append(path: Path) -> Iterator[Callable[[str], None]]:
    """A call that adds whole lines to facts.csv, a few seconds' worth at a time."""
    header = _csv([COLUMNS]).encode()
    before = path.read_bytes() if path.is_file() else b""
    whole = before[: before.rfind(b"\n") + 1] if before.startswith(header) else header
    waiting: list[str] = []
    written = time.monotonic()
    with path.open("r+b" if before else "wb", buffering=0) as file:
        file.truncate(len(whole) if whole != header else 0)  # a half-written line goes, or all of another version
        if whole == header:
            file.write(header)
        file.seek(0, os.SEEK_END)

        def append(line: str) -> None:
            nonlocal written
            waiting.append(line)
            if time.monotonic() - written > WRITTEN_EACH_S:
                file.write("".join(waiting).encode())
                waiting.clear()
                written = time.monotonic()

        try:
            yield append
        finally:
            file.write("".join(waiting).encode())
