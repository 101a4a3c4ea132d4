"""The calendar on top of the Journal: the days of the challenge, the open one framed."""

from __future__ import annotations

from datetime import date

import streamlit as st

from app.components.day_calendar import day_calendar
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import day_calendar as calendar_report
from app.views import journal_search


def show(journal: Journal, at: Sitting, chosen: date | None) -> None:
    """`chosen` is the open day; None while a note or a search is open."""
    with journal.reading() as db:
        every = calendar_report.of_challenge(db, at)
    day_calendar(every, at.local_date, chosen, _open)


def _open(on: date) -> None:
    journal_search.close()
    st.query_params.from_dict({"day": on.isoformat()})
