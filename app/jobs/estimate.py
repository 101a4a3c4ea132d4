"""How long a run takes: by the pace of similar runs that finished, with their spread, else a stated default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import func
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from app.jobs.backlog import SUCCEEDED
from app.jobs.specs import Blend, Spec, kind_of
from app.journal import days
from app.journal.tables import AttemptRow, Challenge, DailySession, Job, Run
from engine.contract import CommandSpec, RunSpec

# Seconds for one pixel of one image in one epoch of one fold, until a run has finished here: a small convolutional network on
# two processor cores.
DEFAULT_RATE = 2e-6
DEFAULT_IMAGES = 2_000
# Starting Python and the training stack, checking the data, predicting.
OVERHEAD_S = 20.0
NEWEST_RUNS = 40
# How far a run may be from the guess, as factors: where nothing like it has finished, and where one run has.
UNKNOWN_SPREAD, OTHER_BACKBONE_SPREAD, ONE_RUN_SPREAD, LEAST_SPREAD = 5.0, 3.0, 1.3, 1.1
ENOUGH = 3  # runs of about the same size, to leave the others out

# What is no training by the engine says nothing of its length: as long as the last ones of its kind, else this.
DEFAULT_S = {"command": 3_600.0, "blend": 20.0}

Like = Literal["backbone", "backend", "command", "kind", ""]


@dataclass(frozen=True)
class Duration:
    """Seconds from start to result, and what similar runs spread over. `like`: what the `runs` it was guessed from share with it."""

    seconds: float
    low_s: float
    high_s: float
    runs: int
    like: Like


@dataclass(frozen=True)
class Finished:
    """A run that finished: how it was asked for, and the seconds of work for each of its units."""

    backbone: str
    area: int  # pixels of an image in the last stage
    rate: float


@dataclass(frozen=True)
class Shape:
    """What the length of a run depends on. `work`: see `units`, of one image."""

    backbone: str
    area: int
    work: float
    data_dir: str


def estimate(db: Session, spec: Spec, backend: str) -> Duration:
    """By the newest runs that finished on `backend`: those with the same backbone where there are any, of about the same size."""
    if not isinstance(spec, RunSpec):
        return _of_kind(db, spec, backend)
    shape = _shape_of(spec)
    finished, images = _finished(db, backend, shape)
    return from_finished(shape, images or labelled_images(spec), finished)


def from_finished(shape: Shape, images: int, finished: Sequence[Finished]) -> Duration:
    """The guess from plain rows: the median of their rates, and their range (of five and more its inner four fifths)."""
    same = [one for one in finished if one.backbone == shape.backbone]
    of_size = [one for one in same if 0.5 <= one.area / shape.area <= 2]
    used = of_size if len(of_size) >= ENOUGH else same or finished
    like: Like = "backbone" if same else "backend" if finished else ""
    rates = sorted(one.rate for one in used) or [DEFAULT_RATE]
    middle = median(rates)
    cut = len(rates) // 10 if len(rates) >= 5 else 0
    low, high = rates[cut], rates[-1 - cut]
    least = {
        "": UNKNOWN_SPREAD,
        "backend": OTHER_BACKBONE_SPREAD,
        "backbone": ONE_RUN_SPREAD if len(rates) == 1 else LEAST_SPREAD,
    }
    factor = least[like]
    work = shape.work * images
    return Duration(
        OVERHEAD_S + middle * work,
        OVERHEAD_S + min(low, middle / factor) * work,
        OVERHEAD_S + max(high, middle * factor) * work,
        len(used),
        like,
    )


def _of_kind(db: Session, spec: CommandSpec | Blend, backend: str) -> Duration:
    """As long as the newest runs of the same command took, whatever its options, else of the same kind."""
    kind, script = kind_of(spec), _script(spec.line) if isinstance(spec, CommandSpec) else ""
    worked_ms = func.sum(col(AttemptRow.ended_at) - col(AttemptRow.started_at))
    asked: list[Any] = [Run.spec_source, worked_ms]
    rows = db.connection().execute(
        columns(*asked)
        .join(Job, col(Job.run_id) == col(Run.id))
        .join(AttemptRow, col(AttemptRow.job_id) == col(Job.id))
        .where(col(Run.kind) == kind, col(Job.state) == SUCCEEDED, col(Job.backend) == backend)
        .group_by(col(Job.id))
        .order_by(col(Job.id).desc())
        .limit(NEWEST_RUNS)
    )
    found = [(_script(source), ms / 1000) for source, ms in rows if ms is not None]
    same = [seconds for one, seconds in found if one == script]
    took = sorted(same or [seconds for _, seconds in found]) or [DEFAULT_S[kind]]
    like: Like = "command" if same else "kind" if found else ""
    factor = {"": UNKNOWN_SPREAD, "kind": OTHER_BACKBONE_SPREAD}.get(
        like, LEAST_SPREAD if len(took) > 1 else ONE_RUN_SPREAD
    )
    middle = median(took)
    return Duration(middle, min(took[0], middle / factor), max(took[-1], middle * factor), len(same or found), like)


def _script(line: str) -> str:
    """`python train.py --lr 0.1` → `python train.py`."""
    return " ".join(takewhile(lambda word: not word.startswith("-"), line.split()))


def _finished(db: Session, backend: str, shape: Shape) -> tuple[list[Finished], int | None]:
    """The newest finished runs on the device of the newest, and the images that the newest one on the same data had."""
    newest = (
        columns(col(Job.id), col(Job.run_id))
        .where(col(Job.state) == SUCCEEDED, col(Job.backend) == backend)
        .order_by(col(Job.finished_at).desc())
        .limit(NEWEST_RUNS)
        .subquery()
    )
    worked_ms = func.sum(col(AttemptRow.ended_at) - col(AttemptRow.started_at))
    asked: list[Any] = [Run.spec, Run.images, Run.device, worked_ms]
    rows = db.connection().execute(
        columns(*asked)
        .select_from(newest)
        .join(Run, col(Run.id) == newest.c.run_id)
        .join(AttemptRow, col(AttemptRow.job_id) == newest.c.id)
        .where(col(Run.images) > 0, col(Run.kind) == "train")
        .group_by(newest.c.id)
        .order_by(newest.c.id.desc())
    )
    found, images, device = [], None, None
    for spec, number, ran_on, ms in rows:
        done = _shape(spec)
        if done is None or ms is None:
            continue
        device = device or ran_on
        if images is None and done.data_dir == shape.data_dir:
            images = number
        if ran_on == device:
            found.append(Finished(done.backbone, done.area, max(0.0, ms / 1000 - OVERHEAD_S) / (done.work * number)))
    return found, images


@lru_cache(maxsize=512)
def _shape(spec_json: str) -> Shape | None:
    """None for a spec written by an Onehour with other keys. A page asks for the same runs again and again."""
    try:
        return _shape_of(RunSpec.model_validate_json(spec_json))
    except ValidationError:
        return None


def _shape_of(spec: RunSpec) -> Shape:
    height, width = spec.stage_sizes[-1]
    return Shape(spec.backbone, height * width, units(spec, 1), spec.data.dir)


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


def end_of_running(started_at: int, estimated_s: float, progress: float, now: int, before: float = 0.0) -> int:
    """The expected end of a running job, from the share that is done (0…1) once there is enough of it, else from its estimate.

    `started_at` is the start of this attempt, which found the share `before` done by those before it.
    """
    here = progress - before
    if here >= 0.05:
        return now + round((now - started_at) * (1 - progress) / here)
    return max(now, started_at + round(estimated_s * (1 - before) * 1000))


def next_hour_at(db: Session, challenge: Challenge, now: int) -> int | None:
    """When the next hour will probably start: at the habit's time, else at the wall-clock time at which the newest one did."""
    newest = db.exec(
        select(DailySession)
        .where(DailySession.challenge_id == challenge.id)
        .order_by(col(DailySession.started_at).desc())
        .limit(1)
    ).first()
    if challenge.habit_at is not None:
        usual = days.clock_time(challenge.habit_at)
    elif newest is not None:
        usual = days.local(newest.started_at, newest.time_zone).time()
    else:
        return None
    today = days.local(now, challenge.time_zone).date()
    for ahead in range(3):
        on = today + ahead * days.DAY
        at = days.to_ms(datetime.combine(on, usual, days.zone(challenge.time_zone)))
        begun = newest is not None and at <= newest.started_at
        if at > now and not begun:
            return at
    return None
