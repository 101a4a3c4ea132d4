"""A "Kaggle diary": a Markdown file with a heading for each day, `## 2019-02-12` or `### Day 3`, and what was done under it.

Of each day comes its text as the day's note, ticked lines (and the bullets under a heading "Todo") as todos, rows of tables with a
leaderboard score as submissions, rows of tables that link to papers or kernels as references. What stands under no day becomes one note
outside the days.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from datetime import date, timedelta

from app.exchange.found import Found, FoundNote, FoundReference, FoundSubmission, FoundTodo
from app.exchange.markdown_page import Line, TableRow, lines_of, link_in, tables, without_links
from app.exchange.written_date import starts_with_date, starts_with_day_number

PUBLIC = (
    "public",
    "public lb",
    "lb public",
    "lb",
    "public score",
    "publicscore",
    "public leaderboard",
    "lb score",
    "score (lb)",
)
PRIVATE = ("private", "private lb", "lb private", "private score", "privatescore", "private leaderboard")
DAY = ("date", "day")
FILE = ("file", "filename", "submission", "run", "model", "experiment", "name", "what")
LINKED = ("paper", "kernel", "reference", "link", "url", "address", "discussion", "repository", "title", "source")
NO_SCORE = ("", "-", "–", "—", "n/a", "na", "?", "none")


@dataclass
class Section:
    """The lines of one day, or (on None) those of no day. `broken`: its heading names a day that cannot be."""

    on: date | None
    level: int
    lines: list[Line] = field(default_factory=list)
    title: str = ""
    broken: bool = False


def is_diary(text: str) -> bool:
    """Whether a heading names a day."""
    return any(_names_a_day(line.heading[1]) for line in lines_of(text) if line.heading)


def read(name: str, text: str, starts_on: date) -> Found:
    """`starts_on` is the day from which `Day 3` is counted where no heading of the diary tells a number with its date."""
    found = Found()
    by_day: dict[date, list[Section]] = {}
    outside: list[Line] = []
    for section in _sections(name, text, starts_on, found):
        if section.on is not None:
            by_day.setdefault(section.on, []).append(section)
        elif not section.broken:
            outside += section.lines
        if not section.broken:
            take_lists(name, section.lines, section.on, found)
    for on, sections in by_day.items():
        body = "\n\n".join(filter(None, (_body(section) for section in sections)))
        if body:
            found.notes.append(FoundNote(f"{name}:{sections[0].lines[0].number}", on, "", body))
    body = "\n".join(line.text for line in outside).strip()
    if body:
        found.notes.append(FoundNote(f"{name}:1", None, _title(name, outside), body))
    return found


def take_lists(name: str, lines: list[Line], on: date | None, found: Found) -> None:
    """Todos, submissions and references among the lines of one day or page. A ticked todo of no day stays text alone."""
    under_todo = False
    for line in lines:
        if line.heading:
            under_todo = bool(re.fullmatch(r"to-?\s?dos?( list)?:?", line.heading[1].strip("*_ "), re.IGNORECASE))
        todo = line.ticked or ((line.bullet, False) if under_todo and line.bullet else None)
        if todo and not (todo[1] and on is None):
            found.todos.append(FoundTodo(f"{name}:{line.number}", on, without_marks(todo[0]), todo[1]))
    for rows in tables(lines):
        for row in rows:
            where = f"{name}:{row.number}"
            try:
                if set(row.cells) & {*PUBLIC, *PRIVATE}:
                    found.submissions += _submission(where, row, on)
                else:
                    found.references += _reference(where, row)
            except ValueError as error:
                found.cannot(where, str(error))


def without_marks(text: str) -> str:
    """A line's words: links as their text, no emphasis."""
    return " ".join(re.sub(r"[*_`~]{2,}|(?<!\w)[*_`]|[*_`](?!\w)", "", without_links(text) or text).split())


