"""The columns of the table of runs: what stands in each, and which of them a person wants to see."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from app.journal import challenge_settings
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.reports.run_list import ListedRun
from app.scores.run_search import Order
from app.views.desk import attempt
from app.views.run_words import state_cell, verdict_cell

FIRST = "Run"  # stands in front of all, whatever is chosen
CELLS: Mapping[str, Callable[[ListedRun], object]] = {
    "Hypothesis": lambda run: run.row.hypothesis,
    "State": lambda run: state_cell(run.row),
    "Change": lambda run: None if run.lineage is None else run.lineage.words,
    "CV": lambda run: run.row.cv,
    "±": lambda run: run.row.spread,
    "LB": lambda run: run.on_board.public,
    "LB private": lambda run: run.on_board.private,
    "Verdict": lambda run: verdict_cell(run.verdict),
    "GPU": lambda run: None if run.row.gpu_s is None else run.row.gpu_s / 60,
    "Minutes": lambda run: run.row.minutes,
    "Day": lambda run: run.row.local_date,
    "Backend": lambda run: run.row.backend,
    "Device": lambda run: run.row.device,
    "Preset": lambda run: run.row.spec_source,
    "Metric": lambda run: run.row.metric,
    "Threshold": lambda run: run.row.threshold,
    "Tags": lambda run: " ".join(f"#{tag}" for tag in run.row.tags) or None,
    "Note": lambda run: run.row.note or None,
    "W&B": lambda run: run.row.wandb_url,
    "Tracking": lambda run: run.row.wandb_mode,
}
USUAL = ("Hypothesis", "State", "Change", "CV", "±", "LB", "Verdict", "GPU", "Day", "Backend", "W&B")
CHOICE = "run_columns"
# By which order all runs are sorted when a column's head is clicked, and by which when it is clicked once more.
ORDERS_OF: Mapping[str, tuple[Order, Order]] = {
    FIRST: ("newest", "oldest"),
    "Hypothesis": ("hypothesis", "newest"),
    "State": ("state", "newest"),
    "CV": ("best CV", "worst CV"),
    "LB": ("best LB", "worst LB"),
    "LB private": ("best private LB", "worst private LB"),
    "Verdict": ("most gained", "most lost"),
    "GPU": ("most GPU", "least GPU"),
    "Minutes": ("longest", "shortest"),
    "Day": ("newest", "oldest"),
    "Backend": ("backend", "newest"),
    "Preset": ("preset", "newest"),
}


def configs() -> dict[str, Any]:
    """How Streamlit is to show them."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "Hypothesis": text(width="medium"),
        "Change": text(width="medium", help="against the run that it varies, else against the baseline of its verdict"),
        "CV": number(format="%.4f", width="small"),
        "±": number(format="%.4f", width="small", help="standard deviation of the fold scores"),
        "LB": number(format="%.4f", width="small", help="public, of its newest submission"),
        "LB private": number(format="%.4f", width="small"),
        "Verdict": text(width="medium"),
        "GPU": number(format="%.1f", width="small", help="minutes in which a GPU was held"),
        "Minutes": number(format="%.1f", width="small", help="from the start of its first attempt to its end"),
        "W&B": st.column_config.LinkColumn(width="small", display_text="W&B", help="the run on its W&B server"),
    }


def chosen(challenge: Challenge) -> list[str]:
    """The columns that the person keeps, in their order; those that this version does not know are left out."""
    kept = json.loads(challenge.run_columns) if challenge.run_columns else []
    return [name for name in kept if name in CELLS] or [*USUAL]


def cells(run: ListedRun, names: list[str]) -> dict[str, object]:
    return {FIRST: run.row.run_key, **{name: CELLS[name](run) for name in names}}


def choice(journal: Journal, challenge: Challenge) -> None:
    """A small form behind a button; what is chosen is kept with the challenge."""
    with st.popover("Columns"):
        st.multiselect(
            "Columns", [*CELLS], default=chosen(challenge), key=CHOICE, on_change=attempt, args=(_keep, journal)
        )
        st.caption("Kept with the challenge. With none chosen the usual ones are shown.")


def _keep(journal: Journal) -> None:
    challenge_settings.change(journal, run_columns=st.session_state[CHOICE])
