"""Week: was it worth it, what next? Hours and their division, gain, runs with verdicts, three questions, the plan, the file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import streamlit as st

from app.components.editor import editor
from app.journal import challenges, reviews, todos
from app.journal.days import DAY, MINUTE_MS
from app.journal.rules import PLANNING, Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import week as week_report
from app.reports import week_page
from app.reports.week import DayMark, NextWeek, Week
from app.scores.run_rows import score_text
from app.views.desk import attempt, plain
from app.views.note_text import note_text
from app.views.run_words import cv_words, lb_words, state_words, verdict_words

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
SHOWN_RUNS = 30


def show(journal: Journal, at: Sitting) -> None:
    challenge = at.challenge
    if at.day_number < 1:
        st.caption(f"The challenge starts on {challenge.starts_on}.")
        return
    count = (min(at.day_number, challenge.days) - 1) // 7 + 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="week_head"):
        chosen = st.selectbox(
            "Week",
            range(count, 0, -1),
            key="week",
            label_visibility="collapsed",
            format_func="Week {}".format,
            width=140,
        )
        first = challenge.starts_on + timedelta(days=7 * (chosen - 1))
        for kind, mime in (("Markdown", "text/markdown"), ("HTML", "text/html")):
            st.download_button(
                f"{kind} file",
                _file(journal, first, kind),
                file_name=f"{challenge.slug}-week-{chosen}.{'md' if kind == 'Markdown' else 'html'}",
                mime=mime,
                on_click="ignore",
            )
    with journal.reading() as db:
        week = week_report.of_day(db, challenge, first, at.now)
    _days(week)
    _figures(week)
    numbers, review = st.columns([1, 1.4], gap="medium")
    with numbers:
        _split(week)
        _lines("Machines", week_page.machine_lines(week), "No training this week.")
        _lines("References collected", [f"{row.title} (&{row.key})" for row in week.collected], "None this week.")
    with review:
        st.markdown("**The three questions**")
        if week.note is None:
            st.button("Answer them", on_click=attempt, args=(reviews.begin_week, journal, week.number))
        else:
            st.fragment(_review)(journal, at, week.number)
    _runs(week)
    left, ahead = st.columns(2, gap="medium")
    with left:
        still = [week_page.todo_line(todo) for todo in week.open_todos]
        _lines(f"Still open ({len(still)})", still, "Nothing is left over.")
    with ahead:
        if week.next_week is not None and week.next_week.last >= at.local_date:
            _next(journal, at, week.next_week)


def _file(journal: Journal, first: date, kind: str) -> Callable[[], str]:
    """Made when it is asked for: the figures take a second."""

    def made() -> str:
        with journal.reading() as db:
            challenge = challenges.active(db)
            week = week_report.of_day(db, challenge, first, journal.now())
            if kind == "Markdown":
                return week_page.page(challenge, week)
            return week_page.html(db, journal.home, challenge, week)

    return made


def _days(week: Week) -> None:
    """A strip of the week's days: shape, word, minutes. It wraps where there is no room for seven."""
    with st.container(horizontal=True, gap="medium", key="week_days"):
        for day, state, used in week.marks:
            minutes = f"{used / MINUTE_MS:.0f} min" if used else "–"
            st.markdown(f"**{day:%a %d}**  \n{SHAPES[state]} {state}  \n{minutes}", width="content")


def _figures(week: Week) -> None:
    used, lost, cv, public = st.columns(4)
    used.metric("Hours used", f"{week_page.hours(week.used_ms)} of {week_page.hours(week.planned_ms)}")
    days = week_page.lost_days(week) or None
    lost.metric("Hours lost", week_page.hours(week.lost_ms), days, delta_color="off", delta_arrow="off")
    for place, name, found in ((cv, "Best CV", week.cv), (public, "Best LB (public)", week.public)):
        place.metric(name, score_text(found.score), " · ".join(week_page.change(week, found)) or None)


def _split(week: Week) -> None:
    st.markdown("**How the hours were spent**")
    if not sum(week.split.values()):
        st.caption("No hour was used this week.")
        return
    lines = []
    for name, minutes, share, target in week_page.split_rows(week):
        aim = f" (target {target})" if target else ""
        lines.append(f"| {name} | {minutes} min | {share}{aim} |")
    st.markdown("| Activity | Time | Share |\n|---|--:|--:|\n" + "\n".join(lines))


def _lines(title: str, lines: list[str], empty: str) -> None:
    """A heading and a list; `lines` are plain text."""
    st.markdown(f"**{title}**")
    if lines:
        st.markdown("\n".join(f"- {plain(line)}" for line in lines))
    else:
        st.caption(empty)


def _review(journal: Journal, at: Sitting, number: int) -> None:
    """A fragment of its own: a save draws only this again."""
    with journal.reading() as db:
        note = reviews.of_week(db, at.challenge, number)
    if note is None:  # the journal was set back meanwhile
        st.rerun()
    flagged = permit(Action.INBOX, at.moment) is Permit.FLAGGED
    editor(
        f"week_{number}",
        challenge=at.challenge.slug,
        note=note.id,
        body=note.body,
        revision=note.revision,
        open=True,
        says="What you write now is flagged: outside the hour" if flagged else "",
        drawn_at=journal.now(),
    )
    with st.expander("Preview"), journal.reading() as db:
        note_text(db, at.challenge, note.body)


def _runs(week: Week) -> None:
    st.markdown(f"**Runs** ({len(week.runs)})")
    if not week.runs:
        st.caption("No run was queued this week.")
        return
    newest = week.runs[-SHOWN_RUNS:]
    lines = []
    for run in newest:
        row = run.row
        scores = (cv_words(row), lb_words(run))
        verdict = verdict_words(week.verdicts.get(row.run_id))
        said = (
            f"`{row.run_key}` {plain(row.hypothesis)}",
            *(scores if row.cv is not None else (state_words(row),)),
            verdict,
        )
        lines.append("- " + " · ".join(part for part in said if part))
    st.markdown("\n".join(lines))
    if len(newest) < len(week.runs):
        st.caption(f"The newest {len(newest)} of {len(week.runs)}; the file and the Runs page have them all.")


def _next(journal: Journal, at: Sitting, ahead: NextWeek) -> None:
    planned = week_page.planned_lines(ahead)
    _lines(f"Next week: {week_page.room(ahead)}", planned, "Nothing is planned for it yet.")
    granted = permit(Action.WORK, at.moment)
    off = granted is Permit.NO
    with st.form("next_week", border=False):
        title, day, add = st.columns([2.4, 1.2, 0.9], gap="small")
        title.text_input(
            "Todo for next week",
            key="next_title",
            placeholder="Todo for next week",
            label_visibility="collapsed",
            disabled=off,
        )
        first = max(ahead.first, at.local_date)
        choices = [first + DAY * n for n in range((ahead.last - first).days + 1)]
        day.selectbox(
            "Day", choices, key="next_day", format_func="{:%a %d}".format, label_visibility="collapsed", disabled=off
        )
        add.form_submit_button("Add", on_click=attempt, args=(_add, journal), disabled=off)
    if off:
        st.caption(refusal(Action.WORK, at.moment, PLANNING))


def _add(journal: Journal) -> None:
    todos.add(journal, st.session_state.next_title, on=st.session_state.next_day)
    st.session_state.next_title = ""
