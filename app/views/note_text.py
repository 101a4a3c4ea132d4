"""A note as it reads: its links lead somewhere, and nothing in it can be executed."""

from __future__ import annotations

import streamlit as st
from sqlmodel import Session

from app.journal import links
from app.journal.tables import Challenge
from app.reports import record


def note_text(db: Session, challenge: Challenge, body: str) -> None:
    st.markdown(links.linked(body, record.known(db, challenge, body)))
