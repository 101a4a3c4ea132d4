"""Scores: do CV and LB agree, day by day? One row a run or imported submission, its day's hours beside it, newest first.

What was sent before the challenge's first day has no day's number: it stands below in a table of its own, by its date.
"""

from __future__ import annotations

from datetime import date
from importlib import import_module

import streamlit as st

from app.journal import challenges
from app.journal.days import MINUTE_MS
from app.journal.home import COMMAND
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import day_notes
from app.scores import board_pages, leaderboard, position
from app.scores.board import BoardDay, BoardRun, SentElsewhere, board_days, days_before, sent_elsewhere
from app.scores.run_rows import cv_text, score_text
from app.scores.wandb_runs import ForeignRun
from app.views.desk import attempt

DAYS = "Days"
PARTS = {
    DAYS: "",
    "Leaderboard": "app.views.leaderboard",
    "Timeline": "app.views.score_timeline",
    "CV and LB": "app.views.cv_lb",
    "What helped": "app.views.what_helped",
    "Final two": "app.views.final_two",
    "Story": "app.views.story",
}


def show(journal: Journal, at: Sitting) -> None:
    part = st.segmented_control(
        "Show", list(PARTS), default=DAYS, key="part", bind="query-params", required=True, label_visibility="collapsed"
    )
    if part in PARTS and part != DAYS:
        # Imported when first opened: the plots' script is large, and the table of days is read every day.
        import_module(PARTS[part]).show(journal, at)
    else:
        _days(journal, at)


def _days(journal: Journal, at: Sitting) -> None:
    challenge = at.challenge
    if at.day_number < 1:
        st.caption(f"The challenge starts on {challenge.starts_on}. Scores appear here day by day.")
        with journal.reading() as db:
            elsewhere = sent_elsewhere(db, challenge)
        _before(days_before(challenge, elsewhere))
        return
    until = min(at.local_date, challenges.last_day(challenge))
    with journal.reading() as db:
        elsewhere = sent_elsewhere(db, challenge)
        pages = board_pages.of_challenge(db, challenge, until, elsewhere)
        first, last = pages[_page(len(pages)) - 1]
        days = board_days(db, challenge, first, last, at.now, elsewhere)
        said = day_notes.in_short(db, challenge, first, last)
        ranks = position.rank_by_day(db, challenge)
    earlier = days_before(challenge, elsewhere) if first == challenge.starts_on else []
    of_day: dict[date, dict[str, object]] = {
        day.local_date: {"Rank": rank_cell(ranks.get(day.local_date)), "Note": said.get(day.local_date)} for day in days
    }
    rows = [row for day in days for row in _rows(day, of_day[day.local_date])]
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        placeholder="",
        # On a phone the first three are seen without scrolling sideways.
        column_order=["Day", "CV", "LB", "Rank", "Minutes", "Run", "What", "Note", "State", "W&B", "Page", "Date"],
        column_config={
            "Day": st.column_config.NumberColumn(width=45),
            "CV": st.column_config.TextColumn(width=115),
            "Minutes": st.column_config.NumberColumn(format="%.0f", width="small"),
            "Rank": st.column_config.TextColumn(width=95, help="on that day's leaderboard, as it was seen last"),
            "What": st.column_config.TextColumn(width=240),
            "Note": st.column_config.TextColumn(width=240, help="of that day: what was learnt, else its first line"),
            "W&B": st.column_config.TextColumn(
                width=190,
                help="of a run of ours where it was mirrored: offline ones lie in its folder under wandb/; of one that was not started "
                "here what its summary says, over the runs of its group",
            ),
            "Page": st.column_config.LinkColumn(width="small", display_text="W&B", help="the run on its W&B server"),
            "LB": st.column_config.TextColumn(
                width=165, help="public / private; kaggle: its own; local: scored here against a truth file"
            ),
        },
    )
    runs = [run for day in days for run in day.runs]
    if not runs and not any(day.foreign_runs for day in days):
        imported = any(day.sent_elsewhere for day in (*days, *earlier))
        yet = "Only imported submissions yet: start the hour on Today and queue a first run."
        none = yet if imported else "No run yet: start the hour on Today and queue one."
        st.caption(none if len(pages) == 1 else "No run on these days.")
    _before(earlier)
    if not runs:
        return
    if challenge.truth_path is None:
        st.caption(f"With the labels of the test part, `{COMMAND} lb local TRUTH.csv` scores every submission here.")
    submitted = [run for run in runs if run.submission_path is not None]
    if submitted:
        _enter_by_hand(journal, submitted)


