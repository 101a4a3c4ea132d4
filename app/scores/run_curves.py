"""The curves of several runs, to be laid over each other: smoothed, over epochs or time, folds as one line with a band."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.journal.tables import Curve
from app.scores.curve_blobs import epochs_of, points_of

ELAPSED = "time/elapsed_s"  # a curve too: the seconds that a fold was trained for, up to the end of an epoch


@dataclass(frozen=True)
class FoldCurve:
    """One metric of one fold: `values[i]` after `epochs[i]` epochs, `elapsed_s[i]` seconds of training (empty: not known).

    Where no epoch was logged `by_epoch` is False, and `epochs` are steps.
    """

    fold: int
    epochs: tuple[float, ...]
    values: tuple[float, ...]
    elapsed_s: tuple[float, ...] = ()
    by_epoch: bool = True


@dataclass(frozen=True)
class Band:
    """All folds of a run as one: at each of `at` the lowest, the mean and the highest value."""

    at: tuple[float, ...]
    low: tuple[float, ...]
    mean: tuple[float, ...]
    high: tuple[float, ...]


def metrics_of(db: Session, run_ids: Collection[int]) -> dict[int, frozenset[str]]:
    """The metrics of which each of these runs has a curve; one query."""
    query = columns(col(Curve.run_id), col(Curve.metric)).distinct()
    found: dict[int, set[str]] = defaultdict(set)
    for run_id, metric in db.connection().execute(query.where(col(Curve.run_id).in_(run_ids))):
        found[run_id].add(metric)
    return {run_id: frozenset(metrics - {ELAPSED}) for run_id, metrics in found.items()}


def of_runs(db: Session, run_ids: Collection[int], metric: str) -> dict[int, list[FoldCurve]]:
    """The curves of `metric` of each run, by fold; one query however many runs."""
    asked: list[Any] = [Curve.run_id, Curve.fold, Curve.metric, Curve.epochs, Curve.points]
    query = columns(*asked).where(col(Curve.run_id).in_(run_ids), col(Curve.metric).in_((metric, ELAPSED)))
    values: dict[int, dict[int, tuple[tuple[float, ...], tuple[float, ...]]]] = defaultdict(dict)
    times: dict[tuple[int, int], dict[float, float]] = {}
    for run_id, fold, name, epochs, points in db.connection().execute(query):
        told = points_of(points)
        at = epochs_of(epochs, len(told))
        if name == ELAPSED:
            times[run_id, fold] = dict(zip(at, told, strict=True))
        else:
            values[run_id][fold] = at, told
    return {
        run_id: [_curve(fold, *folds[fold], times.get((run_id, fold), {})) for fold in sorted(folds)]
        for run_id, folds in values.items()
    }


def smoothed(values: Sequence[float], weight: float) -> tuple[float, ...]:
    """An exponential moving average in which each value counts `weight` (0…1) of what the one after it does, right from the first.

    What is no number stays a gap and is left out of the mean.
    """
    mean, counted, found = 0.0, 0.0, []
    for value in values:
        if isfinite(value):
            mean, counted = weight * mean + (1 - weight) * value, weight * counted + (1 - weight)
            found.append(mean / counted if counted else value)
        else:
            found.append(value)
    return tuple(found)


def band(folds: Sequence[FoldCurve]) -> Band:
    """Over the epochs that any fold has; a fold that is not so far yet, or has no number there, does not count."""
    at: dict[float, list[float]] = defaultdict(list)
    for one in folds:
        for epoch, value in zip(one.epochs, one.values, strict=True):
            if isfinite(value):
                at[epoch].append(value)
    epochs = sorted(at)
    return Band(
        tuple(epochs),
        tuple(min(at[epoch]) for epoch in epochs),
        tuple(sum(at[epoch]) / len(at[epoch]) for epoch in epochs),
        tuple(max(at[epoch]) for epoch in epochs),
    )


def _curve(fold: int, epochs: tuple[float, ...], values: tuple[float, ...], times: dict[float, float]) -> FoldCurve:
    elapsed = tuple(times[epoch] for epoch in epochs) if all(epoch in times for epoch in epochs) else ()
    return FoldCurve(fold, epochs, values, elapsed)
