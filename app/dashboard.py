"""The dashboard: navigation and the session bar on every page. Streamlit runs this file anew at each click, so it stays cheap."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st

from app.journal import challenges, sittings
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views.desk import PAGES, current_journal, plain, say_refusal, settle
from engine.contract import OnehourError

PAGE_NAMES = ("today", "journal", "runs", "night", "data", "scores", "week", "references", "settings")
PAGE_CSS = Path(__file__).parent / "views" / "page.css"


def main() -> None:
    st.set_page_config(page_title="Onehour", page_icon="⏳", layout="wide")
    st.html(PAGE_CSS)
    try:
        journal = current_journal()
    except OnehourError as error:
        st.error(plain(str(error)))
        return
    with journal.reading() as db:
        challenge = challenges.find_active(db)
        at = None if challenge is None else sittings.sitting(db, challenge, journal.now())
    if at is None:
        from app.views import first_start

        say_refusal()
        first_start.show(journal)
        return
    from app.views.session_bar import session_bar

    pages = [
        st.Page(
            partial(_show, name, journal, at), title=name.capitalize(), url_path=name, default=name == PAGE_NAMES[0]
        )
        for name in PAGE_NAMES
    ]
    st.session_state[PAGES] = dict(zip(PAGE_NAMES, pages, strict=True))
    page = st.navigation(pages, position="top")
    session_bar(journal, at)
    say_refusal()
    page.run()
    settle()


def _show(name: str, journal: Journal, at: Sitting) -> None:
    # Imported when first opened: a page pays for what it shows, not for what the others need.
    import_module(f"app.views.{name}").show(journal, at)


main()
