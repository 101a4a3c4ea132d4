"""Runs as pages list them: one row a run with its job's state, its CV and its fold scores, read in one query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from statistics import stdev

from sqlmodel import Session, col, func, select

from app.journal.tables import Challenge, Experiment, FoldScore, Job, Run


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
    fold_scores: tuple[float, ...]
    threshold: float | None
    device: str | None
    wandb_mode: str | None
    wandb_url: str | None
    backend: str
    train_s: float | None
    gpu_s: float | None
    remarks: tuple[str, ...]
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
) -> list[RunRow]:
    """The runs of a challenge, newest first: of the days from `first` to `last` (inclusive), ended at `finished_since` or later."""
    scores = (
        select(func.json_group_array(FoldScore.score))
        .where(FoldScore.run_id == Run.id)
        .correlate(Run)
        .scalar_subquery()
    )
    newest_job = select(func.max(Job.id)).where(Job.run_id == Run.id).correlate(Run).scalar_subquery()
    query = (
        select(Run, Job, Experiment.hypothesis, scores)
        .join(Experiment, col(Run.experiment_id) == col(Experiment.id))
        .join(Job, col(Job.id) == newest_job)
        .where(Run.challenge_id == challenge.id)
    )
    if first is not None:
        query = query.where(Run.local_date >= first)
    if last is not None:
        query = query.where(Run.local_date <= last)
    if finished_since is not None:
        query = query.where(col(Job.finished_at) >= finished_since)
    query = query.order_by(col(Run.created_at).desc(), col(Run.id).desc())
    return [_row(run, job, hypothesis, folds) for run, job, hypothesis, folds in db.exec(query).all()]


def cv_text(run: RunRow) -> str:
    """`0.842 ± 0.006`; empty until there is a CV."""
    if run.cv is None:
        return ""
    return score_text(run.cv) + (f" ± {score_text(run.spread)}" if run.spread is not None else "")


def score_text(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}"


def spread(fold_scores: tuple[float, ...]) -> float | None:
    """How far the folds lie apart: their sample standard deviation. None for fewer than two."""
    return stdev(fold_scores) if len(fold_scores) > 1 else None


def _row(run: Run, job: Job, hypothesis: str, folds: str) -> RunRow:
    return RunRow(
        run_id=run.id,
        run_key=run.key,
        hypothesis=hypothesis,
        local_date=run.local_date,
        spec_source=run.spec_source,
        state=job.state,
        message=job.message,
        metric=run.metric,
        cv=run.cv,
        fold_scores=tuple(json.loads(folds)),
        threshold=run.threshold,
        device=run.device,
        wandb_mode=run.wandb_mode,
        wandb_url=run.wandb_url,
        backend=job.backend,
        train_s=run.train_s,
        gpu_s=run.gpu_s,
        remarks=tuple(json.loads(run.remarks or "[]")),
        cancel_asked=job.cancel_asked_at is not None,
        estimated_s=job.estimated_s,
        queued_at=job.queued_at,
        first_started_at=job.first_started_at,
        finished_at=job.finished_at,
    )
