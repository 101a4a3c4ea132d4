"""The curves of runs that were not started here, in the shape of our own, so that they can be laid over each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.journal.tables import WandbCurve, WandbPart
from app.scores.run_curves import FoldCurve
from app.scores.wandb_intake import SERVER, floats, start_of
from app.scores.wandb_points import Series
from app.scores.wandb_runs import ForeignRun

EPOCH = "epoch"


def metrics_of(db: Session, runs: Collection[ForeignRun]) -> dict[str, frozenset[str]]:
    """The metrics of which each of these runs has a curve, by their keys; one query."""
    query = (
        columns(col(WandbPart.wandb_run_id), col(WandbCurve.metric))
        .join(WandbPart, col(WandbPart.id) == col(WandbCurve.part_id))
        .where(col(WandbPart.wandb_run_id).in_(_row_ids(runs)), col(WandbCurve.metric) != EPOCH)
        .distinct()
    )
    found: dict[int, set[str]] = defaultdict(set)
    for row_id, metric in db.connection().execute(query):
        found[row_id].add(metric)
    return {run.key: frozenset().union(*(found.get(part.id, ()) for part in run.parts)) for run in runs}


def of_runs(db: Session, runs: Collection[ForeignRun], metric: str) -> dict[str, list[FoldCurve]]:
    """The curves of `metric` by the runs' keys, those of a group numbered in the order of their start; one query."""
    blobs: list[Any] = [WandbCurve.steps, WandbCurve.runtimes_s, WandbCurve.points]
    query = (
        columns(col(WandbPart.wandb_run_id), col(WandbPart.path), col(WandbCurve.metric), *blobs)
        .join(WandbPart, col(WandbPart.id) == col(WandbCurve.part_id))
        .where(col(WandbPart.wandb_run_id).in_(_row_ids(runs)), col(WandbCurve.metric).in_((metric, EPOCH)))
    )
    told: dict[int, dict[str, dict[str, Series]]] = defaultdict(lambda: defaultdict(dict))
    for row_id, path, name, steps, runtimes_s, points in db.connection().execute(query):
        told[row_id][path][name] = Series(floats("d", steps), floats("f", runtimes_s), floats("f", points))
    curves: dict[str, list[FoldCurve]] = {}
    for run in runs:
        for number, part in enumerate(run.parts):
            parts = _in_order(told.get(part.id, {}))
            if any(metric in one for one in parts):
                curves.setdefault(run.key, []).append(_curve(number, parts, metric))
    return curves


def _row_ids(runs: Collection[ForeignRun]) -> list[int]:
    return [part.id for run in runs for part in run.parts]


def _in_order(parts: Mapping[str, dict[str, Series]]) -> list[dict[str, Series]]:
    """What the server tells stands for the whole run; without it the files of its starts follow each other."""
    if SERVER in parts:
        return [parts[SERVER]]
    return [parts[path] for path in sorted(parts, key=start_of)]


def _curve(number: int, parts: Sequence[Mapping[str, Series]], metric: str) -> FoldCurve:
    """Over the epochs that were logged beside it, else over the steps.

    Of a place that was logged again, by a run that was killed and went on from a checkpoint, the last value counts. A script that
    counts its steps from the beginning again when it goes on has new ones: they follow behind.
    """
    by_epoch = all(EPOCH in part for part in parts if metric in part)
    told = [part for part in parts if metric in part]
    if len(told) == 1:
        series = told[0][metric]
        places = _epochs(series, told[0][EPOCH]) if by_epoch else series.steps
        if all(earlier < later for earlier, later in pairwise(places)):  # as almost always
            return _told_once(number, places, series, by_epoch)
    points: dict[float, tuple[float, float]] = {}
    first, last, elapsed = None, 0.0, 0.0
    for part in told:
        series = part[metric]
        places = _epochs(series, part[EPOCH]) if by_epoch else series.steps
        behind = 0.0
        if not by_epoch and first is not None and places and places[0] <= first:
            behind = last + 1 - places[0]
        first = places[0] if places and first is None else first
        before = elapsed if series.runtimes_s and series.runtimes_s[0] < elapsed else 0.0
        for place, runtime_s, value in zip(places, series.runtimes_s, series.values, strict=True):
            if isfinite(place):
                last, elapsed = place + behind, before + runtime_s
                points[last] = elapsed, value
    ordered = sorted(points)
    times = tuple(points[place][0] for place in ordered)
    values = tuple(points[place][1] for place in ordered)
    return FoldCurve(number, tuple(ordered), values, times if all(map(isfinite, times)) else (), by_epoch)


def _told_once(number: int, places: Sequence[float], series: Series, by_epoch: bool) -> FoldCurve:
    times = tuple(series.runtimes_s)
    return FoldCurve(number, tuple(places), tuple(series.values), times if all(map(isfinite, times)) else (), by_epoch)


def _epochs(series: Series, epoch: Series) -> Sequence[float]:
    """The epoch at each of the metric's steps: the one logged there, else the last before it."""
    if series.steps == epoch.steps:
        return epoch.values
    found, at = [], 0
    for step in series.steps:
        while at + 1 < len(epoch.steps) and epoch.steps[at + 1] <= step:
            at += 1
        found.append(epoch.values[at])
    return found
