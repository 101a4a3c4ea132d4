"""The line on top of every page: which day it is, how much of the hour is left, what can be done with it, what runs meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.components.clock import clock
from app.jobs import backlog, night, presence
from app.journal import challenges, sessions, sittings
from app.journal.days import DAY, MINUTE_MS, clock_text, week_starts
from app.journal.home import COMMAND
from app.journal.hour import State
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views import focus_controls
from app.views.desk import attempt
from engine.run_folder import RunFolder

REFRESH_S = 3


def session_bar(journal: Journal, at: Sitting) -> None:
    with st.container(key="session_bar", gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(_day(at), width="content")
            clock(at)
            with st.container(
                key="hour_controls", horizontal=True, vertical_alignment="center", gap="small", width="content"
            ):
                _buttons(journal, at)
        _queue(journal, at)
    moved_ms = 0 if at.session is None else at.session.clock_moved_ms
    if moved_ms:
        way = "forward" if moved_ms > 0 else "back"
        st.caption(
            f"The system clock was moved {way} by {abs(moved_ms) / MINUTE_MS:.0f} minutes; the hour did not follow it."
        )


def _day(at: Sitting) -> str:
    challenge = at.challenge
    if at.day_number < 1:
        return f"**{challenge.slug}** starts on {challenge.starts_on}"
    if at.day_number > challenge.days:
        return f"**{challenge.slug}** is over after {challenge.days} days"
    return f"**Day {at.day_number} of {challenge.days}** · {challenge.slug}"


def _buttons(journal: Journal, at: Sitting) -> None:
    match at.state:
        case State.IDLE:
            reason = sessions.why_not_start(at)
            _start(journal, disabled=bool(reason))
            if at.day_number > at.challenge.days:
                reason += f" `{COMMAND} end-challenge` files it away; then the next one can begin."
            if reason:
                st.caption(reason, width="content")
        case State.FOCUS:
            _button("Pause", journal, sessions.pause, shortcut="P")
            focus_controls.activity_switch(journal, at)
            focus_controls.interruptions(journal, at)
            _end(journal, at)
        case State.PAUSED:
            _button("Resume", journal, sessions.resume, shortcut="P", primary=True)
            focus_controls.interruptions(journal, at)
            _end(journal, at)
        case State.REFLECTION:
            until = clock_text(at.hour.reflection_ends_at or at.now, at.challenge.time_zone)
            goes_on = not sessions.why_not_start(at)
            if goes_on:
                _start(journal)
            over = f"{_left(at)} are left" if goes_on else "Hour used"
            st.caption(f"{over}. Your note stays open until {until}", width="content")
            focus_controls.interruptions(journal, at)
            _button("Close the day", journal, sessions.close)
        case State.CLOSED:
            if sessions.why_not_start(at):
                st.caption(sittings.next_hour_sentence(at), width="content")
            else:
                _start(journal)
                st.caption(f"{_left(at)} are left{_then(at)}.", width="content")
    pauses = focus_controls.pauses_line(at)
    if pauses:
        st.caption(pauses, width="content")


def _start(journal: Journal, *, disabled: bool = False) -> None:
    _button("Start", journal, sessions.start, shortcut="Ctrl+Shift+S", disabled=disabled, primary=True)


def _button(
    label: str,
    journal: Journal,
    act: Callable[[Journal], Sitting],
    *,
    shortcut: str | None = None,
    disabled: bool = False,
    primary: bool = False,
) -> None:
    st.button(
        label,
        key=f"hour_{label}",
        on_click=attempt,
        args=(act, journal),
        shortcut=shortcut,
        disabled=disabled,
        type="primary" if primary else "secondary",
    )


def _end(journal: Journal, at: Sitting) -> None:
    with st.popover("End the hour"):
        st.markdown(f"{_left(at)} are left{_then(at)}. The reflection begins at once.")
        _button("End it", journal, sessions.end)


def _left(at: Sitting) -> str:
    return f"About {at.left_ms / MINUTE_MS:.0f} minutes"


def _then(at: Sitting) -> str:
    """What becomes of the minutes that are left when the hour is ended early."""
    last = min(week_starts(at.local_date, at.challenge.starts_on) + 6 * DAY, challenges.last_day(at.challenge))
    is_last = at.local_date >= last
    turned = at.session is not None and at.now >= at.session.day_ends_at
    if at.challenge.mode == "daily" or (is_last and turned):
        return " and will be lost"
    until = f"until the day turns at {at.challenge.day_starts_at}" if is_last else f"until {last:%A}"
    return f"; they stay in the week's budget {until}"


def _queue(journal: Journal, at: Sitting) -> None:
    active, waiting = _at_work(journal)
    if not active and not waiting:
        return
    st.session_state["queue_states"] = _states(active, waiting)
    # Only while something waits or runs does the page come back by itself.
    st.fragment(_watch, run_every=REFRESH_S, key="queue_watch")(journal, at)


def _watch(journal: Journal, at: Sitting) -> None:
    active, waiting = _at_work(journal)
    st.caption(queue_line(journal, at, active, waiting), width="content")
    if st.session_state["queue_states"] != _states(active, waiting):
        st.rerun()


def _at_work(journal: Journal) -> tuple[list[backlog.QueueRow], int]:
    """What holds a slot, and how many wait: there may be a thousand."""
    with journal.reading() as db:
        return backlog.list_jobs(db, active_only=True), backlog.count_waiting(db)


def _states(active: list[backlog.QueueRow], waiting: int) -> list[object]:
    return [(row.run_key, row.state) for row in active] + [waiting]


def queue_line(journal: Journal, at: Sitting, active: list[backlog.QueueRow], waiting: int) -> str:
    """What the machine does: `sample_001-r01: 61 %, ends 21:40 · 2 waiting`."""
    now, parts = journal.now(), []
    for row in active:
        if row.started_at is not None:
            done = RunFolder(journal.home.run_dir(row.run_key)).progress()
            ends = clock_text(night.running_until(journal.home, row, now), at.challenge.time_zone)
            parts.append(f"{row.slot}: {row.run_key} {row.says}, {done:.0%}, ends about {ends}")
    if waiting:
        parts.append(f"{waiting} waiting")
    if presence.worker_slots(journal.home) is None:
        parts.append(f"no worker is running: {COMMAND} up starts one")
    return " · ".join(parts)
