"""Runs: what did I do, how do they compare? A table; selecting one shows its folds, remarks, origin, log and submission.

Selecting several offers to blend them.
"""

from __future__ import annotations

import streamlit as st

from app.jobs import backlog, standing_orders
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import run_record
from app.scores.run_rows import RunRow, count_runs, run_row, run_rows
from app.views import blend_form, live_run, long_list, run_origin, submit_form
from app.views.desk import attempt, plain
from app.views.run_words import cv_words, state_words, wandb_words
from engine.run_folder import RunFolder


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        part = long_list.stretch("runs", lambda words: count_runs(db, at.challenge, words))
        rows = run_rows(db, at.challenge, words=part.words, start=part.start, limit=long_list.ROWS)
        asked = run_row(db, at.challenge, st.query_params.get("run", ""))
    if not rows:
        if not part.words:
            st.caption("No run yet. Start the hour on Today, then queue one below the note.")
        return
    table = st.dataframe(
        [_cells(row) for row in rows],
        key=f"runs_{part.key}_{rows[0].run_id}",  # a new run moves the rows: what was selected would be others
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        column_config={
            "CV": st.column_config.NumberColumn(format="%.4f", width="small"),
            "±": st.column_config.NumberColumn(
                format="%.4f", width="small", help="standard deviation of the fold scores"
            ),
            "Minutes": st.column_config.NumberColumn(format="%.1f", width="small"),
            "Hypothesis": st.column_config.TextColumn(width="large"),
            "Page": st.column_config.LinkColumn(width="small", display_text="W&B", help="the run on its W&B server"),
        },
    )
    chosen = [rows[place] for place in table.selection.rows if place < len(rows)]
    if len(chosen) > 1:
        blend_form.show(journal, at, chosen)
    # The selected run, or the one in the page's address (by its own key or its experiment's), or one that runs, or the newest.
    running = next((row for row in rows if row.state in backlog.ACTIVE), rows[0])
    _details(journal, at, chosen[0] if chosen else asked or running)


def _cells(row: RunRow) -> dict[str, object]:
    return {
        "Run": row.run_key,
        "State": state_words(row).rpartition("] ")[2],
        "Hypothesis": row.hypothesis,
        "CV": row.cv,
        "±": row.spread,
        "Minutes": row.minutes,
        "Device": row.device,
        "Preset": row.spec_source,
        "Day": row.local_date,
        "W&B": row.wandb_mode,
        **({"Page": row.wandb_url} if row.wandb_url else {}),
    }


def _details(journal: Journal, at: Sitting, row: RunRow) -> None:
    folder = RunFolder(journal.home.run_dir(row.run_key))
    head = (f"**{row.run_key}**", state_words(row), cv_words(row), wandb_words(row), plain(row.message))
    st.markdown(" · ".join(part for part in head if part))
    for remark in row.remarks:
        st.markdown(f"- {plain(remark)}")
    if row.fold_scores:
        st.table([{f"fold {fold}": f"{score:.4f}" for fold, score in enumerate(row.fold_scores)}])
    if folder.threshold_png.is_file():
        st.image(str(folder.threshold_png), caption="Where the unknown label goes: its threshold, chosen on OOF")
    with journal.reading() as db:
        record = run_record.read(db, at.challenge, row.run_key)
    listed = record.run.submission_path
    submission = folder.submission_csv if listed is None else journal.home.path / listed
    if submission.is_file():
        st.markdown("Submission")
        st.code(str(submission), language=None)
        submit_form.show(journal, at, row.run_key)
    _order(journal, row)
    run_origin.show(journal, at, record)
    if row.is_open:
        live_run.show(journal, at, row)
        return
    st.markdown("Log")
    st.code(folder.log_tail() or "Nothing is written yet.", language=None, height=live_run.LOG_HEIGHT, wrap_lines=True)


def _order(journal: Journal, row: RunRow) -> None:
    """What the worker may do with its submission."""
    with journal.reading() as db:
        order = standing_orders.of_run(db, row.run_id)
        said = "" if order is None else standing_orders.words(db, order, row.run_key)
    if order is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Standing order: {plain(said)}")
            if order.decided_at is None:
                st.button(
                    "Take it back", key=f"order_{row.run_key}", on_click=attempt,
                    args=(standing_orders.take_back, journal, row.run_key),
                )  # fmt: skip
