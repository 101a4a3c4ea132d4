"""Runs: what did I do, how do they compare? A table of runs, the experiments as a tree, and runs that were not started here."""

from __future__ import annotations

from functools import partial
from importlib import import_module

import streamlit as st

from app.jobs import backlog
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import run_list
from app.scores import run_search
from app.scores.run_rows import RunRow, run_row
from app.scores.run_search import ORDERS, WHICH, Order, RunSearch
from app.views import long_list, run_columns, run_details
from app.views.desk import plain

TABLE, TREE, ELSEWHERE = "Table", "Tree", "Elsewhere"
PARTS = {TREE: "app.views.experiment_tree", ELSEWHERE: "app.views.foreign_runs"}
ORDER = "order"
ORDER_WORDS = {
    order: f"by {order}" if order in ("hypothesis", "state", "backend", "preset") else f"{order} first"
    for order in ORDERS
}
KINDS = {"all": "all runs"}
ANY_BACKEND = "all backends"


def show(journal: Journal, at: Sitting) -> None:
    part = st.segmented_control(
        "Show",
        (TABLE, *PARTS),
        default=ELSEWHERE if "wandb" in st.query_params else TABLE,
        key="runs_part",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    if part in PARTS:
        import_module(PARTS[part]).show(journal, at)
    else:
        _table(journal, at)


def _table(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        if not run_search.count(db, at.challenge):
            st.caption("No run yet. Start the hour on Today, then queue one below the note.")
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            search = _search(run_search.backends(db))
            found = run_search.find(db, at.challenge, search)
            run_columns.choice(journal, at.challenge)
            start = long_list.turn("runs", found.many, ORDER_WORDS[search.order])
        keys = found.keys(start, long_list.ROWS)
        listed = run_list.listed(db, at.challenge, keys)
        named = st.query_params.get("run", "")
        asked = run_row(db, at.challenge, named)
    if named and asked is None:
        st.caption(f"There is no run {plain(named)} in this challenge.")
    rows = [run.row for run in listed]
    chosen = _chosen(listed, run_columns.chosen(at.challenge), search.order)
    if len(chosen) > 1:
        # Imported when first wanted: comparing and blending are for some days, the table is for each.
        import_module("app.views.run_comparison").show(journal, at, chosen)
        return
    # The selected run, or the one in the page's address (by its own key or its experiment's), or one that runs, or the first.
    running = next((row for row in rows if row.state in backlog.ACTIVE), rows[0] if rows else None)
    shown = chosen[0] if chosen else asked or running
    if shown is not None:
        run_details.show(journal, at, shown)


def _search(backends: list[str]) -> RunSearch:
    """What the person asks for; it stands in the address."""
    words = long_list.find("runs")
    which = long_list.choice("runs", "Which", WHICH, "which", lambda kind: KINDS.get(kind, kind))
    # With one backend there is nothing to choose.
    backend = (
        long_list.choice("runs", "Backend", ("", *backends), "backend", lambda name: name or ANY_BACKEND)
        if backends[1:]
        else ""
    )
    return RunSearch(words, which, long_list.choice("runs", "Order", ORDERS, ORDER, ORDER_WORDS.__getitem__), backend)


def _chosen(listed: list[run_list.ListedRun], names: list[str], order: Order) -> list[RunRow]:
    if not listed:
        return []
    key = long_list.table_key("runs", (order, *(run.row.run_id for run in listed)))
    table = st.dataframe(
        [run_columns.cells(run, names) for run in listed],
        key=key,
        hide_index=True,
        on_select=partial(long_list.sort_by_head, "runs", key, ORDER, run_columns.ORDERS_OF),
        selection_mode=long_list.ROWS_AND_HEADS,
        placeholder="–",
        column_config=run_columns.configs(),
    )
    return [listed[place].row for place in table.selection.rows if place < len(listed)]
