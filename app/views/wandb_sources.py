"""Which W&B projects and folders are looked through for runs that were not started here. A piece of Settings."""

from __future__ import annotations

import streamlit as st

from app.jobs import wandb_server
from app.journal.days import clock_text
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores import wandb_sources
from app.views.desk import attempt, plain


def show(journal: Journal, at: Sitting) -> None:
    st.markdown("**Runs from W&B**")
    with journal.reading() as db:
        sources = wandb_sources.of(db, at.challenge)
    for source in sources:
        seen = (
            "not looked at yet"
            if source.looked_at is None
            else f"looked at {clock_text(source.looked_at, at.challenge.time_zone)}"
        )
        said = f"⚠ {source.message}" if source.message else seen
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{plain(source.place)} :gray[{plain(said)}]", width="content")
            st.button(
                "Drop",
                key=f"unwatch_{source.id}",
                type="tertiary",
                help=f"Look at {source.place} no more; the runs that were found stay",
                on_click=attempt,
                args=(wandb_sources.unwatch, journal, source.place),
            )
    with (
        st.form("watch", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            "A project, as ENTITY/PROJECT, or a folder with .wandb files below",
            key="watch_place",
            placeholder="me/whales or ~/whales",
            help=f"A project is read from {wandb_server.address()} every {_minutes('project')} minutes, a folder every "
            f"{_minutes('folder')}. What is found stands on Scores, on the day on which it started.",
        )
        st.form_submit_button("Watch", on_click=attempt, args=(_watch, journal))


def _watch(journal: Journal) -> None:
    source = wandb_sources.watch(journal, st.session_state.watch_place.strip(), wandb_server.address())
    st.toast(f"{source.place} is looked through by the worker")


def _minutes(kind: str) -> int:
    return wandb_sources.EVERY_S[kind] // 60
