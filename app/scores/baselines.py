"""What each idea is held against: the best run before its first one, on the same data and the same folds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select as columns
from sqlmodel import Session, col, func

from app.journal.tables import Challenge, FoldScore, Run
from engine.contract import METRIC_DIRECTIONS

Ground = tuple[str | None, str | None]  # hashes of data and folds: runs with the same can be compared in pairs


@dataclass(frozen=True)
class RunOnFolds:
    """A run as far as comparing goes; `cv` is None while it has none."""

    run_id: int
    key: str
    experiment_id: int
    local_date: date
    metric: str
    cv: float | None
    on: Ground
    kind: str = "train"


def runs_on_folds(db: Session, challenge: Challenge) -> list[RunOnFolds]:
    """Every run of the challenge in the order of queueing."""
    asked: list[Any] = [
        Run.id,
        Run.key,
        Run.experiment_id,
        Run.local_date,
        Run.metric,
        Run.cv,
        Run.data_sha256,
        Run.folds_sha256,
        Run.kind,
    ]
    found = db.connection().execute(columns(*asked).where(col(Run.challenge_id) == challenge.id).order_by(col(Run.id)))
    return [
        RunOnFolds(run_id, key, experiment_id, on, metric, cv, (data, folds), kind)
        for run_id, key, experiment_id, on, metric, cv, data, folds, kind in found
    ]


def best_so_far(db: Session, challenge: Challenge, last: date) -> list[str]:
    """The keys of the runs queued up to the day `last` whose CV was better than that of every run before, in that order; one query."""
    more = METRIC_DIRECTIONS[challenge.metric] == "max"
    before = (func.max if more else func.min)(Run.cv).over(order_by=col(Run.id), rows=(None, -1)).label("before")
    scored = (
        columns(col(Run.id), col(Run.key), col(Run.cv), before)
        .where(
            col(Run.challenge_id) == challenge.id,
            col(Run.metric) == challenge.metric,
            col(Run.cv).is_not(None),
            col(Run.local_date).between(challenge.starts_on, last),
        )
        .subquery()
        .c
    )
    led = scored.cv > scored.before if more else scored.cv < scored.before
    asked = columns(scored.key).where(scored.before.is_(None) | led).order_by(scored.id)
    return list(db.connection().execute(asked).scalars())


def best_and_baseline(rows: Sequence[RunOnFolds], metric: str) -> dict[int, tuple[RunOnFolds, RunOnFolds | None]]:
    """For each experiment its best run, and the best run on the same data and folds queued before the experiment's first one.

    `rows` in the order of queueing. Among an experiment's runs one that can be compared goes before one that cannot. A blend, which
    is made of runs and better than each, is a baseline for blends alone.
    """
    better = is_better(metric)
    best_so_far: dict[Ground, RunOnFolds] = {}
    best_run_so_far: dict[Ground, RunOnFolds] = {}
    before: dict[int, dict[Ground, RunOnFolds]] = {}
    best: dict[int, RunOnFolds] = {}
    for row in rows:
        if row.experiment_id not in before:
            before[row.experiment_id] = dict(best_so_far if row.kind == "blend" else best_run_so_far)
        if row.cv is None or row.metric != metric:
            continue
        known = best.get(row.experiment_id)
        comparable = row.on in before[row.experiment_id]
        if known is None:
            best[row.experiment_id] = row
        elif comparable != (known.on in before[row.experiment_id]):
            best[row.experiment_id] = row if comparable else known
        elif better(row.cv, known.cv):
            best[row.experiment_id] = row
        if None not in row.on:
            for leaders in [best_so_far] if row.kind == "blend" else [best_so_far, best_run_so_far]:
                leader = leaders.get(row.on)
                if leader is None or better(row.cv, leader.cv):
                    leaders[row.on] = row
    return {experiment: (run, before[experiment].get(run.on)) for experiment, run in best.items()}


def is_better(metric: str) -> Callable[[float | None, float | None], bool]:
    """Whether the first score is better than the second one, in the metric's direction; none at all is the worst."""
    sign = 1 if METRIC_DIRECTIONS[metric] == "max" else -1

    def better(one: float | None, other: float | None) -> bool:
        return one is not None and (other is None or sign * one > sign * other)

    return better


def fold_scores(db: Session, run_ids: Collection[int]) -> dict[int, dict[int, float]]:
    """Fold → score of each run; one query."""
    scores: dict[int, dict[int, float]] = defaultdict(dict)
    asked: tuple[Any, ...] = (FoldScore.run_id, FoldScore.fold, FoldScore.score)
    for run_id, fold, score in db.connection().execute(columns(*asked).where(col(FoldScore.run_id).in_(run_ids))):
        scores[run_id][fold] = score
    return scores
