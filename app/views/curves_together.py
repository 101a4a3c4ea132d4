"""Curves of runs, and of those that a person lays beside them: W&B runs beside ours, ours beside W&B runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import streamlit as st
from sqlmodel import Session

from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores import laid_over, run_search, wandb_runs
from app.scores.laid_over import Runs
from app.scores.run_curves import FoldCurve
from app.scores.run_rows import RunRow, run_row
from app.scores.run_search import RunSearch
from app.scores.wandb_runs import ForeignRun
from app.views import curve_overlay
from app.views.desk import plain

OFFERED = 100  # the newest; any other by its key
Found = TypeVar("Found")


def of_ours(journal: Journal, at: Sitting, rows: Sequence[RunRow], name: str, akin: Sequence[ForeignRun] = ()) -> None:
    """`name` tells its widgets from others of the page; `akin`: those from elsewhere that are offered first."""
    with journal.reading() as db:
        newest = wandb_runs.listed(db, at.challenge, limit=OFFERED)
        offered = {run.key: run.name for run in (*akin, *newest)}
        beside = _beside("W&B runs beside", name, offered, lambda key: _foreign(db, at, key))
    _show(journal, Runs(rows, beside), name, f"valid/{rows[0].metric}")


def of_foreign(journal: Journal, at: Sitting, runs: Sequence[ForeignRun], name: str) -> None:
    with journal.reading() as db:
        keys = run_search.find(db, at.challenge, RunSearch(which="with a CV")).keys(0, OFFERED)
        beside = _beside(
            "Runs of yours beside",
            name,
            {key: key for key in keys},
            lambda key: run_row(db, at.challenge, key.removeprefix("@")),
        )
    preferred = next((run.score_name for run in runs if run.score_name), f"valid/{at.challenge.metric}")
    _show(journal, Runs(beside, runs), name, preferred)


def _foreign(db: Session, at: Sitting, said: str) -> ForeignRun | None:
    """By its key or id, else the newest in which these words stand."""
    found = wandb_runs.named(db, at.challenge, said)
    return found or next(iter(wandb_runs.listed(db, at.challenge, said, limit=1)), None)


def _beside(label: str, name: str, offered: Mapping[str, str], find: Callable[[str], Found | None]) -> list[Found]:
    """Those that the person chose or named; nothing is asked where there are none. `offered`: names by keys."""
    if not offered:
        return []
    asked = st.multiselect(
        label, list(offered), key=f"{name}_beside", format_func=lambda key: offered.get(key, key),
        accept_new_options=True, max_selections=curve_overlay.MOST, placeholder="choose, or type the key of any other",
    )  # fmt: skip
    found = {said: find(said) for said in asked}
    missing = [plain(said) for said, run in found.items() if run is None]
    if missing:
        st.caption(f"There is no run {', '.join(missing)}.")
    return [run for run in found.values() if run is not None]


def _show(journal: Journal, runs: Runs, name: str, preferred: str) -> None:
    with journal.reading() as db:
        logged = laid_over.logged(db, runs)

    def read(metric: str) -> Mapping[str, Sequence[FoldCurve]]:
        with journal.reading() as db:
            return laid_over.of_metric(db, runs, logged, metric)

    curve_overlay.show(name, laid_over.metrics_of(logged), preferred, read)
