"""What the person says of the running hour: what the minutes are spent on, why it stops, how long it was none."""

from __future__ import annotations

import streamlit as st

from app.journal import corrections, sessions
from app.journal.activities import Activity
from app.journal.hour import State
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views.desk import attempt, plain


def activity_switch(journal: Journal, at: Sitting) -> None:
    """One button and one key (1, 2, 3, 4) an activity; a filled circle marks what the minutes are spent on."""
    with st.container(key="activities", horizontal=True, gap="xsmall", width="content", vertical_alignment="center"):
        for key, each in enumerate(Activity, start=1):
            pressed = each is at.activity
            st.button(
                f"{'●' if pressed else '○'} {each.value}",
                key=f"activity_{each.value}",
                shortcut=str(key),
                type="secondary" if pressed else "tertiary",
                on_click=attempt,
                args=(corrections.switch, journal, each.value),
            )


def interruptions(journal: Journal, at: Sitting) -> None:
    """A pause with its reason, and minutes that were none."""
    with st.popover("Interrupted"):
        if at.state is State.FOCUS:
            with st.form("pause_because", border=False, clear_on_submit=True):
                st.text_input("Pause, because", key="pause_reason", placeholder="the door bell")
                st.form_submit_button("Pause now", on_click=attempt, args=(_pause, journal))
        with st.form("away", border=False, clear_on_submit=True):
            st.number_input("I was away … minutes", 0.0, 1440.0, 0.0, step=1.0, format="%g", key="away_minutes")
            st.text_input("Why", key="away_reason", placeholder="a telephone call")
            st.form_submit_button("Correct the hour", on_click=attempt, args=(_away, journal))
        st.caption("While the hour runs, the minutes are given back; afterwards only the count is put right.")


def pauses_line(at: Sitting) -> str:
    """`2 pauses: the door bell`, with what was said of them; empty without a pause."""
    if not at.hour.pauses:
        return ""
    said = [plain(reason) for reason in at.pause_reasons if reason]
    return f"{at.hour.pauses} pause{'s' * (at.hour.pauses > 1)}" + (f": {', '.join(said)}" if said else "")


def _pause(journal: Journal) -> None:
    sessions.pause(journal, st.session_state.pause_reason.strip())


def _away(journal: Journal) -> None:
    asked = st.session_state
    corrections.away(journal, asked.away_minutes, asked.away_reason.strip())
