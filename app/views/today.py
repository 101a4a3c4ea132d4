"""Today: where do I stand, what do I do with this hour? What is not allowed now is greyed and says why."""

from __future__ import annotations

import streamlit as st

from app.components.editor import editor
from app.jobs import sample_challenge
from app.journal import challenges, days, inbox, notes, todos
from app.journal.hour import State
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import InboxItem
from app.reports import resume
from app.scores import position
from app.views import activity_split, day_runs, plan, queue_form
from app.views.desk import attempt, plain
from app.views.note_text import note_text
from app.views.run_words import quota_words, result_words, slots_words, verdict_words

# What comes before a first run; nothing when the hour is over.
BEGIN = {
    State.IDLE: "Start the hour,",
    State.FOCUS: "In this hour,",
    State.PAUSED: "Go on with the hour,",
    State.REFLECTION: "",
    State.CLOSED: "",
}


def show(journal: Journal, at: Sitting) -> None:
    if not 1 <= at.day_number <= at.challenge.days:
        _outside(journal, at)
        return
    with journal.reading() as db:
        planned = todos.open_ones(db, at.challenge, until=at.local_date)
        card = resume.read(db, at, planned)
        day_starts_at = days.day_starts(at.local_date, at.challenge.time_zone, at.challenge.day_starts_at)
        done = todos.done_between(db, at.challenge, day_starts_at, at.now + 1)
        thoughts = inbox.latest(db, at.challenge, limit=3)
    _resume(at, card)
    left, note = st.columns([1, 2.6], gap="medium")
    with left:
        plan.show(journal, at, planned, done)
        _inbox(journal, at, thoughts)
    with note:
        st.fragment(_note)(journal, at)
    if at.state in (State.REFLECTION, State.CLOSED):
        activity_split.show(journal, at)
    day_runs.show(journal, at)
    queue_form.show(journal, at)


def _outside(journal: Journal, at: Sitting) -> None:
    """Before the first day and after the last: a sentence, the inbox, and what was written last."""
    challenge = at.challenge
    last_day = challenges.last_day(challenge)
    with journal.reading() as db:
        thoughts = inbox.latest(db, challenge, limit=3)
        note = notes.of_day(db, challenge, last_day)
    if at.day_number < 1:
        st.markdown(f"The challenge starts on {challenge.starts_on:%A, %d %B %Y}. Until then the inbox takes thoughts.")
    else:
        st.markdown(
            f"The challenge is over: its {challenge.days} days ended on {last_day:%A, %d %B %Y}. "
            "The record stays, and the other pages show it."
        )
    _inbox(journal, at, thoughts)
    if at.day_number > challenge.days and note is not None:
        st.markdown(f"**Day {challenge.days}**" + " :orange[late]" * note.late)
        with journal.reading() as db:
            note_text(db, challenge, note.body)


def _resume(at: Sitting, card: resume.Resume) -> None:
    with st.container(border=True, key="resume", gap="xxsmall"):
        begin = BEGIN[at.state]
        if card.is_empty and begin and at.challenge.competition == sample_challenge.SLUG:
            st.markdown(
                f"The data is drawn. {begin} queue a first run below: the preset {sample_challenge.PRESET} "
                "takes a minute or two and comes back with CV and LB."
            )
        elif card.is_empty:
            st.caption("Nothing to resume yet." + f" {begin} write the plan, queue a first run." * bool(begin))
        said = []
        if card.next_step:
            when = "Yesterday" if card.wrote_on == at.local_date - days.DAY else f"On {card.wrote_on}"
            said.append(f"{when} you wrote: **{plain(card.next_step)}**")
        if card.first_todo:
            said.append(f"First on the list: {plain(card.first_todo)}")
        if said:
            st.markdown(" · ".join(said))
        for run in card.finished[-resume.SHOWN :]:
            verdict = verdict_words(card.verdicts.get(run.run_id))
            parts = (f"`{run.run_key}`", plain(run.hypothesis), result_words(run), verdict)
            st.markdown(" · ".join(part for part in parts if part))
        more = len(card.finished) - resume.SHOWN
        if more > 0:
            st.caption(f"and {more} more that finished since; Runs has them all")
        told = [f"Leaderboard: {plain(position.words(card.position))}"] if card.position is not None else []
        told += [slots_words(card.slots)] if card.slots is not None else []
        told += [quota_words(backend, quota) for backend, quota in card.quotas.items()]
        if told:
            st.markdown(" · ".join(told))


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
            drawn_at=journal.now(),
        )
    with preview, st.container(height=300, border=False):
        st.caption("Preview")
        with journal.reading() as db:
            note_text(db, at.challenge, body)
