"""A crude guess of how long a run takes and when it ends: the median speed of finished runs, else a stated default."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

from pydantic import ValidationError
from sqlmodel import Session, col, select

from app.jobs.backlog import SUCCEEDED
from app.journal import days
from app.journal.tables import Challenge, DailySession, Job, Run
from engine.contract import RunSpec

# Seconds for one pixel of one image in one epoch of one fold, until a run has finished here: a small convolutional network on
# two processor cores.
DEFAULT_RATE = 2e-6
DEFAULT_IMAGES = 2_000
# Starting Python and the training stack, checking the data, predicting.
OVERHEAD_S = 20.0
NEWEST_RUNS = 10


def estimate(db: Session, spec: RunSpec) -> float:
    """Seconds from start to result, by the newest finished runs: those with the same backbone where there are any."""
    finished = db.exec(
        select(Run, Job)
        .join(Job, col(Job.run_id) == col(Run.id))
        .where(Job.state == SUCCEEDED, Job.attempt == 1, col(Run.images) > 0)
        .order_by(col(Job.finished_at).desc())
        .limit(NEWEST_RUNS)
    ).all()
    rates: dict[str, list[float]] = {}
    images = None
    for run, job in finished:
        try:
            done = RunSpec.model_validate_json(run.spec)
        except ValidationError:  # written by an Onehour with other keys
            continue
        if images is None and done.data == spec.data:
            images = run.images
        if run.device == finished[0][0].device and run.images and job.started_at and job.finished_at:
            seconds = max(0.0, (job.finished_at - job.started_at) / 1000 - OVERHEAD_S)
            rates.setdefault(done.backbone, []).append(seconds / units(done, run.images))
    known = rates.get(spec.backbone) or [rate for some in rates.values() for rate in some]
    rate = median(known) if known else DEFAULT_RATE
    return OVERHEAD_S + rate * units(spec, images or labelled_images(spec))


def units(spec: RunSpec, images: int) -> float:
    """Pixels trained on, over all stages and folds; each fold leaves its own part out."""
    pixels = sum(
        stage.epochs * height * width for stage, (height, width) in zip(spec.stages, spec.stage_sizes, strict=True)
    )
    return images * (spec.folds - 1) * pixels


def labelled_images(spec: RunSpec) -> int:
    """Rows of the label file, files where folders are the labels, or a stated default when neither can be read here."""
    if spec.data.labels is None:
        found = sum(1 for _ in (Path(spec.data.dir) / spec.data.train_images).glob("*/*"))
        return found or DEFAULT_IMAGES
    try:
        with (Path(spec.data.dir) / spec.data.labels).open("rb") as labels:
            return max(1, sum(1 for _ in labels) - 1)
    except OSError:
        return DEFAULT_IMAGES


def starts_at(now: int, running_ends: Sequence[int], waiting_s: Sequence[float], slots: int) -> int:
    """When a slot is free for one more job, after those that wait, in their order (milliseconds)."""
    free = [max(now, end) for end in running_ends][:slots]
    free += [now] * (slots - len(free))
    heapq.heapify(free)
    for seconds in waiting_s:
        heapq.heapreplace(free, free[0] + round(seconds * 1000))
    return free[0]


def end_of_running(started_at: int, estimated_s: float, progress: float, now: int, before: float = 0.0) -> int:
    """The expected end of a running job, from the share that is done (0…1) once there is enough of it, else from its estimate.

    `started_at` is the start of this attempt, which found the share `before` done by those before it.
    """
    here = progress - before
    if here >= 0.05:
        return now + round((now - started_at) * (1 - progress) / here)
    return max(now, started_at + round(estimated_s * (1 - before) * 1000))


def next_hour_at(db: Session, challenge: Challenge, now: int) -> int | None:
    """When the next hour will probably start: the wall-clock time at which the newest one did, on the following day."""
    newest = db.exec(
        select(DailySession)
        .where(DailySession.challenge_id == challenge.id)
        .order_by(col(DailySession.started_at).desc())
        .limit(1)
    ).first()
    if newest is None:
        return None
    habit = days.local(newest.started_at, newest.time_zone)
    today = days.local(now, challenge.time_zone).date()
    for ahead in range(3):
        on = today + ahead * days.DAY
        at = days.to_ms(datetime.combine(on, habit.time(), days.zone(challenge.time_zone)))
        if at > max(now, newest.started_at):
            return at
    return None
