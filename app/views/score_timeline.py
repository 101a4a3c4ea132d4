"""The scores of the whole challenge over its days."""

from __future__ import annotations

import streamlit as st

from app import charts
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import score_days


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        days = score_days.read(db, at)
    if not days:
        st.caption("No score yet. The first finished run draws the first point.")
        return
    st.plotly_chart(
        charts.score_timeline(days, at.challenge.metric), key="score_timeline", config={"displaylogo": False}
    )
