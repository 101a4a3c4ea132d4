"""A CSV file as rows that know their line."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from app.exchange.found import Found


@dataclass(frozen=True)
class CsvRow:
    """`where` is file:line of the row's end; the cells by the column's name in lower case."""

    where: str
    cells: dict[str, str]


def columns_of(text: str) -> list[str]:
    """The header's names in lower case; empty when there is none."""
    try:
        return [name.strip().lower() for name in next(csv.reader(io.StringIO(text, newline="")), [])]
    except csv.Error:
        return []


def rows_of(name: str, text: str, found: Found) -> list[CsvRow]:
    """The rows that have a cell for each column; of the others `found` tells the line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns, rows = columns_of(text), []
    try:
        next(reader, None)
        for cells in reader:
            where = f"{name}:{reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                found.cannot(where, f"{len(cells)} cells where the header has {len(columns)}")
                continue
            rows.append(CsvRow(where, {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}))
    except csv.Error as error:
        found.cannot(f"{name}:{reader.line_num}", f"this is no CSV ({error})")
    return rows
