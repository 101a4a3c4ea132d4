"""The final two: which submissions to stand by in the end, and why."""

from __future__ import annotations

import streamlit as st

from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import standing
from app.scores.run_rows import score_text
from app.views.desk import plain


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        found = standing.read(db, journal.home, at.challenge)
    two = standing.final_two(at.challenge, found)
    if two is None:
        st.caption("No submission has a CV yet.")
        return
    for place, one in zip(st.columns(2), two.chosen, strict=False):
        place.metric(
            one.run_key,
            f"CV {one.cv:.4f}",
            f"{one.family} · LB {score_text(one.public)}",
            delta_color="off",
            delta_arrow="off",
        )
    for reason in two.reasons:
        st.markdown(f"- {plain(reason)}")
    st.caption(
        f"The better of these is expected to be {two.expected_loss:.4f} worse than the best of all candidates will turn out to be: "
        "each candidate's own part of the folds' chance was drawn 2,000 times."
    )
