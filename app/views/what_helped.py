"""What helped: one row an idea, with what it did to the score and what it cost."""

from __future__ import annotations

import streamlit as st

from app.journal.days import MINUTE_MS
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import what_helped
from app.reports.what_helped import Idea
from app.scores.verdict import verdict_text

WORDS = {"helped": "▲ helped", "hurt": "▼ hurt", "unclear": "◆ unclear"}
ROWS = 300
HOUR_S = 3600


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        found = what_helped.ideas(db, at.challenge, at.now, limit=ROWS)
    if not found:
        st.caption("No idea was tried yet. Each hypothesis that is queued becomes a row here.")
        return
    counted = {word: sum(idea.verdict is not None and idea.verdict.word == word for idea in found) for word in WORDS}
    st.caption(
        ", ".join(f"{WORDS[word]} {number}" for word, number in counted.items())
        + f", of {'the newest ' * (len(found) == ROWS)}{len(found)} ideas"
    )
    st.dataframe(
        [_cells(idea) for idea in found],
        key="ideas",
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={
            "Idea": st.column_config.TextColumn(width="large"),
            "CV": st.column_config.NumberColumn(format="%.4f"),
            "Gain an hour": st.column_config.NumberColumn(format="%+.4f", help="for each hour of your own work"),
            "Work, min": st.column_config.NumberColumn(
                format="%.0f", help="each day's focus time, shared by the ideas queued on it"
            ),
            "GPU, h": st.column_config.NumberColumn(format="%.2f", help="hours in which a GPU was held"),
            "Machine, h": st.column_config.NumberColumn(format="%.2f", help="hours in which a machine was at it"),
            "Why": st.column_config.TextColumn(width="medium"),
        },
    )


def _cells(idea: Idea) -> dict[str, object]:
    return {
        "Experiment": idea.experiment_key,
        "Idea": idea.hypothesis,
        "Verdict": "–" if idea.verdict is None else WORDS[idea.verdict.word],
        "CV": idea.cv,
        "Gain an hour": idea.gain_an_hour,
        # Numbers, so that a click on a head sorts them as such.
        "Work, min": idea.work_ms / MINUTE_MS,
        "GPU, h": idea.gpu_s / HOUR_S if idea.gpu_s else None,
        "Machine, h": idea.held_s / HOUR_S,
        "Runs": idea.runs,
        "Why": idea.why_none if idea.verdict is None else verdict_text(idea.verdict),
    }
