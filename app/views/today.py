"""Today: where do I stand, what do I do with this hour? What is not allowed now is greyed and says why."""

from __future__ import annotations

import streamlit as st

from app.components.editor import editor
from app.jobs import sample_challenge
from app.journal import days, inbox, notes, todos
from app.journal.days import MINUTE_MS
from app.journal.hour import State
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sessions import Sitting
from app.journal.store import Journal
from app.journal.tables import InboxItem, Todo
from app.reports import resume
from app.views import day_runs, queue_form
from app.views.desk import attempt, plain
from app.views.note_text import note_text
from app.views.run_words import cv_words, state_words
from engine.contract import OnehourError


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        planned = todos.open_ones(db, at.challenge, until=at.local_date)
        card = resume.read(db, at, planned)
        day_starts_at = days.day_starts(at.local_date, at.challenge.time_zone, at.challenge.day_starts_at)
        done = todos.done_between(db, at.challenge, day_starts_at, at.now + 1)
        thoughts = inbox.latest(db, at.challenge, limit=3)
    _resume(at, card)
    plan, note = st.columns([1, 2.6], gap="medium")
    with plan:
        _plan(journal, at, planned, done)
        _inbox(journal, at, thoughts)
    with note:
        st.fragment(_note)(journal, at)
    day_runs.show(journal, at)
    queue_form.show(journal, at)


def _resume(at: Sitting, card: resume.Resume) -> None:
    with st.container(border=True, key="resume", gap="xxsmall"):
        if card.is_empty and at.challenge.competition == sample_challenge.SLUG:
            st.markdown(
                f"The data is drawn. Start the hour, then queue a first run below: the preset {sample_challenge.PRESET} "
                "takes about two minutes and comes back with CV and LB."
            )
        elif card.is_empty:
            st.caption("Nothing to resume yet. Start the hour, write the plan, queue a first run.")
        said = []
        if card.next_step:
            when = "Yesterday" if card.wrote_on == at.local_date - days.DAY else f"On {card.wrote_on}"
            said.append(f"{when} you wrote: **{plain(card.next_step)}**")
        if card.first_todo:
            said.append(f"First on the list: {plain(card.first_todo)}")
        if said:
            st.markdown(" · ".join(said))
        for run in card.finished[-3:]:
            parts = (f"`{run.run_key}`", plain(run.hypothesis), state_words(run), f"**{cv_words(run)}**" * bool(run.cv))
            st.markdown(" · ".join(part for part in parts if part))


def _plan(journal: Journal, at: Sitting, planned: list[Todo], done: list[Todo]) -> None:
    granted = permit(Action.WORK, at.moment)
    may_tick = granted in (Permit.YES, Permit.OVERTIME)
    reason = "" if may_tick else refusal(Action.WORK, at.moment, "Planning")
    over = at.state in (State.REFLECTION, State.CLOSED)
    st.markdown("**Plan**" if over else f"**Plan for {at.left_ms / MINUTE_MS:.0f} minutes**{_fit(at, planned)}")
    with journal.reading() as db:
        linked = todos.links_of(db, planned)
    for todo in planned:
        with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center"):
            key = f"todo_{todo.id}"
            st.checkbox(
                " · ".join([plain(todo.title), *_about(at, todo), *(plain(name) for name in linked.get(todo.id, ()))]),
                key=key,
                disabled=not may_tick,
                on_change=attempt,
                args=(_tick, journal, todo.id, key),
                width="stretch",
            )
            if may_tick and len(planned) > 1:
                for sign, steps in (("↑", -1), ("↓", 1)):
                    st.button(
                        sign,
                        key=f"move_{todo.id}_{steps}",
                        type="tertiary",
                        on_click=attempt,
                        args=(todos.move, journal, todo.id, steps),
                    )
    for todo in done:
        st.checkbox(f"~~{plain(todo.title)}~~", value=True, disabled=True, key=f"done_{todo.id}")
    if not planned and not done:
        st.caption("Nothing planned. One or two things fit into an hour.")
    for_tomorrow = granted is Permit.PLAN
    with st.form("todo", clear_on_submit=True, border=False):
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


def _about(at: Sitting, todo: Todo) -> list[str]:
    """What stands behind a todo's title: its estimate, that it is important, the day from which it rolled over."""
    left_over = todos.left_over_from(todo, at.challenge, at.local_date)
    said = [f"{todo.minutes:g} min"] if todo.minutes else []
    said += ["**important**"] if todo.priority else []
    return said + ([f":gray[from day {left_over}]"] if left_over is not None else [])


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


def _minutes(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise OnehourError(f"{text!r} is no number of minutes", fix="Write 15, or leave it empty.") from None


def _inbox(journal: Journal, at: Sitting, thoughts: list[InboxItem]) -> None:
    flagged = permit(Action.INBOX, at.moment) is Permit.FLAGGED
    words = "Into the inbox" + (" (flagged: outside the hour)" if flagged else "")
    st.text_input(
        "Inbox",
        key="thought",
        placeholder=words,
        label_visibility="collapsed",
        on_change=attempt,
        args=(_keep, journal),
    )
    for item in thoughts:
        flag = " :orange[outside the hour]" if item.outside_hour else ""
        st.caption(f"{plain(item.body)}{flag}")


def _keep(journal: Journal) -> None:
    if st.session_state.thought.strip():
        inbox.add(journal, st.session_state.thought)
        st.session_state.thought = ""


def _note(journal: Journal, at: Sitting) -> None:
    """The day's page and its preview. A fragment of its own: a save draws only this again."""
    granted = permit(Action.DAY_NOTE, at.moment)
    with journal.reading() as db:
        note = notes.of_day(db, at.challenge, at.local_date)
    body, revision = (note.body, note.revision) if note else (notes.template(at.challenge), 0)
    says = {
        Permit.NO: refusal(Action.DAY_NOTE, at.moment, "Writing the day's note"),
        Permit.LATE: "The day is closed: what you write now is flagged late",
    }.get(granted, "")
    write, preview = st.columns([1.5, 1], gap="medium")
    with write:
        late = " :orange[late]" if note is not None and note.late else ""
        st.markdown(f"**Day {at.day_number}**{late}")
        if at.state is State.REFLECTION:
            st.markdown("What worked? What did not? What is the first step tomorrow (under *Next*)?")
        editor(
            f"note_{at.local_date}",
            challenge=at.challenge.slug,
            day=at.local_date.isoformat(),
            body=body,
            revision=revision,
            open=granted is not Permit.NO,
            says=says,
        )
    with preview, st.container(height=300, border=False):
        st.caption("Preview")
        with journal.reading() as db:
            note_text(db, at.challenge, body)
