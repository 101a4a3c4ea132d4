"""The calendar of the challenge: a square a day, walked by arrow keys, opened by Enter or a click."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import streamlit as st

from app.reports.day_calendar import CalendarDay
from app.reports.week import DayMark

HERE = Path(__file__).parent
HTML = """<div class="calendar">
  <div class="weeks" role="group" aria-label="Calendar of the challenge"></div>
  <p class="said" aria-hidden="true"></p>
</div>"""
KEY = "calendar"

_mount = st.components.v2.component(
    "onehour_calendar",
    html=HTML,
    css=(HERE / "day_calendar.css").read_text(encoding="utf-8"),
    js=(HERE / "day_calendar.js").read_text(encoding="utf-8"),
)


def day_calendar(
    days: Sequence[CalendarDay], today: date, chosen: date | None, on_open: Callable[[date], None]
) -> None:
    """Show the days with `chosen` framed. `on_open` is called with the day that a person opened, before the page runs again."""
    data = {
        "days": [
            {
                "date": day.local_date.isoformat(),
                "number": day.number,
                "mark": day.mark.replace(" ", "-"),
                "late": day.is_late,
                "says": day.in_words,
                "ahead": day.local_date > today,
            }
            for day in days
        ],
        "today": today.isoformat(),
        "chosen": None if chosen is None else chosen.isoformat(),
        "legend": legend(days),
    }
    _mount(key=KEY, data=data, on_day_change=lambda: on_open(date.fromisoformat(st.session_state[KEY].day)))


def legend(days: Sequence[CalendarDay]) -> list[tuple[str, str]]:
    """Each mark that occurs, with its words and count: `("full", "full 12")`; late notes last."""
    counted: Counter[DayMark] = Counter(day.mark for day in days)
    order: tuple[DayMark, ...] = ("full", "part", "lost", "free", "rest", "today", "to come")
    found = [
        (mark.replace(" ", "-"), mark if mark == "today" else f"{mark} {counted[mark]}")
        for mark in order
        if counted[mark]
    ]
    late = sum(day.is_late for day in days)
    return [*found, ("late", f"note late {late}")] if late else found
