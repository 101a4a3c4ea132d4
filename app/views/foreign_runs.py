"""Runs that W&B tells of and that were not started here: their scores, curves and configs, and which experiment they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from app.journal.days import local
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores import wandb_adoption, wandb_runs
from app.scores.wandb_runs import ForeignRun, Order
from app.views import curve_overlay, curves_together, long_list
from app.views.desk import attempt, link, plain

ORDER = "foreign_order"
ORDER_WORDS = {order: "by name" if order == "name" else f"{order} first" for order in wandb_runs.ORDERS}
# What a click on a column's head asks for, and one more.
ORDERS_OF: Mapping[str, tuple[Order, Order]] = {
    "Name": ("name", "newest"),
    "Score": ("best score", "worst score"),
    "Started": ("newest", "oldest"),
}
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
            order = long_list.choice("W&B runs", "Order", wandb_runs.ORDERS, ORDER, ORDER_WORDS.__getitem__)
            start = long_list.turn("W&B runs", wandb_runs.count(db, at.challenge, words), ORDER_WORDS[order])
        listed = wandb_runs.listed(db, at.challenge, words, start, long_list.ROWS, order)
        asked = wandb_runs.named(db, at.challenge, st.query_params.get("wandb", ""))
    chosen = _chosen(listed, order, at.challenge.time_zone)
    shown = chosen or ([asked] if asked is not None else listed[:1])
    if len(shown) == 1:
        _details(journal, at, shown[0])
    if shown:
        curves_together.of_foreign(journal, at, shown[: curve_overlay.MOST], "foreign")


def _chosen(listed: list[ForeignRun], order: Order, time_zone: str) -> list[ForeignRun]:
    if not listed:
        return []
    key = long_list.table_key("foreign", (order, *(run.key for run in listed)))
    table = st.dataframe(
        [_cells(run, time_zone) for run in listed],
        key=key,
        hide_index=True,
        on_select=partial(long_list.sort_by_head, "W&B runs", key, ORDER, ORDERS_OF),
        selection_mode=long_list.ROWS_AND_HEADS,
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
