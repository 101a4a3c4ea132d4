"""The few things of Markdown that an import looks for: headings, ticked lists, tables. Code blocks hold none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_TICK = re.compile(r"\s*[-*+]\s+\[([ xX])\]\s+(.*\S)")
_BULLET = re.compile(r"\s*[-*+]\s+(.*\S)")
_LINK = re.compile(r"\[([^\]]*)\]\(\s*<?([^)\s>]+)>?[^)]*\)|<?(https?://[^\s|>)]+)>?")


@dataclass(frozen=True)
class Line:
    number: int
    text: str
    is_code: bool

    @property
    def heading(self) -> tuple[int, str] | None:
        """Level and words."""
        match = None if self.is_code else _HEADING.match(self.text)
        return None if match is None else (len(match[1]), match[2])

    @property
    def ticked(self) -> tuple[str, bool] | None:
        """Title of a `- [x]` line and whether it is done."""
        match = None if self.is_code else _TICK.match(self.text)
        return None if match is None else (match[2], match[1] != " ")

    @property
    def bullet(self) -> str | None:
        match = None if self.is_code else _BULLET.match(self.text)
        return None if match is None else match[1]


@dataclass(frozen=True)
class TableRow:
    """A row of a table, its cells by the column's name in lower case."""

    number: int
    cells: dict[str, str]


def lines_of(text: str) -> list[Line]:
    found, fence = [], ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        mark = re.match(r"\s*(```|~~~)", line)
        inside = bool(fence)
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
        found.append(Line(number, line, inside or bool(mark)))
    return found


def tables(lines: list[Line]) -> Iterator[list[TableRow]]:
    """Each table's rows; a table is a header line, a line of dashes and rows, all with bars."""
    at = 0
    while at < len(lines) - 1:
        head, rule = lines[at], lines[at + 1]
        if (
            head.is_code
            or "|" not in head.text
            or not re.fullmatch(r"[\s|:-]*-[\s|:-]*", rule.text)
            or "|" not in rule.text
        ):
            at += 1
            continue
        names = [name.strip(" *_`").lower() for name in _cells(head.text)]
        at += 2
        rows = []
        while at < len(lines) and "|" in lines[at].text and not lines[at].is_code:
            cells = _cells(lines[at].text)
            rows.append(TableRow(lines[at].number, dict(zip(names, cells + [""] * len(names), strict=False))))
            at += 1
        yield rows


def link_in(text: str) -> tuple[str, str] | None:
    """Words and address of the first link; for a bare address, no words."""
    match = _LINK.search(text)
    if match is None:
        return None
    return (match[1].strip(), match[2]) if match[2] else ("", match[3])


def without_links(text: str) -> str:
    """Links as their words."""
    return _LINK.sub(lambda match: match[1] or "", text).strip()


def _cells(line: str) -> list[str]:
    return [
        cell.strip().replace("\\|", "|")
        for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    ]
