"""The curves of several runs laid over each other: which metric, over what, how smooth, folds as lines or as a band."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from app import charts
from app.scores.metric_names import counterpart
from app.scores.run_curves import FoldCurve

MOST = 50  # runs: with more of them nothing can be told apart
BY_TIME = "time"

Read = Callable[[str], Mapping[str, Sequence[FoldCurve]]]  # the curves of a metric, by the runs' names


def show(name: str, metrics: Sequence[str], preferred: str, read: Read) -> None:
    """`name` tells its widgets from others of the page; `preferred`, or what means the same among `metrics`, is shown first."""
    if not metrics:
        st.caption("No curve is kept: a run's come with its end, where it logged any.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        first = counterpart(preferred, metrics)
        at = 0 if first is None else metrics.index(first)
        metric = st.selectbox("Curves of", metrics, at, key=f"{name}_metric", width=240)
        over = st.segmented_control(
            "Over", ("epoch", BY_TIME), default="epoch", key=f"{name}_over", required=True,
        )  # fmt: skip
        weight = st.slider("Smooth", 0.0, 0.95, 0.0, 0.05, key=f"{name}_weight", width=180)
        as_band = st.toggle("Folds as a band", value=True, key=f"{name}_band", disabled=over == BY_TIME)
    curves = read(metric)
    if over == BY_TIME and not any(one.elapsed_s for folds in curves.values() for one in folds):
        st.caption("No times are known of these curves: choose epoch.")
        return
    figure = charts.overlay(curves, metric, by_time=over == BY_TIME, weight=weight, as_band=as_band)
    st.plotly_chart(figure, key=f"{name}_chart", config={"displaylogo": False})
