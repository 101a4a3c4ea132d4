"""Dates as people and programs write them in headings, columns and properties."""

from __future__ import annotations

import re
from datetime import date

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NUMBERS = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})日?(?!\d)")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.?\s+([A-Za-z]{3,9})\.?,?\s+(\d{4})")
_TWO_DAYS = re.compile(r"\d{1,2}\s*([-/.])\s*\d{1,2}\s*\1\s*\d{4}(?!\d)|\d{1,2}/\d{1,2}/\d{2}(?!\d)")
_DAY_NUMBER = re.compile(r"day\s*#?(\d{1,4})\b", re.IGNORECASE)


def starts_with_date(text: str) -> tuple[date, str] | None:
    """The date that `text` begins with, and what follows it.

    2019-02-12, 2019/2/12, 2019年2月12日, February 12, 2019, 12 Feb 2019, each also behind an @ or in bold.
    Raises ValueError for one that is on no calendar, and for a form such as 12/02/2019, which can mean two days.
    """
    text = text.lstrip(" \t@*_([")
    if unclear := _TWO_DAYS.match(text):
        raise ValueError(f"{unclear[0]!r} can mean two days; write the year first, as in 2019-02-12")
    for pattern, order in ((_NUMBERS, "ymd"), (_MONTH_FIRST, "mdy"), (_DAY_FIRST, "dmy")):
        match = pattern.match(text)
        if match is None:
            continue
        part = dict(zip(order, match.groups(), strict=True))
        if not part["m"].isdigit():
            if part["m"][:3].lower() not in MONTHS:
                continue
            part["m"] = str(MONTHS.index(part["m"][:3].lower()) + 1)
        try:
            on = date(int(part["y"]), int(part["m"]), int(part["d"]))
        except ValueError:
            raise ValueError(f"{match[0]!r} is no day of the calendar") from None
        return on, text[match.end() :].strip(" \t*_)]:–—-|,.")
    return None


def starts_with_day_number(text: str) -> tuple[int, str] | None:
    """`Day 3: crops` → (3, "crops")."""
    match = _DAY_NUMBER.match(text.lstrip(" \t*_("))
    return None if match is None else (int(match[1]), text.lstrip(" \t*_(")[match.end() :].strip(" \t*_):–—-|,."))
