"""A CSV file read strictly: known columns, whole rows, each cell with the line it stands on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError, nearest


@dataclass(frozen=True)
class CsvTable:
    """`rows[i]` holds the cells of file line `lines[i]` (the header is line 1), in the order of `columns`."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def refuse_columns(self, wanted: Sequence[str], remedy: str = "") -> None:
        """Raise OnehourError unless the columns are exactly `wanted`, in any order."""
        missing = [name for name in wanted if name not in self.columns]
        extra = [name for name in self.columns if name not in wanted]
        where = f"{self.path}, line 1"
        if missing:
            hint = nearest(missing[0], extra or self.columns)
            raise OnehourError(f"the column {missing[0]!r} is missing", where, " ".join(filter(None, (hint, remedy))))
        if extra:
            raise OnehourError(
                f"the column {extra[0]!r} is not known", where, f"Keep only the columns {', '.join(map(repr, wanted))}."
            )

    def column(self, name: str) -> tuple[str, ...]:
        index = self.columns.index(name)
        return tuple(row[index] for row in self.rows)


def read_csv_table(path: Path) -> CsvTable:
    """Read a UTF-8 CSV with a header; a byte order mark and blank lines are fine.

    Raises OnehourError for an absent, unreadable, empty or ragged file and for a column that stands there twice.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise OnehourError("there is no such file", str(path), _sibling_hint(path)) from None
    except OSError as error:
        raise OnehourError(f"the file cannot be read ({error.strerror})", str(path)) from None
    except UnicodeDecodeError as error:
        raise OnehourError(f"byte {error.start} is not UTF-8", str(path), "Save the file as UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if cells:
                records.append((reader.line_num, cells))
    except csv.Error as error:
        raise OnehourError(f"this is not CSV ({error})", f"{path}, line {reader.line_num}") from None
    if not records:
        raise OnehourError("the file is empty", str(path), "It needs a header line and one row an image.")
    header = tuple(records[0][1])
    for name in header:
        if header.count(name) > 1:
            raise OnehourError(f"the column {name!r} stands there twice", f"{path}, line 1")
    for line, cells in records[1:]:
        if len(cells) != len(header):
            raise OnehourError(
                f"the row has {counted(len(cells), 'cell')}",
                f"{path}, line {line}",
                f"The header names {counted(len(header), 'column')}.",
            )
    return CsvTable(
        path, header, tuple(tuple(cells) for _, cells in records[1:]), tuple(line for line, _ in records[1:])
    )


def refuse_found(found: Iterable[str], what: str, where: str, fix: str) -> None:
    """Raise OnehourError when anything was `found`: the first three are named, the rest counted."""
    everything = list(found)
    if everything:
        raise OnehourError(f"{what}: {first_few(everything)}", where, fix)


def refuse_twice(table: CsvTable, images: Sequence[str]) -> None:
    """Raise OnehourError where two rows of `table` name one image; `images` is its column of them."""
    first_line: dict[str, int] = {}
    twice = [
        f"{image!r} in lines {first_line[image]} and {line}"
        for line, image in zip(table.lines, images, strict=True)
        if first_line.setdefault(image, line) != line
    ]
    refuse_found(twice, "an image has two rows", str(table.path), "Keep one row an image.")


def first_few(things: Sequence[str], count: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(things[:count])
    return f"{shown} and {len(things) - count} more" if len(things) > count else shown


def counted(number: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _sibling_hint(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    names = sorted(entry.name for entry in path.parent.glob(f"*{path.suffix}"))
    return nearest(path.name, names) if names else ""
