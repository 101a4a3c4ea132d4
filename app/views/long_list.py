"""A list of thousands, shown a stretch at a time: words narrow it, pages turn it. Both stand in the address."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import streamlit as st

T = TypeVar("T")
NO_ORDERS: Mapping[str, tuple[str, str]] = {}

ROWS = 100
# Where columns can be selected Streamlit does not sort the rows that it was given: a click on a head is told to `sort_by_head`.
ROWS_AND_HEADS: tuple[Literal["multi-row", "single-column"], ...] = ("multi-row", "single-column")


@dataclass(frozen=True)
class Stretch:
    """Which rows are shown: `ROWS` of those that hold `words`, from the one at `start` on."""

    words: str = ""
    start: int = 0


def stretch(name: str, count: Callable[[str], int]) -> Stretch:
    """Let the person choose, where there is something to choose. `count` tells how many rows hold the words ("": all)."""
    every = count("")
    if every <= ROWS:
        return Stretch()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = find(name)
        return Stretch(words, turn(name, count(words) if words else every))


def table_key(name: str, rows: Iterable[object]) -> str:
    """The key of a table whose rows can be selected. `rows`: what tells them apart, in order.

    Streamlit keeps the places that are selected, and not the rows: with other rows it has to be another table.
    """
    return f"{name}_{zlib.crc32(repr([*rows]).encode()):08x}"


def from_the_first(name: str) -> None:
    """Something else is asked for: the page that was open is none of it. A callback of widgets beside the words."""
    st.session_state[f"{name}_page"] = 1


def choice(name: str, label: str, options: Sequence[T], key: str, words: Callable[[T], str]) -> T:
    """One of a few beside the words; it stands in the address."""
    return st.selectbox(
        label, options, key=key, bind="query-params", format_func=words, label_visibility="collapsed", width=185,
        on_change=from_the_first, args=(name,),
    )  # fmt: skip


def sort_by_head(name: str, table: str, order: str = "", orders_of: Mapping[str, tuple[str, str]] = NO_ORDERS) -> None:
    """A click on a column's head of the table with the key `table`: sorts all rows, not those alone that are shown.

    `order`: the key of the widget that tells the present order; `orders_of`: by column the order that a click asks for, and that
    of one more.
    """
    for column in st.session_state[table].selection.columns:
        if column not in orders_of:
            # It stays selected while rows are clicked: once is enough.
            if st.session_state.get(f"{table}_head") != column:
                st.toast(f"Rows are not sorted by {column}")
            st.session_state[f"{table}_head"] = column
            continue
        first, again = orders_of[column]
        st.session_state[order] = again if st.session_state.get(order) == first else first
        from_the_first(name)


def find(name: str) -> str:
    """The words that rows are to hold, one space between them."""
    words = st.text_input(
        f"Find {name}",
        key=f"find_{name}",
        bind="query-params",
        type="search",
        placeholder=f"Find {name}",
        label_visibility="collapsed",
        on_change=from_the_first,
        args=(name,),
        width=260,
    )
    return " ".join((words or "").split())


def turn(name: str, found: int, order: str = "newest first") -> int:
    """Where the stretch of the `found` rows begins that is shown; said in words too."""
    page, pages = f"{name}_page", max(1, -(-found // ROWS))
    # Fewer are found than before: the page that was open may be gone.
    if st.session_state.get(page, 1) > pages:
        st.session_state[page] = 1
    start = ROWS * ((st.pagination(pages, key=page, bind="query-params") if pages > 1 else 1) - 1)
    st.caption(
        f"Showing {start + 1}–{min(start + ROWS, found)} of {found}, {order}"
        if found
        else "Nothing found. Fewer words find more.",
        width="content",
    )
    return start
