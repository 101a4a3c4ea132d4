"""A submission held against the sample submission before anything is sent: what Kaggle would refuse is named, with its line.

The engine checks what it writes itself; this also judges files that somebody else wrote.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError, nearest

NAN = ("nan", "<na>")
MARKS = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


@dataclass(frozen=True)
class Rows:
    """`cells[i]` stand on line `lines[i]`; the header on line 1."""

    path: Path
    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]


def check(path: Path, sample: Path) -> int:
    """The number of rows of a file that has the sample's header and ids, each once, and an answer to each.

    Raises OnehourError for the first thing that Kaggle would refuse. The order of rows is free.
    """
    wanted, found = _read(sample, "sample submission", a_mark=True), _read(path, "submission")
    _require_header(found, wanted)
    _require_ids(found, wanted)
    for column, name in enumerate(wanted.header[1:], start=1):
        _require_answers(found, column, name, numeric=_is_numeric(wanted, column))
    return len(found.cells)


def _read(path: Path, what: str, *, a_mark: bool = False) -> Rows:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise OnehourError(f"there is no such {what}", str(path)) from None
    except OSError as error:
        raise OnehourError(f"the {what} cannot be read ({error.strerror})", str(path)) from None
    mark = next((name for begins, name in MARKS.items() if content.startswith(begins)), "")
    if mark and not (a_mark and mark == "UTF-8"):
        raise OnehourError(
            f"it begins with the byte order mark of {mark}, which Kaggle takes for a part of the first column's name",
            f"{path}, line 1",
            "Write it as UTF-8 without a mark.",
        )
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        read = [(reader.line_num, tuple(cells)) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise OnehourError(f"byte {error.start} is not UTF-8", str(path)) from None
    except csv.Error as error:
        raise OnehourError(f"it is no CSV ({error})", f"{path}, line {reader.line_num}") from None
    if not read:
        raise OnehourError(f"the {what} is empty", str(path))
    return Rows(path, read[0][1], tuple(cells for _, cells in read[1:]), tuple(line for line, _ in read[1:]))


def _require_header(found: Rows, wanted: Rows) -> None:
    where, header = f"{found.path}, line 1", ",".join(wanted.header)
    for name in wanted.header:
        if name not in found.header:
            hint = nearest(name, found.header) if len(found.header) < 10 else ""
            raise OnehourError(f"the column {name!r} is missing", where, hint or f"The header is {header}.")
    if found.header != wanted.header:
        raise OnehourError(f"the header is {','.join(found.header)}", where, f"It must be {header}.")
    for line, cells in zip(found.lines, found.cells, strict=True):
        if len(cells) != len(wanted.header):
            raise OnehourError(
                f"the row has {len(cells)} cells, the header {len(wanted.header)}", f"{found.path}, line {line}"
            )


def _require_ids(found: Rows, wanted: Rows) -> None:
    first: dict[str, int] = {}
    twice = []
    for line, (name, *_) in zip(found.lines, found.cells, strict=True):
        if first.setdefault(name, line) != line:
            twice.append(f"{name!r} in lines {first[name]} and {line}")
    if twice:
        raise OnehourError(f"an id has two rows: {_few(twice)}", str(found.path), "Keep one row for each.")
    ids = dict.fromkeys(cells[0] for cells in wanted.cells)
    missing = [name for name in ids if name not in first]
    extra = [f"{name!r} in line {line}" for name, line in first.items() if name not in ids]
    said = []
    if missing:
        said.append(f"{len(missing)} of {len(ids)} ids are missing: {_few([repr(name) for name in missing])}")
    if extra:
        said.append(f"{len(extra)} are not in the sample submission: {_few(extra)}")
    if said:
        raise OnehourError("; ".join(said), str(found.path), f"It must have each id of {wanted.path.name} once.")


def _require_answers(found: Rows, column: int, name: str, *, numeric: bool) -> None:
    bad = []
    for line, cells in zip(found.lines, found.cells, strict=True):
        cell = cells[column].strip()
        if not cell or cell.lower() in NAN or (numeric and not _is_number(cell)):
            bad.append(f"{cell!r} in line {line}")
    if bad:
        what = "number" if numeric else "answer"
        raise OnehourError(f"the column {name!r} has what is no {what}: {_few(bad)}", str(found.path))


def _is_numeric(sample: Rows, column: int) -> bool:
    return bool(sample.cells) and all(len(cells) > column and _is_number(cells[column]) for cells in sample.cells)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _few(things: Sequence[str]) -> str:
    return ", ".join(things[:3]) + (f" and {len(things) - 3} more" if len(things) > 3 else "")
