"""The plan of the day: what to do with the hour, in order, held against the minutes that are left."""

from __future__ import annotations

import streamlit as st

from app.journal import todos
from app.journal.days import MINUTE_MS
from app.journal.hour import State
from app.journal.rules import PLANNING, Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Todo
from app.views.desk import attempt, plain
from app.views.run_words import OVERTIME
from engine.contract import OnehourError


def show(journal: Journal, at: Sitting, planned: list[Todo], done: list[Todo]) -> None:
    granted = permit(Action.WORK, at.moment)
    may_tick = granted in (Permit.YES, Permit.OVERTIME)
    reason = "" if may_tick else refusal(Action.WORK, at.moment, PLANNING)
    if at.winds_down_at is not None and at.now >= at.winds_down_at:
        st.info("Ten minutes left: queue the night's jobs, write tomorrow's first step.", icon="🌙")
    over = at.state in (State.REFLECTION, State.CLOSED)
    st.markdown("**Plan**" if over else f"**Plan for {at.left_ms / MINUTE_MS:.0f} minutes**{_fit(at, planned)}")
    with journal.reading() as db:
        linked = todos.links_of(db, planned)
    for todo in planned:
        key = f"todo_{todo.id}"
        with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center", key=f"row_of_{key}"):
            st.checkbox(
                " · ".join([plain(todo.title), *_about(at, todo), *(plain(name) for name in linked.get(todo.id, ()))]),
                key=key,
                disabled=not may_tick,
                on_change=attempt,
                args=(_tick, journal, todo.id, key),
                width="stretch",
            )
            if may_tick and len(planned) > 1:
                for sign, way, steps in (("↑", "up", -1), ("↓", "down", 1)):
                    st.button(
                        # page.css hides the words from the screen only: a screen reader tells which todo moves.
                        f"{sign}:gray[ move {way} {plain(todo.title)}]",
                        key=f"move_{todo.id}_{steps}",
                        type="tertiary",
                        on_click=attempt,
                        args=(todos.move, journal, todo.id, steps),
                    )
    for todo in done:
        flag = _overtime(at, todo.done_at or todo.created_at)
        # Struck through by page.css: a screen reader is told the label as it is written here.
        st.checkbox(f"{plain(todo.title)}{flag}", value=True, disabled=True, key=f"done_{todo.id}")
    if not planned and not done:
        st.caption("Nothing planned yet. One or two things are enough.")
    for_tomorrow = granted is Permit.PLAN
    with st.form("todo", border=False):
        title, minutes_asked, add = st.columns([2.4, 1, 1], gap="small")
        words = "Add for tomorrow" if for_tomorrow else "Add a todo"
        off = granted is Permit.NO
        title.text_input(words, key="todo_title", placeholder=words, label_visibility="collapsed", disabled=off)
        minutes_asked.text_input(
            "Minutes", key="todo_minutes", placeholder="min", label_visibility="collapsed", disabled=off
        )
        add.form_submit_button("Add", disabled=off, on_click=attempt, args=(_add, journal, for_tomorrow))
    if reason:
        st.caption(reason)
    if granted is Permit.OVERTIME:
        st.caption("The hour is over. What you do now is flagged as overtime and stays out of the count.")
    if may_tick and planned:
        _change(journal, planned)


def _change(journal: Journal, planned: list[Todo]) -> None:
    """One form for whichever todo is chosen: a field for each of them would make the page slow."""
    with st.popover("Change a todo"):
        by_id = {todo.id: todo for todo in planned}
        chosen = by_id[st.selectbox("Todo", by_id, format_func=lambda id: by_id[id].title, key="change_todo")]
        with st.form("change", border=False):
            key = f"change_{{}}_{chosen.id}".format
            st.text_input("Title", chosen.title, key=key("title"))
            st.text_input("Minutes", f"{chosen.minutes:g}" if chosen.minutes else "", key=key("minutes"))
            st.toggle("Important", bool(chosen.priority), key=key("priority"))
            st.date_input("Day", chosen.planned_on, key=key("day"), format="YYYY-MM-DD")
            with st.container(horizontal=True):
                st.form_submit_button("Keep", on_click=attempt, args=(_keep, journal, chosen))
                st.form_submit_button("Remove it", on_click=attempt, args=(todos.remove, journal, chosen.id))


def _keep(journal: Journal, todo: Todo) -> None:
    asked = {name: st.session_state[f"change_{name}_{todo.id}"] for name in ("title", "minutes", "priority", "day")}
    on = asked["day"] if asked["day"] != todo.planned_on else None
    important = todos.IMPORTANT if asked["priority"] else todos.USUAL
    todos.change(
        journal, todo.id, title=asked["title"], minutes=_minutes(asked["minutes"]) or 0, on=on, priority=important
    )


def _about(at: Sitting, todo: Todo) -> list[str]:
    """What stands behind a todo's title: its estimate, that it is important, the day from which it rolled over."""
    left_over = todos.left_over_from(todo, at.challenge, at.local_date)
    said = [f"{todo.minutes:g} min"] if todo.minutes else []
    said += ["**important**"] if todo.priority else []
    said += [OVERTIME] if at.is_overtime(todo.created_at) else []
    return said + ([f":gray[from {left_over}]"] if left_over is not None else [])


def _overtime(at: Sitting, moment: int) -> str:
    return f" {OVERTIME}" if at.is_overtime(moment) else ""


def _fit(at: Sitting, planned: list[Todo]) -> str:
    """Whether the estimates of the open todos fit into the time left."""
    asked = sum(todo.minutes or 0 for todo in planned)
    if not asked:
        return ""
    over = asked - at.left_ms / MINUTE_MS
    return f" :gray[{asked:.0f} planned" + (f", {over:.0f} too many]" if over >= 1 else "]")


def _tick(journal: Journal, todo_id: int, key: str) -> None:
    try:
        todos.done(journal, todo_id)
    except OnehourError:
        st.session_state[key] = False
        raise


def _add(journal: Journal, for_tomorrow: bool) -> None:
    asked = st.session_state
    todos.add(journal, asked.todo_title, _minutes(asked.todo_minutes), tomorrow=for_tomorrow)
    # Emptied only now: what was refused stays to be mended.
    asked.todo_title = asked.todo_minutes = ""


def _minutes(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise OnehourError(f"{text!r} is no number of minutes", fix="Write 15, or leave it empty.") from None
