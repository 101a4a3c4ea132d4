"""The runs that a day's hour queued: how far they are, what came of them, cancel."""

from __future__ import annotations

import streamlit as st

from app.jobs import backlog, submitting
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores.run_rows import RunRow, run_rows
from app.scores.verdict import verdicts
from app.views import submit_form
from app.views.desk import attempt, plain
from app.views.run_words import OVERTIME, cv_words, state_words, verdict_words, wandb_words
from engine.run_folder import RunFolder

REFRESH_S = 3
MOST_SHOWN = 10


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        rows = run_rows(db, at.challenge, first=at.local_date, last=at.local_date)
    st.markdown("**Today's runs**")
    if not rows:
        st.caption("No run yet today. What you queue runs during the other 23 hours.")
    elif any(row.is_open for row in rows):
        st.fragment(_watch, run_every=REFRESH_S, key="day_runs_watch")(journal, at)
    else:
        _lines(journal, at, rows)


def _watch(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        rows = run_rows(db, at.challenge, first=at.local_date, last=at.local_date)
    _lines(journal, at, rows)


def _lines(journal: Journal, at: Sitting, rows: list[RunRow]) -> None:
    rows = sorted(rows, key=lambda row: not row.is_open)  # what can still be cancelled comes first
    shown, more = rows[:MOST_SHOWN], len(rows) - MOST_SHOWN
    with journal.reading() as db:
        found = verdicts(db, at.challenge, [row.run_id for row in shown])
        keys = [row.run_key for row in shown if not row.is_open]
        unsent = submitting.unsent_runs(db, at.challenge, keys) if submitting.is_possible(at.challenge) else []
        under_way = submitting.under_way(db, at.challenge) if unsent else set()
        why_not = submit_form.reason_not(at, submitting.slots_left(db, at.challenge, at.now)) if unsent else ""
    for row in shown:
        name, what, state, result, act = st.columns([1.3, 3, 2, 2, 0.9], vertical_alignment="center")
        name.markdown(f"`{row.run_key}`")
        what.markdown(plain(row.hypothesis) + (f" {OVERTIME}" if at.is_overtime(row.queued_at) else ""))
        state.markdown(state_words(row))
        if row.is_open:
            if row.state in backlog.ACTIVE:
                result.progress(RunFolder(journal.home.run_dir(row.run_key)).progress())
            act.button(
                "Cancel",
                key=f"cancel_{row.run_key}",
                on_click=attempt,
                args=(backlog.cancel, journal, row.run_key),
                disabled=row.cancel_asked,
            )
        else:
            result.markdown(
                " · ".join(
                    part
                    for part in (
                        f"**{cv_words(row)}**" if row.cv is not None else plain(row.message),
                        verdict_words(found.get(row.run_id)),
                        wandb_words(row),
                    )
                    if part
                )
            )
            if row.run_key in under_way:
                act.caption("being sent")
            elif row.run_key in unsent:
                act.button(
                    "Submit",
                    key=f"submit_{row.run_key}",
                    help=why_not or "Send it to Kaggle with its hypothesis beside it",
                    disabled=bool(why_not),
                    on_click=attempt,
                    args=(submitting.ask, journal, row.run_key),
                )
    if more > 0:
        st.caption(f"{more} more of today's stand on [Runs](/runs).")
