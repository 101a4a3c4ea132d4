"""A list of thousands, shown a stretch at a time: words narrow it, pages turn it. Both stand in the address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

ROWS = 100


@dataclass(frozen=True)
class Stretch:
    """Which rows are shown: `ROWS` of those that hold `words`, from the one at `start` on. `key` tells it from every other."""

    words: str = ""
    start: int = 0

    @property
    def key(self) -> str:
        return f"{self.start}_{self.words}"


def stretch(name: str, count: Callable[[str], int]) -> Stretch:
    """Let the person choose, where there is something to choose. `count` tells how many rows hold the words ("": all)."""
    every = count("")
    if every <= ROWS:
        return Stretch()
    find, page = f"find_{name}", f"{name}_page"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = st.text_input(
            f"Find {name}",
            key=find,
            bind="query-params",
            type="search",
            placeholder=f"Find {name}",
            label_visibility="collapsed",
            width=260,
        )
        words = " ".join((words or "").split())
        found = count(words) if words else every
        pages = max(1, -(-found // ROWS))
        # Fewer are found than before: the page that was open may be gone.
        if st.session_state.get(page, 1) > pages:
            st.session_state[page] = 1
        chosen = st.pagination(pages, key=page, bind="query-params") if pages > 1 else 1
        start = ROWS * (chosen - 1)
        st.caption(
            f"Showing {start + 1}–{min(start + ROWS, found)} of {found}, newest first"
            if found
            else "Nothing found. Fewer words find more.",
            width="content",
        )
    return Stretch(words, start)
