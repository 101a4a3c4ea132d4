"""What lies at a path that a person wants to import: one Markdown or CSV file, a folder of them, or a zip of either.

Nothing is unpacked: entries of a zip are read in memory, and one whose name would lead out of its folder has the whole zip refused.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.exchange.found import Problem
from engine.contract import OnehourError

SUFFIXES = (".md", ".markdown", ".csv")
MAX_FILE_BYTES, MAX_TOTAL_BYTES, MAX_FILES = 20_000_000, 200_000_000, 5_000
SKIPPED_FOLDERS = ("__MACOSX",)


@dataclass(frozen=True)
class Source:
    """The text of each file by its name (with / between folders), and the files that are no text."""

    texts: dict[str, str]
    problems: list[Problem]
    others: int  # pictures and the like, left out


def read(path: Path) -> Source:
    """Raises OnehourError when there is nothing to read, it is too large, or no honest zip."""
    path = path.expanduser()
    source = Source({}, [], 0)
    others, total = 0, 0
    for name, data in _files(path):
        if not name.lower().endswith(SUFFIXES):
            others += 1
            continue
        total += len(data)
        if total > MAX_TOTAL_BYTES or len(source.texts) >= MAX_FILES:
            raise OnehourError(
                f"this is more than an import takes ({MAX_FILES} files, {MAX_TOTAL_BYTES // 1_000_000} MB)",
                where=str(path),
            )
        try:
            source.texts[name] = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            source.problems.append(
                Problem(f"{name}:{line}", f"not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8")
            )
    if not source.texts and not source.problems:
        raise OnehourError("there is no Markdown and no CSV file", where=str(path))
    return Source(dict(sorted(source.texts.items())), source.problems, others)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                name = file.relative_to(path).as_posix()
                if (
                    file.is_file()
                    and not file.is_symlink()
                    and not any(part.startswith(".") for part in name.split("/"))
                ):
                    yield name, _capped(file) if name.lower().endswith(SUFFIXES) else b""
        elif path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from _entries(archive, path.name, depth=0)
        elif path.suffix.lower() in SUFFIXES:
            yield path.name, _capped(path)
        elif path.exists():
            raise OnehourError("this is no Markdown file, CSV file, folder or zip", where=str(path))
        else:
            raise OnehourError("there is no such file or folder", where=str(path))
    except OSError as error:
        raise OnehourError(f"the file cannot be read ({error.strerror or error})", where=str(path)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise OnehourError(f"this zip cannot be read ({error})", where=str(path)) from None


def _entries(archive: zipfile.ZipFile, name: str, depth: int) -> Iterator[tuple[str, bytes]]:
    """The files of a zip; of a zip in it too (Notion packs its parts so), but no deeper."""
    if len(archive.infolist()) > MAX_FILES:
        raise OnehourError(f"a zip of more than {MAX_FILES} files is not imported", where=name)
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0]:
            raise OnehourError(f"the zip holds a name that leads out of its folder ({entry.filename!r})", where=name)
        if entry.is_dir() or parts[0] in SKIPPED_FOLDERS or parts[-1].startswith("."):
            continue
        inner = entry.filename.lower().endswith(".zip")
        if not inner and not entry.filename.lower().endswith(SUFFIXES):
            yield entry.filename, b""
            continue
        limit = MAX_TOTAL_BYTES if inner else MAX_FILE_BYTES
        with archive.open(entry) as file:
            data = file.read(limit + 1)  # what is there, not what the zip says of itself
        if len(data) > limit:
            raise OnehourError(f"the file is larger than {limit // 1_000_000} MB", where=f"{name}: {entry.filename}")
        if not inner:
            yield entry.filename, data
        elif depth == 0:
            yield from _entries(zipfile.ZipFile(io.BytesIO(data)), f"{name}: {entry.filename}", depth=1)


def _capped(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise OnehourError(f"the file is larger than {MAX_FILE_BYTES // 1_000_000} MB", where=str(path))
    return path.read_bytes()
