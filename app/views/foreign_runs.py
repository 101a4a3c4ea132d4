"""Runs that W&B tells of and that were not started here: their scores, curves and configs, and which experiment they belong to."""

from __future__ import annotations

import streamlit as st

from app.journal.days import local
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores import wandb_adoption, wandb_runs
from app.scores.wandb_runs import ForeignRun
from app.views import curve_overlay, curves_together, long_list
from app.views.desk import attempt, link, plain

MOST_PARTS = 20  # of a group, whose configs are offered


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        if not wandb_runs.count(db, at.challenge):
            st.caption(
                "W&B tells of no run that was not started here. Settings says which folders and projects are read."
            )
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            words = long_list.find("W&B runs")
            start = long_list.turn("W&B runs", wandb_runs.count(db, at.challenge, words))
        listed = wandb_runs.listed(db, at.challenge, words, start, long_list.ROWS)
        asked = wandb_runs.named(db, at.challenge, st.query_params.get("wandb", ""))
    chosen = _chosen(listed, at.challenge.time_zone)
    shown = chosen or ([asked] if asked is not None else listed[:1])
    if len(shown) == 1:
        _details(journal, at, shown[0])
    if shown:
        curves_together.of_foreign(journal, at, shown[: curve_overlay.MOST], "foreign")


def _chosen(listed: list[ForeignRun], time_zone: str) -> list[ForeignRun]:
    if not listed:
        return []
    table = st.dataframe(
        [_cells(run, time_zone) for run in listed],
        key=long_list.table_key("foreign", (run.key for run in listed)),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        column_config={
            "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Page": st.column_config.LinkColumn(width="small", display_text="W&B", help="the run on its W&B server"),
        },
    )
    return [listed[place] for place in table.selection.rows if place < len(listed)]


def _cells(run: ForeignRun, time_zone: str) -> dict[str, object]:
    return {
        "Name": run.name,
        "State": "gone from its server" if run.is_gone else run.state,
        "Score": run.score_words or None,
        "Runs": len(run.parts),
        "Started": local(run.parts[0].started_at, time_zone).replace(tzinfo=None),
        "Project": run.place or None,
        "Experiment": run.experiment_key,
        "Tags": " ".join(run.tags) or None,
        "Notes": run.notes or None,
        "Page": run.url or None,
    }


def _details(journal: Journal, at: Sitting, run: ForeignRun) -> None:
    said = (run.place, run.state, run.score_words)
    head = (f"**{plain(run.name)}**", *(plain(words) for words in said), link("W&B", run.url))
    st.markdown(" · ".join(part for part in head if part))
    if run.notes:
        st.markdown(plain(run.notes))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if run.experiment_key is None:
            st.text_input("Experiment", key="adopting", placeholder="the key of one of yours", width=240)
            st.button("Put it there", key="adopt", on_click=attempt, args=(_adopt, journal, at, run.key))
        else:
            st.markdown(f"Belongs to {plain(run.experiment_key)}", width="content")
            st.button(
                "Take it away", key="unadopt", on_click=attempt,
                args=(wandb_adoption.unadopt, journal, at.challenge, run.key),
            )  # fmt: skip
    if not st.toggle("Config and summary", key="foreign_facts"):
        return
    parts = {f"{part.name} ({part.wandb_id})": part.id for part in run.parts[:MOST_PARTS]}
    of = st.selectbox("Of", parts, key=f"part_of_{run.key}") if len(parts) > 1 else next(iter(parts))
    with journal.reading() as db:
        config, summary = wandb_runs.facts(db, parts[of])
    left, right = st.columns(2)
    left.json(config, expanded=1)
    right.json(summary, expanded=1)


def _adopt(journal: Journal, at: Sitting, key: str) -> None:
    wandb_adoption.adopt(journal, at.challenge, key, st.session_state.adopting.strip())
