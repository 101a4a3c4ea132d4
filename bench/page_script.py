"""The script of a page as the benches run it: NAME is one of app/views; what it took stands in the session as `took_ms`."""

PAGE = """
import time
begun, used = time.perf_counter(), time.process_time()
from app.journal import challenges, sittings
import streamlit as st
from app.views import NAME as page, desk
from app.views.session_bar import session_bar
journal = desk.current_journal()
with journal.reading() as db:
    at = sittings.sitting(db, challenges.active(db), journal.now())
session_bar(journal, at)
page.show(journal, at)
st.session_state.took_ms = 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)
"""
