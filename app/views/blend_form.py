"""Finished runs that are selected on Runs, made into one: a blend is queued like any run."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.jobs import blends
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores.run_rows import RunRow
from app.views.desk import attempt, plain
from engine.contract import blend_preset_names, blend_preset_path

SAID = "blend_said"


def show(journal: Journal, at: Sitting, rows: Sequence[RunRow]) -> None:
    """`rows`: those selected, two or more."""
    keys = [row.run_key for row in rows]
    closed = permit(Action.WORK, at.moment) not in (Permit.YES, Permit.OVERTIME)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="blend_form"):
        st.text_input(
            "Hypothesis of the blend", key="blend_hypothesis", placeholder="What do you expect, in one sentence",
            disabled=closed, width=420,
        )  # fmt: skip
        names = blend_preset_names()
        chosen = st.selectbox("How", names, names.index(blends.PRESET), key="blend_preset", disabled=closed, width=150)
        st.button(
            f"Blend {len(keys)} runs", key="blend", disabled=closed, type="primary", on_click=attempt,
            args=(_queue, journal, keys),
        )  # fmt: skip
    said = st.session_state.pop(SAID, None)
    words = blend_preset_path(chosen).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    st.caption(plain(said or (refusal(Action.WORK, at.moment, "Queueing a blend") if closed else words)))


def _queue(journal: Journal, keys: list[str]) -> None:
    asked = st.session_state
    queued = blends.queue(journal, keys, asked.blend_hypothesis, preset=asked.blend_preset)
    asked[SAID] = f"{queued.run_key} is queued."
    asked.blend_hypothesis = ""