def _page(pages: int) -> int:
    """The page that the person turned to, from 1."""
    if st.session_state.get("scores_page", 1) > pages:  # with another challenge there may be fewer
        st.session_state.scores_page = 1
    return st.pagination(pages, key="scores_page", bind="query-params") if pages > 1 else 1


def _before(days: list[BoardDay]) -> None:
    if not days:
        return
    st.markdown("**Before day 1**")
    st.dataframe(
        [{"Date": day.local_date} | _sent_cells(sent) for day in days for sent in reversed(day.sent_elsewhere)],
        hide_index=True,
        width="stretch",
        column_order=["Date", "LB", "Run", "What", "State"],
        column_config={
            "Date": st.column_config.DateColumn(width=100),
            "LB": st.column_config.TextColumn(width=150, help="public / private"),
            "What": st.column_config.TextColumn(width="large"),
        },
    )


def rank_cell(rank: tuple[int, int] | None) -> str | None:
    return None if rank is None else f"{rank[0]} of {rank[1]}"


def _rows(day: BoardDay, of_day: dict[str, object]) -> list[dict[str, object]]:
    """One row a run; a day without runs keeps a row of its own, so that its hours are seen. `of_day`: further cells of the day."""
    head: dict[str, object] = {
        "Day": day.number,
        "Date": day.local_date,
    }
    cells = [_run_cells(run) for run in reversed(day.runs)] + [
        _sent_cells(sent) for sent in reversed(day.sent_elsewhere)
    ]
    cells += [_foreign_cells(run) for run in reversed(day.foreign_runs)]
    rows = [head | one for one in cells or [{"What": "no run" if day.used_ms is not None else "–"}]]
    # Minutes, rank and note are the day's, not a run's: they stand once.
    rows[0] |= of_day | {"Minutes": None if day.used_ms is None else day.used_ms / MINUTE_MS}
    return rows


def _run_cells(run: BoardRun) -> dict[str, object]:
    row = run.row
    return {
        "Run": row.run_key,
        "What": row.hypothesis,
        "State": row.state,
        "CV": cv_text(row),
        "LB": _lb_text(run.public, run.private, run.lb_source or ""),
        "W&B": row.wandb_mode or "",
        **({"Page": row.wandb_url} if row.wandb_url else {}),
    }


def _foreign_cells(run: ForeignRun) -> dict[str, object]:
    many = f"{len(run.parts)} runs" if len(run.parts) > 1 else ""
    return {
        "Run": run.name,
        "What": " · ".join(part for part in (run.notes, many, run.place, run.experiment_key or "") if part),
        "State": "gone from W&B" if run.is_gone else run.state,
        "W&B": run.score_words,
        **({"Page": run.url} if run.url else {}),
    }


def _sent_cells(sent: SentElsewhere) -> dict[str, object]:
    return {
        "Run": sent.name,
        "What": sent.description,
        "State": sent.state,
        "LB": _lb_text(sent.public, sent.private, sent.source or ""),
    }


def _lb_text(public: float | None, private: float | None, source: str) -> str:
    return "" if public is None and private is None else f"{score_text(public)} / {score_text(private)} {source}"


def _enter_by_hand(journal: Journal, runs: list[BoardRun]) -> None:
    with st.expander("Type in a leaderboard score"), st.form("lb", border=False):
        st.selectbox("Run", [run.row.run_key for run in runs], key="lb_run")
        public, private = st.columns(2)
        public.number_input("Public", value=None, format="%.5f", key="lb_public")
        private.number_input("Private", value=None, format="%.5f", key="lb_private")
        with st.container(horizontal=True):
            st.form_submit_button("Keep", on_click=lambda: attempt(_keep, journal))
            st.form_submit_button(
                "Only say that it was sent",
                on_click=lambda: attempt(_sent, journal),
                help="It takes one of the day's submissions; the scores can follow.",
            )


def _sent(journal: Journal) -> None:
    leaderboard.mark_sent(journal, st.session_state.lb_run)
    st.toast("Marked as sent")


def _keep(journal: Journal) -> None:
    asked = st.session_state
    leaderboard.enter_by_hand(journal, asked.lb_run, asked.lb_public, asked.lb_private)
