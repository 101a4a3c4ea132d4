"""A Notion export in Markdown and CSV: databases as CSV with a folder of their pages beside them, pages as Markdown.

A database with addresses is a list of references, one with a column for what is done a todo list, one with dates a journal whose
rows are days. A page whose title or Date property is a day is that day's note; any other page a note outside the days. Ticked lists
are todos wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from app.exchange import diary
from app.exchange.csv_rows import CsvRow
from app.exchange.found import Found, FoundNote, FoundReference, FoundTodo
from app.exchange.markdown_page import Line, lines_of, link_in
from app.exchange.written_date import starts_with_date

TITLE = ("name", "title", "task", "todo", "page")
ADDRESS = ("url", "link", "address", "source")
DONE = ("done", "status", "checkbox", "completed", "complete", "checked", "finished")
DATE = ("date", "day", "due", "due date", "created", "created time")
IS_DONE = ("yes", "true", "x", "✓", "✔", "done", "complete", "completed", "checked", "finished")
_ID = re.compile(r"[ _-]?[0-9a-f]{32}(_all)?$")


@dataclass(frozen=True)
class Page:
    """A page without its title line and property lines."""

    name: str
    title: str
    properties: Mapping[str, str]
    lines: list[Line]

    @property
    def body(self) -> str:
        return "\n".join(line.text for line in self.lines).strip()

    @property
    def on(self) -> date | None:
        for written in (self.title, *(self.properties.get(name, "") for name in DATE)):
            day = starts_with_date(written)
            if day is not None:
                return day[0]
        return None


def page_of(name: str, text: str) -> Page:
    lines = lines_of(text)
    title, properties, at = _plain(PurePosixPath(name).stem), {}, 0
    while at < len(lines) and not lines[at].text.strip():
        at += 1
    if at < len(lines) and lines[at].heading and lines[at].heading[0] == 1:  # type: ignore[index]
        title, at = lines[at].heading[1], at + 1  # type: ignore[index]
        if _ID.search(PurePosixPath(name).stem):  # only Notion writes properties under the title
            while at < len(lines) and not lines[at].text.strip():
                at += 1
            first = at
            while at < len(lines) and (match := re.match(r"([^:#|*\-][^:]{0,60}):\s+(.*)", lines[at].text)):
                properties[match[1].strip().lower()] = match[2].strip()
                at += 1
            if at < len(lines) and lines[at].text.strip():  # it was text after all
                properties, at = {}, first
    return Page(name, title, properties, lines[at:])


def whole_tables(names: list[str]) -> list[str]:
    """Notion writes a database as it was shown and, beside it, whole (`_all`): the whole one counts."""
    return [name for name in names if f"{name.removesuffix('.csv')}_all.csv" not in names]


def is_table(columns: list[str]) -> bool:
    return _first(columns, ADDRESS) is not None or _first(columns, DONE + DATE) is not None


def read_table(name: str, rows: list[CsvRow], pages: Mapping[str, Page]) -> tuple[Found, set[str]]:
    """What a database holds, and the names of the pages that its rows are."""
    found, used = Found(), set[str]()
    if not rows:
        return found, used
    columns = list(rows[0].cells)
    title, day = _first(columns, TITLE) or columns[0], _first(columns, DATE)
    if _first(columns, ADDRESS):
        for row in rows:
            _reference(row, columns, title, found)
    elif done := _first(columns, DONE):
        for row in rows:
            _todo(row, title, done, day, found)
    else:
        _journal(name, rows, title, day or title, pages, found, used)
    return found, used


def read_page(page: Page) -> Found:
    found = Found()
    try:
        on = page.on
    except ValueError as error:
        found.cannot(f"{page.name}:1", str(error))
        return found
    diary.take_lists(page.name, page.lines, on, found)
    if _says_something(page):
        found.notes.append(FoundNote(f"{page.name}:1", on, _undated(page.title), page.body))
    return found


def _journal(
    name: str, rows: list[CsvRow], title: str, day: str, pages: Mapping[str, Page], found: Found, used: set[str]
) -> None:
    by_day: dict[date, list[tuple[CsvRow, str, str]]] = {}
    for row in rows:
        try:
            written = starts_with_date(row.cells[day]) or starts_with_date(row.cells[title])
            if written is None:
                raise ValueError(f"{row.cells[day]!r} is no date" if row.cells[day] else "a row without a date")
            on, heading = written[0], _undated(row.cells[title])
            page = _page_of_row(name, row.cells[title], on, pages, used)
        except ValueError as error:
            found.cannot(row.where, str(error))
            continue
        if page is not None:
            used.add(page.name)
            diary.take_lists(page.name, page.lines, on, found)
        told = [f"- {column}: {cell}" for column, cell in row.cells.items() if cell and column not in (title, day)]
        text = "\n\n".join(filter(None, ("\n".join(told), page.body if page else "")))
        by_day.setdefault(on, []).append((row, heading, f"## {heading}\n\n{text}".strip() if heading else text))
    for on, parts in by_day.items():
        body = "\n\n".join(filter(None, (text for _, _, text in parts)))
        headings = " · ".join(filter(None, (heading for _, heading, _ in parts)))
        if body:
            found.notes.append(FoundNote(parts[0][0].where, on, headings, body))


def _page_of_row(table: str, title: str, on: date, pages: Mapping[str, Page], used: set[str]) -> Page | None:
    """The page in the database's folder with the row's title; of several, the one of that day."""
    folder, stem = PurePosixPath(table).parent, PurePosixPath(table).stem
    folders = {str(folder / stem.removesuffix("_all")), str(folder / _plain(stem))}
    fitting = [
        page
        for name, page in pages.items()
        if name not in used and str(PurePosixPath(name).parent) in folders and page.title.strip() == title.strip()
    ]
    return next((page for page in fitting if page.on == on), fitting[0] if fitting else None)


def _todo(row: CsvRow, title: str, done: str, day: str | None, found: Found) -> None:
    try:
        written = starts_with_date(row.cells[day]) if day and row.cells[day] else None
        if day and row.cells[day] and written is None:
            raise ValueError(f"{row.cells[day]!r} is no date")
        if not row.cells[title]:
            raise ValueError("a todo without a title")
    except ValueError as error:
        found.cannot(row.where, str(error))
        return
    on, is_done = written[0] if written else None, row.cells[done].lower() in IS_DONE
    if on is not None or not is_done:  # of what was done nobody knows when, there is nothing to plan
        found.todos.append(FoundTodo(row.where, on, row.cells[title], is_done))


def _reference(row: CsvRow, columns: list[str], title: str, found: Found) -> None:
    def cell(*names: str) -> str:
        column = _first(columns, names)
        return row.cells[column] if column else ""

    link = link_in(cell(*ADDRESS))
    found.references.append(
        FoundReference(
            row.where,
            link[1] if link else cell(*ADDRESS),
            title="" if title in ADDRESS else row.cells[title],
            author=cell("author", "authors", "by"),
            licence=cell("licence", "license"),
            kind=cell("kind", "type").lower(),
            taken=cell("taken", "notes", "note", "summary", "comment", "what i took"),
        )
    )


def _says_something(page: Page) -> bool:
    """Whether there is more than headings and links to other exported pages."""
    rest = (re.sub(r"\[[^\]]*\]\((?!\w+:)[^)]*\.(md|csv)\)", "", line.text) for line in page.lines if not line.heading)
    return any(line.strip(" -*\t") for line in rest)


def _undated(title: str) -> str:
    """A title that says more than its day; else nothing."""
    written = starts_with_date(title)
    return title if written is None else written[1]


def _first(columns: list[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in columns), None)


def _plain(stem: str) -> str:
    return _ID.sub("", stem).strip()
