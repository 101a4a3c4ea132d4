"""The search of the Journal page: words and filters stand in the address, results lead to where a thing is read."""

from __future__ import annotations

import streamlit as st

from app.journal.days import day_name
from app.journal.search import KINDS, Asked, marked, search
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views.desk import plain

ANY = "anything"
LIMIT = 50


def form() -> Asked:
    """Words and filters as they stand in the address (q, kind, tag, first, last)."""
    words = st.text_input(
        "Search", key="q", bind="query-params", type="search", placeholder="Search", label_visibility="collapsed"
    )
    with st.expander("Filters", expanded=bool({"kind", "tag", "first", "last"} & set(st.query_params))):
        kind = st.selectbox("Kind", (ANY, *KINDS), key="kind", bind="query-params")
        tag = st.text_input("Tag", key="tag", bind="query-params", placeholder="#tag")
        first = st.date_input("From", value=None, key="first", bind="query-params", format="YYYY-MM-DD")
        last = st.date_input("To", value=None, key="last", bind="query-params", format="YYYY-MM-DD")
    return Asked(words or "", first, last, (tag or "").strip().lstrip("#"), "" if kind == ANY else kind, LIMIT)


def close() -> None:
    """Empty words and filters, so that a page can be seen again. To be called before the form is drawn."""
    st.session_state.update(q="", kind=ANY, tag="", first=None, last=None)


def results(journal: Journal, at: Sitting, asked: Asked) -> None:
    with journal.reading() as db:
        hits = search(db, at.challenge, asked)
    count = f"The newest {LIMIT} are shown" if len(hits) == LIMIT else f"{len(hits)} found"
    st.caption(count if hits else "Nothing found. Fewer words or filters find more; every word must stand somewhere.")
    for hit in hits:
        day = day_name(hit.local_date, at.challenge.starts_on) if hit.local_date else ""
        title = plain(hit.title or day)
        snippet = "".join(_said(piece, match) for piece, match in marked(hit.snippet, asked.terms))
        where = f" · {day}" if day and hit.title else ""
        st.markdown(f":gray[{hit.kind}] [{title}]({hit.address}){where}  \n{snippet}")


def _said(piece: str, match: bool) -> str:
    """A piece of a snippet, as typed; the spaces that part it from the next are kept."""
    words = piece.strip()
    if not words:
        return piece
    before, _, after = piece.partition(words)
    return before + (f"**{plain(words)}**" if match else plain(words)) + after
