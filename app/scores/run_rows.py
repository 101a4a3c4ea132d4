"""Runs as pages list them: one row a run with its job's state, its CV and its fold scores, read in one query."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, fsum, log10, sqrt
from typing import Any

from sqlalchemy import RowMapping, Select, select, union_all
from sqlmodel import Session, col, func

from app.journal.tables import Challenge, Experiment, FoldScore, Job, Run

# Folds that lie less apart have the same score: what is left is rounding.
EQUAL = 1e-9


@dataclass(frozen=True)
class RunRow:
    """A run as a person reads it. Moments in milliseconds UTC; `state` is that of its job."""

    run_id: int
    run_key: str
    hypothesis: str
    local_date: date
    spec_source: str
    state: str
    message: str
    metric: str
    cv: float | None
    folds: tuple[int, ...]  # their numbers, in order; `fold_scores` go with them
    fold_scores: tuple[float, ...]
    threshold: float | None
    device: str | None
    wandb_mode: str | None
    wandb_url: str | None
    backend: str
    slot: str | None  # of the newest attempt
    train_s: float | None
    gpu_s: float | None
    remarks: tuple[str, ...]
    note: str
    tags: tuple[str, ...]
    cancel_asked: bool
    estimated_s: float | None
    queued_at: int
    first_started_at: int | None
    finished_at: int | None

    @property
    def spread(self) -> float | None:
        return spread(self.fold_scores)

    @property
    def minutes(self) -> float | None:
        """From the start of the job's first attempt to its end; None while it is not over or never started."""
        if self.first_started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.first_started_at) / 60_000

    @property
    def is_open(self) -> bool:
        """Whether it still waits or runs."""
        return self.finished_at is None


def run_rows(
    db: Session,
    challenge: Challenge,
    *,
    first: date | None = None,
    last: date | None = None,
    finished_since: int | None = None,
    keys: Collection[str] | None = None,
) -> list[RunRow]:
    """The runs of a challenge, newest first: of the days from `first` to `last` (inclusive), ended at `finished_since` or later.

    With `keys` those alone that have one of them.
    """
    query = _rows(challenge).order_by(col(Run.id).desc())
    if first is not None:
        query = query.where(col(Run.local_date) >= first)
    if last is not None:
        query = query.where(col(Run.local_date) <= last)
    if keys is not None:
        # From the few keys to their runs, and not the other way round.
        query = query.where(col(Run.id).in_(select(col(Run.id)).where(col(Run.key).in_(keys))))
    if finished_since is not None:
        # Likewise from the few jobs.
        ended = select(col(Job.run_id)).where(col(Job.finished_at) >= finished_since)
        query = query.where(col(Run.id).in_(ended), col(Job.finished_at) >= finished_since)
    return [_row(found) for found in db.connection().execute(query).mappings()]


def run_row(db: Session, challenge: Challenge, key: str) -> RunRow | None:
    """The run with this key, or the newest one of the experiment with this key; None when there is neither."""
    of = select(col(Experiment.id)).where(col(Experiment.challenge_id) == challenge.id, col(Experiment.key) == key)
    of_key, of_experiment = col(Run.key) == key, col(Run.experiment_id).in_(of)
    # As above: joined by "or", the two would be held against every run.
    named = union_all(*(select(col(Run.id)).where(which) for which in (of_key, of_experiment)))
    query = _rows(challenge).where(col(Run.id).in_(named))
    found = db.connection().execute(query.order_by(col(Run.id).desc()).limit(1)).mappings().first()
    return None if found is None else _row(found)


def cv_text(run: RunRow) -> str:
    """`0.842 ± 0.006`; empty until there is a CV."""
    if run.cv is None:
        return ""
    spread = run.spread
    if spread is None or spread < EQUAL:
        return score_text(run.cv)
    return f"{score_text(run.cv)} ± {spread_text(spread)}"


def spread_text(spread: float) -> str:
    """Three digits, or as many as it needs."""
    return f"{spread:.{max(3, -floor(log10(spread)))}f}" if spread >= EQUAL else "0.000"


def score_text(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}"


def spread(fold_scores: Sequence[float]) -> float | None:
    """How far the folds lie apart: their sample standard deviation. None for fewer than two."""
    if len(fold_scores) < 2:
        return None
    # By hand: the exact fractions of the statistics module take longer than reading the rows.
    mean = fsum(fold_scores) / len(fold_scores)
    return sqrt(fsum((score - mean) ** 2 for score in fold_scores) / (len(fold_scores) - 1))


def _rows(challenge: Challenge) -> Select[Any]:
    """What a RunRow is made of: columns alone, for a run carries its whole spec and there may be thousands."""
    scores = (
        select(func.json_group_array(func.json_array(FoldScore.fold, FoldScore.score)))
        .where(col(FoldScore.run_id) == Run.id)
        .correlate(Run)
        .scalar_subquery()
    )
    of_run = (Run.local_date, Run.spec_source, Run.metric, Run.cv, Run.threshold, Run.device, Run.train_s, Run.gpu_s)
    said = (Run.wandb_mode, Run.wandb_url, Run.remarks, Run.note, Run.tags, Experiment.hypothesis)
    of_job = (Job.state, Job.message, Job.backend, Job.slot, Job.cancel_asked_at, Job.estimated_s)
    moments = (Job.queued_at, Job.first_started_at, Job.finished_at)
    named: tuple[Any, ...] = (col(Run.id).label("run_id"), col(Run.key).label("run_key"), scores.label("fold_scores"))
    columns: list[Any] = [*named, *of_run, *said, *of_job, *moments]
    newest_job = select(func.max(Job.id)).where(col(Job.run_id) == Run.id).correlate(Run).scalar_subquery()
    return (
        select(*columns)
        .select_from(Run)
        .join(Experiment, col(Run.experiment_id) == col(Experiment.id))
        .join(Job, col(Job.id) == newest_job)
        .where(col(Run.challenge_id) == challenge.id)
    )


def _row(found: RowMapping) -> RunRow:
    values = dict(found)
    folds = sorted(json.loads(values["fold_scores"]))
    values["folds"], values["fold_scores"] = tuple(fold for fold, _ in folds), tuple(score for _, score in folds)
    for name in ("remarks", "tags"):  # of most runs empty
        values[name] = () if values[name] in (None, "", "[]") else tuple(json.loads(values[name]))
    values["cancel_asked"] = values.pop("cancel_asked_at") is not None
    return RunRow(**values)
