"""Week: was it worth it, what next? Hours used and lost, runs, best CV and LB with their change, what stayed open."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from app.journal.days import MINUTE_MS
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import week as week_report
from app.reports.day import run_line
from app.reports.week import BestScore, DayMark, Week

# A shape and a word beside the number, so that no colour is needed.
SHAPES: dict[DayMark, str] = {
    "full": "■",
    "part": "◧",
    "lost": "✕",
    "free": "–",
    "rest": "☾",
    "today": "○",
    "to come": "·",
}


def show(journal: Journal, at: Sitting) -> None:
    challenge = at.challenge
    if at.day_number < 1:
        st.caption(f"The challenge starts on {challenge.starts_on}.")
        return
    count = (min(at.day_number, challenge.days) - 1) // 7 + 1
    chosen = st.selectbox(
        "Week", range(count, 0, -1), key="week", label_visibility="collapsed", format_func="Week {}".format
    )
    with journal.reading() as db:
        week = week_report.of_day(db, challenge, challenge.starts_on + timedelta(days=7 * (chosen - 1)), at.now)
    st.markdown(_days(week, at))
    _figures(week)
    st.markdown(f"**Runs** ({len(week.runs)})")
    if week.runs:
        st.text("\n".join(run_line(run, week.verdicts.get(run.row.run_id)) for run in week.runs))
    else:
        st.caption("No run was queued this week.")
    st.markdown(f"**Still open** ({len(week.open_todos)})")
    if week.open_todos:
        st.text(
            "\n".join(
                f"▢ {todo.title}" + (f" ({todo.minutes:g} min)" if todo.minutes else "") for todo in week.open_todos
            )
        )
    else:
        st.caption("Nothing is left over. Plan the next step on Today.")


def _days(week: Week, at: Sitting) -> str:
    """A strip of the week's days: shape, word, minutes."""
    head = " | ".join(day.strftime("%a %d") for day, _, _ in week.marks)
    shapes = " | ".join(f"{SHAPES[state]} {state}" for _, state, _ in week.marks)
    minutes = " | ".join(f"{used / MINUTE_MS:.0f} min" if used else "–" for _, _, used in week.marks)
    line = "|".join([":-:"] * len(week.marks))
    return f"| {head} |\n|{line}|\n| {shapes} |\n| {minutes} |\n"


def _figures(week: Week) -> None:
    used, lost, cv, public = st.columns(4)
    used.metric("Hours used", f"{_hours(week.used_ms)} of {_hours(week.planned_ms)}")
    days = f"{week.lost_days} day{'s' * (week.lost_days > 1)} without an hour" if week.lost_days else None
    lost.metric("Hours lost", _hours(week.lost_ms), days, delta_color="off", delta_arrow="off")
    for place, name, found in ((cv, "Best CV", week.cv), (public, "Best LB (public)", week.public)):
        place.metric(name, "–" if found.score is None else f"{found.score:.3f}", _change(found))


def _hours(ms: int) -> str:
    return f"{ms / MINUTE_MS / 60:.1f}"


def _change(found: BestScore) -> str | None:
    """The gain over all earlier weeks; positive is better whatever the metric's direction."""
    return None if found.gain is None else f"{found.gain:+.3f}"
