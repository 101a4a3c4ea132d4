"""Pushing a run to W&B: what exactly would be sent, a button, and what became of it. A piece of a run's page."""

from __future__ import annotations

import streamlit as st

from app.jobs import errands, installed, wandb_parcels, wandb_push, wandb_server
from app.journal.home import COMMAND
from app.journal.store import Journal
from app.views.desk import attempt, plain

ROWS_SHOWN = 12  # files of a run's page; the command lists all


def show(journal: Journal, run_key: str) -> None:
    """Nothing where all is sent, or where there is nothing to send. The run is over."""
    with journal.reading() as db:
        errand = errands.newest(db, wandb_push.KIND, run_key)
    if errand is not None and errand.state in (errands.OPEN, errands.RUNNING):
        st.caption(plain(f"Being uploaded to W&B. {errand.message}".strip()))
        return
    if errand is not None and errand.state == errands.FAILED:
        st.caption(plain(f"Not uploaded to W&B: {errand.message}"))
    if not wandb_parcels.has_unsent(journal.home, run_key):
        return
    if not st.toggle("Push to W&B", key=f"push_{run_key}", help="shows what would be sent; nothing is sent yet"):
        return
    server = wandb_server.address()
    parcels = wandb_push.unsent(journal, [run_key]).get(run_key, [])
    for parcel in parcels[:ROWS_SHOWN]:
        first, *rest = wandb_parcels.told(parcel)
        st.markdown("\n".join([f"**{plain(first)}**", *(f"- {plain(line)}" for line in rest)]))
    if len(parcels) > ROWS_SHOWN:
        st.caption(f"and {len(parcels) - ROWS_SHOWN} more: `{COMMAND} wandb push {run_key}` lists them all")
    total = wandb_parcels.bytes_text(sum(parcel.total_bytes for parcel in parcels))
    key = next(one for one in installed.known_keys() if one.name == "W&B key")
    st.button(
        f"Send {total} to {server}",
        key=f"send_{run_key}",
        disabled=not (parcels and key.where),
        on_click=attempt,
        args=(wandb_push.ask, journal, run_key, parcels, server),
    )
    if not key.where:
        st.caption("There is no W&B key: set WANDB_API_KEY, or log in with `wandb login`, and start again.")
