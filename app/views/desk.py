"""What every page stands on: the one open journal of this process, and how a click's refusal reaches the screen."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote

import streamlit as st

from app.journal.home import Home, find_home
from app.journal.store import Journal, open_journal
from engine.contract import OnehourError

REFUSED, PAGES = "refused", "pages"


def current_journal() -> Journal:
    """The journal of the home folder, opened once a process. Raises OnehourError when it cannot be opened."""
    return _journal_of(find_home())


@cache
def _journal_of(home: Home) -> Journal:
    return open_journal(home)


@cache
def settle() -> None:
    """Take what is loaded by now out of the garbage collector's sight, once a process.

    Streamlit collects after each run of the script, and looking through all modules again and again took 90 of a rerun's 150
    milliseconds.
    """
    gc.collect()
    gc.freeze()


def attempt(call: Callable[..., Any], *args: Any) -> None:
    """Do what a click asks for. What is refused is said below the session bar of the rerun that follows."""
    try:
        call(*args)
    except OnehourError as error:
        st.session_state[REFUSED] = str(error)


def say_refusal() -> None:
    """Show the sentence of the last refused click, once."""
    sentence = st.session_state.pop(REFUSED, None)
    if sentence:
        with st.container(key="refusal"):  # page.css keeps it in sight wherever the button stands
            # A first word that is none of prose, a run's key or a file's name, stays as it is.
            st.warning(plain(re.sub(r"^[a-z]+(?=[ ,])", lambda word: word[0].capitalize(), sentence)))


def page_link(name: str, words: str, **asked: str) -> None:
    """A way to another page of the dashboard that keeps what was typed on this one; `asked` stands in its address.

    An address in Markdown would load the dashboard anew. A script that shows one page alone has no others.
    """
    pages = st.session_state.get(PAGES)
    if pages is not None:
        st.page_link(pages[name], label=words, query_params=asked, icon=":material/arrow_forward:")


def link(words: str, address: str) -> str:
    """A link in Markdown of ours to an address from elsewhere; empty without one, and where it is none of the web."""
    safe = quote(address, safe=":/?#[]@!$&'*+,;=%~-._")
    return f"[{words}]({safe})" if safe.startswith(("https://", "http://")) else ""


def plain(text: str) -> str:
    """A person's words inside Markdown of ours, shown as they were typed.

    No more is escaped than needed: a screen reader is told a widget's label with its backslashes.
    """
    # Indented lines would be code; Markdown shows no indentation of text anyway.
    unindented = re.sub(r"^[ \t]+", "", text, flags=re.MULTILINE)
    inline = re.sub(r"([\\`*_\[\]<>~$|]|:(?=[A-Za-z+]|-1:|\d\w*:)|&(?=#?\w+;))", r"\\\1", unindented)
    # What makes a line a heading, a list, a rule, or the line above it a heading.
    return re.sub(r"^(\d*)([-+#.)=])(?=\s|$|#|[-=]+[ \t]*$)", r"\1\\\2", inline, flags=re.MULTILINE)
