"""One run: its scores and remarks, what was changed in it, its submission, what a person thinks of it, its log, curves and spec."""

from __future__ import annotations

import json

import streamlit as st

from app.jobs import home_scoring, standing_orders
from app.journal import links
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import run_record
from app.reports.run_record import RunRecord
from app.scores import verdict
from app.scores.run_rows import RunRow
from app.views import curves_together, live_run, run_note_form, run_origin, submit_form, wandb_push
from app.views.desk import attempt, plain
from app.views.run_words import cv_words, lb_words, state_words, verdict_words, wandb_words
from engine.run_folder import RunFolder


def show(journal: Journal, at: Sitting, row: RunRow) -> None:
    folder = RunFolder(journal.home.run_dir(row.run_key))
    with journal.reading() as db:
        record = run_record.read(db, at.challenge, row.run_key)
        none = "" if record.verdict is not None else verdict.why_none(db, at.challenge, row)
        not_scored = home_scoring.why_none(db, row.run_key) if at.challenge.truth_path is not None else ""
    head = (
        f"**{row.run_key}**",
        state_words(row),
        cv_words(row),
        lb_words(record.run),
        wandb_words(row),
        plain(row.message),
    )
    st.markdown(" · ".join(part for part in head if part))
    st.markdown(verdict_words(record.verdict) or f":gray[No verdict: {plain(none)}.]")
    for remark in row.remarks:
        st.markdown(f"- {plain(remark)}")
    if row.fold_scores:
        scores = zip(row.folds, row.fold_scores, strict=True)
        st.table([{f"fold {fold}": f"{score:.4f}" for fold, score in scores}])
    if folder.threshold_png.is_file():
        st.image(str(folder.threshold_png), caption="Where the unknown label goes: its threshold, chosen on OOF")
    listed = record.run.submission_path
    submission = folder.submission_csv if listed is None else journal.home.path / listed
    if submission.is_file():
        st.markdown("Submission")
        st.code(str(submission), language=None)
        submit_form.show(journal, at, row.run_key)
        if not_scored:
            st.caption(f"Not scored at home: {plain(not_scored)}")
    for one in record.foreign:
        there = f"[{plain(one.name)}]({links.wandb_run_address(one.parts[0].id)})"
        st.markdown(f"Of the same experiment, from elsewhere: {there} {plain(one.score_words)}".rstrip())
    _order(journal, row)
    run_origin.show(journal, at, record)
    if row.is_open:
        live_run.show(journal, at, row)
        if st.toggle("Spec", key="open_spec"):
            _spec(record)
    else:
        wandb_push.show(journal, row.run_key)
        _parts(journal, at, row, record, folder)
    run_note_form.show(journal, at, row)


def _parts(journal: Journal, at: Sitting, row: RunRow, record: RunRecord, folder: RunFolder) -> None:
    part = st.segmented_control(
        "Of this run",
        ("Log", "Curves", "Spec"),
        default="Log",
        key="run_part",
        required=True,
        label_visibility="collapsed",
    )
    if part == "Curves":
        curves_together.of_ours(journal, at, [row], "own", akin=record.foreign)
    elif part == "Spec":
        _spec(record)
    else:
        text = folder.log_tail() or "Nothing is written yet."
        st.code(text, language=None, height=live_run.LOG_HEIGHT, wrap_lines=True)


def _spec(record: RunRecord) -> None:
    st.code(json.dumps(record.spec, indent=2, ensure_ascii=False), language="json", height=live_run.LOG_HEIGHT)


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
