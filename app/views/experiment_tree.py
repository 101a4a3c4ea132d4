"""The experiments as a tree: what was tried on what, what was changed, and what came of it. Selecting one opens its best run."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import experiment_tree
from app.reports.experiment_tree import Told
from app.scores.run_rows import run_row
from app.views import long_list, run_details
from app.views.run_words import verdict_cell

STEP = "\u2003"  # an em space, which a table does not swallow
DEEPEST = 16  # steps to the right; further down the number says it


def show(journal: Journal, at: Sitting) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        to_the_best = st.toggle(
            "The way to the best",
            key="to_the_best",
            bind="query-params",
            help="the experiment with the best CV and those it was built on",
        )
        with journal.reading() as db:
            branches = experiment_tree.branches(db, at.challenge, to_the_best=to_the_best)
            if not branches:
                st.caption("No experiment yet. Each hypothesis that is queued on Today becomes one.")
                return
            start = long_list.turn("experiments", len(branches), "each below the one it was held against")
            told = experiment_tree.told(db, at.challenge, branches[start : start + long_list.ROWS])
    key = long_list.table_key("tree", (one.run_key for one in told))
    table = st.dataframe(
        [_cells(one) for one in told],
        key=key,
        hide_index=True,
        # Sorted it would be no tree: a click on a head says so.
        on_select=partial(long_list.sort_by_head, "experiments", key),
        selection_mode=("single-row", "single-column"),
        placeholder="–",
        column_config={
            "Experiment": st.column_config.TextColumn(width="large"),
            "What was changed": st.column_config.TextColumn(
                width="large", help="in its best run, against the one it is held against"
            ),
            "CV": st.column_config.NumberColumn(format="%.4f", width="small"),
            "Verdict": st.column_config.TextColumn(width="medium"),
            "Runs": st.column_config.NumberColumn(width="small"),
            "Best run": st.column_config.TextColumn(width="small"),
        },
    )
    picked = [told[place] for place in table.selection.rows if place < len(told)]
    if picked:
        with journal.reading() as db:
            row = run_row(db, at.challenge, picked[0].run_key)
        if row is not None:
            run_details.show(journal, at, row)


def _cells(one: Told) -> dict[str, object]:
    deep = f"{one.depth} " if one.depth > DEEPEST else ""
    stem = f"{STEP * min(one.depth, DEEPEST)}└ {deep}" if one.depth else ""
    return {
        "Experiment": f"{stem}{one.hypothesis or one.experiment_key}",
        "What was changed": None if one.lineage is None else one.lineage.words,
        "CV": one.cv,
        "Verdict": verdict_cell(one.verdict),
        "Runs": one.runs,
        "Best run": one.run_key,
    }