def _sections(name: str, text: str, starts_on: date, found: Found) -> list[Section]:
    sections = [Section(None, 0)]
    lines = lines_of(text)
    starts_on = _own_first_day(lines) or starts_on
    for line in lines:
        if line.heading:
            level, words = line.heading
            try:
                day = _day(words, starts_on)
            except ValueError as error:
                found.cannot(f"{name}:{line.number}", str(error))
                sections.append(Section(None, level, [line], broken=True))
                continue
            if day is not None:
                sections.append(Section(day[0], level, [line], day[1]))
                continue
            if level <= sections[-1].level:
                sections.append(Section(None, 0))
        sections[-1].lines.append(line)
    return sections


def _own_first_day(lines: list[Line]) -> date | None:
    """The diary's day 1, where a heading tells both number and date: `Day 3 (2019-02-12)`."""
    for line in lines:
        numbered = starts_with_day_number(line.heading[1]) if line.heading else None
        if numbered is not None:
            with contextlib.suppress(ValueError):
                if written := starts_with_date(numbered[1]):
                    return written[0] - timedelta(days=numbered[0] - 1)
    return None


def _names_a_day(words: str) -> bool:
    try:
        return _day(words, date(2000, 1, 1)) is not None
    except ValueError:
        return True


def _day(words: str, starts_on: date) -> tuple[date, str] | None:
    """Day and the rest of a heading; a date behind the number (`Day 3 (2019-02-12)`) says more than the number."""
    written = starts_with_date(words)
    if written is not None:
        return written
    numbered = starts_with_day_number(words)
    if numbered is None:
        return None
    number, rest = numbered
    written = starts_with_date(rest)
    if written is not None:
        return written
    if number < 1:
        raise ValueError("days are counted from 1")
    return starts_on + timedelta(days=number - 1), rest


def _body(section: Section) -> str:
    text = "\n".join(line.text for line in section.lines[1:]).strip()
    return f"## {section.title}\n\n{text}".strip() if section.title else text


def _title(name: str, lines: list[Line]) -> str:
    return next((line.heading[1] for line in lines if line.heading), "") or name


def _submission(where: str, row: TableRow, on: date | None) -> list[FoundSubmission]:
    cells = dict(row.cells)
    public, private = (_score(_take(cells, names)) for names in (PUBLIC, PRIVATE))
    written = _take(cells, DAY)
    if written:
        day = starts_with_date(written)
        if day is None and on is None:
            raise ValueError(f"{written!r} is no date")
        on = day[0] if day else on
    if public is None and private is None:
        return []
    if on is None:
        raise ValueError("a score without a day")
    file_name = without_marks(_take(cells, FILE)) or _first_words(cells) or "submission"
    said = ", ".join(f"{name} {without_marks(cell)}" for name, cell in cells.items() if cell.strip())
    return [FoundSubmission(where, file_name, said, on=on, public=public, private=private)]


def _first_words(cells: dict[str, str]) -> str:
    """The first cell that holds more than numbers, whatever its column is called; it is not told a second time."""
    for name, cell in cells.items():
        words = without_marks(cell)
        if words.lower() not in NO_SCORE and re.search(r"[^\W\d_]", words):
            del cells[name]
            return words
    return ""


def _reference(where: str, row: TableRow) -> list[FoundReference]:
    cells = dict(row.cells)
    column = next((name for name in LINKED if link_in(cells.get(name, ""))), None)
    if column is None:
        return []
    words, url = link_in(cells.pop(column)) or ("", "")
    title = words or without_marks(_take(cells, ("title", "name", "paper", "kernel")))
    author, licence = _take(cells, ("author", "authors", "by")), _take(cells, ("licence", "license"))
    said = "; ".join(f"{name}: {without_marks(cell)}" for name, cell in cells.items() if cell.strip())
    return [FoundReference(where, url, title, without_marks(author), without_marks(licence), taken=said)]


def _take(cells: dict[str, str], names: tuple[str, ...]) -> str:
    """The first of these columns that is there; it is not told a second time."""
    for name in names:
        if name in cells:
            return cells.pop(name)
    return ""


def _score(cell: str) -> float | None:
    text = cell.strip(" *_`")
    if text.lower() in NO_SCORE:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no score") from None
