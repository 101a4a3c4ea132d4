"""What each idea is held against: the best run before its first one, on the same data and the same folds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy import select as columns
from sqlmodel import Session, col, func

from app.journal.tables import Challenge, Experiment, FoldScore, Run
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


def runs_on_folds(db: Session, challenge: Challenge, experiments: Collection[int] | None = None) -> list[RunOnFolds]:
    """Every run of the challenge in the order of queueing.

    With `experiments` those of these, and what `best_and_baseline` needs to know of all others: the runs before that were the best.
    """
    if experiments is None:
        return _read(db, col(Run.challenge_id) == challenge.id)
    mine = _read(db, col(Run.experiment_id).in_(experiments))
    on_grounds = [(row.run_id, row.on) for row in mine if None not in row.on]
    led: set[int] = set()
    for blends in {row.kind == "blend" for row in mine} if on_grounds else ():
        led.update(run_id for runs in leaders(db, challenge, on_grounds, blends).values() for run_id in runs)
    others = _read(db, col(Run.id).in_(led.difference(row.run_id for row in mine)))
    return sorted([*mine, *others], key=lambda row: row.run_id)


def _read(db: Session, which: ColumnElement[bool]) -> list[RunOnFolds]:
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
    found = db.connection().execute(columns(*asked).where(which).order_by(col(Run.id)))
    return [
        RunOnFolds(run_id, key, experiment_id, on, metric, cv, (data, folds), kind)
        for run_id, key, experiment_id, on, metric, cv, data, folds, kind in found
    ]


def newest_experiments(db: Session, challenge: Challenge, limit: int) -> list[int]:
    """Those that were begun last, by their first runs, the newest first; one query."""
    asked = (
        columns(col(Experiment.id))
        .join(Run, col(Run.experiment_id) == col(Experiment.id))
        .where(col(Experiment.challenge_id) == challenge.id)
        .group_by(col(Experiment.id))
        .order_by(func.min(Run.id).desc())
        .limit(limit)
    )
    return list(db.connection().execute(asked).scalars())


def leaders(
    db: Session, challenge: Challenge, runs: Sequence[tuple[int, Ground]], blends: bool
) -> dict[Ground, list[int]]:
    """The runs that were the best so far on their data and folds when they were queued, by these, in order; one pass over an index.

    Up to the newest of `runs` and on their grounds alone. Blends count among them only where `blends` are compared.
    """
    upwards = METRIC_DIRECTIONS[challenge.metric] == "max"
    best = func.max if upwards else func.min
    ground = (col(Run.data_sha256), col(Run.folds_sha256))
    before = best(Run.cv).over(partition_by=ground, order_by=col(Run.id), rows=(None, -1)).label("best_before")
    read: Sequence[Any] = (col(Run.id).label("id"), *ground, col(Run.cv).label("cv"), before)
    query = columns(*read).where(
        col(Run.challenge_id) == challenge.id,
        col(Run.metric) == challenge.metric,
        ground[0].in_({data for _, (data, _) in runs}),
        ground[1].in_({folds for _, (_, folds) in runs}),
        col(Run.cv).is_not(None),
        col(Run.id).in_(columns(col(FoldScore.run_id))),  # a CV alone is nothing to be compared with
        # An expression and not the column, or SQLite takes the runs one by one by their numbers and not from the index.
        col(Run.id) + 0 < max(run_id for run_id, _ in runs),
    )
    # A blend is made of runs and better than each: what an idea did to a run is seen beside runs.
    so_far = (query if blends else query.where(col(Run.kind) != "blend")).subquery().c
    is_better = so_far.cv > so_far.best_before if upwards else so_far.cv < so_far.best_before
    led = columns(so_far.id, so_far.data_sha256, so_far.folds_sha256).where(so_far.best_before.is_(None) | is_better)
    found: dict[Ground, list[int]] = defaultdict(list)
    for run_id, data, folds in db.connection().execute(led.order_by(so_far.id)):
        found[data, folds].append(run_id)
    return found


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
    """Fold → score of each run, empty where it has none; one query."""
    return _fold_scores(db, col(FoldScore.run_id).in_(run_ids))


def all_fold_scores(db: Session, challenge: Challenge) -> dict[int, dict[int, float]]:
    """Those of every run of the challenge."""
    return _fold_scores(
        db, col(FoldScore.run_id).in_(columns(col(Run.id)).where(col(Run.challenge_id) == challenge.id))
    )


def _fold_scores(db: Session, which: ColumnElement[bool]) -> dict[int, dict[int, float]]:
    """A row a run: of thousands, a row a fold takes longer to read than to compare."""
    pairs = func.json_group_array(func.json_array(FoldScore.fold, FoldScore.score))
    asked = columns(col(FoldScore.run_id), pairs).where(which).group_by(col(FoldScore.run_id))
    found = db.connection().execute(asked)
    return defaultdict(dict, {run_id: dict(json.loads(scores)) for run_id, scores in found})
