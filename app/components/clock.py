"""The clock of the session bar: it lives in the browser, shows deadline − now, and asks the server what time it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app.journal.hour import State
from app.journal.sittings import Sitting

HERE = Path(__file__).parent
HTML = """<div class="clock" role="timer" aria-label="time left">
  <span class="mark" aria-hidden="true"></span><span class="left"></span><span class="words" aria-live="polite"></span>
  <button class="alerts" hidden title="Let the browser tell you when five minutes are left and when the hour is over">Alerts</button>
</div>"""
WORDS = {
    State.IDLE: "not started",
    State.FOCUS: "left",
    State.PAUSED: "left, paused",
    State.REFLECTION: "of reflection",
    State.CLOSED: "hour used",
}

_mount = st.components.v2.component(
    "onehour_clock",
    html=HTML,
    css=(HERE / "clock.css").read_text(encoding="utf-8"),
    js=(HERE / "clock.js").read_text(encoding="utf-8"),
)


def reading(at: Sitting) -> dict[str, Any]:
    """What a clock needs to know, as JSON. Moments and durations in milliseconds.

    `ends_at` is the deadline that is counted down to, or None; then `left` stands still. `turns_at` is when the page looks
    different before that, or None. `token` changes whenever a page drawn before is out of date.
    """
    hour, state = at.hour, at.state
    ends_at = {State.FOCUS: hour.focus_ends_at, State.REFLECTION: hour.reflection_ends_at}.get(state)
    winds_down_at = at.winds_down_at
    winding_down = winds_down_at is not None and at.now >= winds_down_at
    shown = (
        at.challenge.slug,
        at.local_date,
        state.value,
        ends_at or 0,
        at.activity.value,
        "winding down" * winding_down,
    )
    return {
        "now": at.now,
        "state": state.value,
        # A week's minutes that are left can be taken up again: no hour is used up.
        "words": "sitting over"
        if at.challenge.mode == "weekly" and state is State.CLOSED and at.left_ms
        else WORDS[state],
        "ends_at": ends_at,
        "turns_at": None if winding_down else winds_down_at,
        "left": at.left_ms if state in (State.IDLE, State.PAUSED) else 0,
        "token": " ".join(str(part) for part in shown).rstrip(),
    }


def clock(at: Sitting) -> None:
    """Show the clock. The page runs again once when the deadline passes, or when another tab or command changed the hour."""
    _mount(key="clock", data=reading(at), width="content", on_changed_change=lambda: None)
