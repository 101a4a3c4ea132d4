"""A run that is not over: how far it is, when it will end, its curves, what its GPU does, and its log as it is written."""

from __future__ import annotations

import streamlit as st

from app import charts
from app.jobs import backlog, night
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores import runs
from app.scores.run_rows import RunRow
from app.views.desk import attempt, plain
from engine.run_folder import RunFolder

FOLLOW_S = 3
LOG_HEIGHT = 260


def show(journal: Journal, at: Sitting, row: RunRow) -> None:
    st.button(
        "Cancel", key="cancel", disabled=row.cancel_asked, on_click=attempt, args=(backlog.cancel, journal, row.run_key)
    )
    st.fragment(_follow, run_every=FOLLOW_S, key=f"live_{row.run_id}")(journal, at, row)


def _follow(journal: Journal, at: Sitting, row: RunRow) -> None:
    folder, now = RunFolder(journal.home.run_dir(row.run_key)), journal.now()
    with journal.reading() as db:
        queued = backlog.queue_row(db, row.run_key)
    if queued is None or queued.state == backlog.QUEUED != row.state:
        st.rerun()  # it is over, or goes on later: the page says so
    if queued.state in backlog.ACTIVE:
        ends = night.end_text(night.running_until(journal.home, queued, now), now, at.challenge.time_zone)
        where = _where(folder)
        st.progress(folder.progress(), f"{folder.progress():.0%}{where}, ends about {ends}")
    if queued.message:
        st.caption(plain(queued.message))
    series = [one for one in runs.points(folder) if one.metric == f"valid/{row.metric}"]
    if series:
        st.markdown(f"valid/{plain(row.metric)} of each fold, epoch by epoch")
        st.plotly_chart(charts.curves(series), key=f"live_curves_{row.run_id}", config={"displayModeBar": False})
    gpu = _gpu_words(folder)
    if gpu:
        st.caption(gpu)
    st.markdown("Log")
    with st.container(height=LOG_HEIGHT, border=False, autoscroll=True):
        st.code(folder.log_tail() or "Nothing is written yet.", language=None, wrap_lines=True)


def _where(folder: RunFolder) -> str:
    """`, 2 folds begun, epoch 7`."""
    epochs = [each for each in folder.metrics() if each.get("kind") == "epoch"]
    if not epochs:
        return ""
    begun = len({each.get("fold") for each in epochs})
    return f", {begun} fold{'s' * (begun > 1)} begun, epoch {epochs[-1].get('epoch')}"


def _gpu_words(folder: RunFolder) -> str:
    """What the newest rows say of the GPU and the pace: `GPU 87 % busy, 6.1 GB · 214 images/s, 3 % of the time waiting for data`."""
    newest: dict[str, float] = {}
    for each in folder.metrics():
        of_pace = {name: value for name, value in each.items() if name.startswith(("gpu/", "time/", "images/"))}
        newest |= {name: value for name, value in of_pace.items() if isinstance(value, int | float)}
    busy, memory = newest.get("gpu/busy"), newest.get("gpu/peak_gb")
    gpu = [f"{busy:.0%} busy" if busy is not None else "", f"{memory:.1f} GB" if memory is not None else ""]
    waiting, working = newest.get("time/data_s", 0.0), newest.get("time/compute_s", 0.0)
    share = f", {waiting / (waiting + working):.0%} of the time waiting for data" if waiting + working else ""
    pace = f"{newest['images/s']:.0f} images/s{share}" if "images/s" in newest else ""
    said = ", ".join(part for part in gpu if part)
    return " · ".join(part for part in (f"GPU {said}" if said else "", pace) if part)
