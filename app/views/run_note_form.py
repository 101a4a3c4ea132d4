"""What a person writes about a run: its note and its tags."""

from __future__ import annotations

import streamlit as st

from app.journal import run_notes
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores.run_rows import RunRow
from app.views.desk import attempt


def show(journal: Journal, at: Sitting, row: RunRow) -> None:
    closed = permit(Action.WORK, at.moment) not in (Permit.YES, Permit.OVERTIME)
    with st.form(f"note_{row.run_id}", border=False):
        note = st.text_area(
            "Note", value=row.note, key=f"run_note_{row.run_id}", disabled=closed, height=80,
            placeholder="What did it teach you",
        )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            tags = st.text_input(
                "Tags", value=" ".join(f"#{tag}" for tag in row.tags), key=f"run_tags_{row.run_id}", disabled=closed,
                placeholder="#crops #looked-at", width=320,
            )  # fmt: skip
            kept = st.form_submit_button("Keep", disabled=closed)
    if kept:
        attempt(_write, journal, row, note, tags)
        st.rerun()
    if closed:
        st.caption(refusal(Action.WORK, at.moment, run_notes.DOING))


def _write(journal: Journal, row: RunRow, note: str, tags: str) -> None:
    """What was changed, and no more: the other may have been written elsewhere since the page was drawn."""
    wanted = tuple(run_notes.split(tags))
    run_notes.write(
        journal,
        row.run_key,
        note=note if note.strip() != row.note else None,
        tags=wanted if wanted != row.tags else None,
        instead_of=row.note,
    )
