"""Several runs that are selected on Runs: their curves laid over each other, where their specs differ, and blending them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import lineage
from app.scores.run_rows import RunRow
from app.views import blend_form, curve_overlay, curves_together


def show(journal: Journal, at: Sitting, rows: Sequence[RunRow]) -> None:
    """`rows`: those selected, two or more."""
    shown = rows[: curve_overlay.MOST]
    curves_together.of_ours(journal, at, shown, "compared")
    if len(shown) < len(rows):
        st.caption(f"Curves and keys of the first {len(shown)} of the {len(rows)} selected.")
    _differing(journal, shown)
    blend_form.show(journal, at, rows)


def _differing(journal: Journal, rows: Sequence[RunRow]) -> None:
    with journal.reading() as db:
        found = lineage.differing(db, [row.run_key for row in rows])
    if not found:
        st.caption("Their specs are the same.")
        return
    st.markdown("**Where their specs differ**")
    table = [
        {"Key": key, **{row.run_key: lineage.written(value) for row, value in zip(rows, values, strict=True)}}
        for key, values in found
    ]
    st.dataframe(table, key="differing", hide_index=True)
