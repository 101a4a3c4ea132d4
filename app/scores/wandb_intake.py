"""Runs as a .wandb file or a server tells of them, taken into the journal: each once, whoever tells of it, and joined to its day.

Called in writing transactions. A run that was launched here is known by its group, the run's key; it keeps its own day and curves.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from sqlmodel import Session, col, delete, func, select

from app.journal.days import logical_date
from app.journal.tables import Challenge, Job, Run, WandbCurve, WandbPart, WandbRun
from app.scores.wandb_points import Points, Series
from app.scores.wandb_score import score_of

SERVER = ""  # the path of the part that a server tells
_STARTED = re.compile(r"run-(\d{8}_\d{6})-")  # in the name of the folder that wandb makes for a start
# How far the clock of another machine may be off when a run is said to be ours.
CLOCKS_DIFFER_MS = 3_600_000
LONGEST_TEXT = 100_000


@dataclass(frozen=True)
class Told:
    """A run as it is told. Moments in milliseconds UTC; `url` where a server tells."""

    project: str
    wandb_id: str
    state: str
    started_at: int
    heartbeat_at: int
    entity: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    url: str = ""


def find(db: Session, challenge_id: int, entity: str, project: str, wandb_id: str) -> WandbRun | None:
    """The run with this id. One known from a file alone has no entity, so it fits every one."""
    same = db.exec(
        select(WandbRun).where(
            WandbRun.challenge_id == challenge_id, WandbRun.project == project, WandbRun.wandb_id == wandb_id
        )
    ).all()
    fitting = [run for run in same if run.entity == entity or "" in (run.entity, entity)]
    return max(fitting, key=lambda run: (run.entity == entity, bool(run.url)), default=None)


def take_in(db: Session, challenge: Challenge, told: Told, now: int, own_key: str = "") -> WandbRun:
    """The run's row, made or brought up to date. `own_key`: the run of ours in whose folder its file lies."""
    run = find(db, challenge.id, told.entity, told.project, told.wandb_id)
    if run is None:
        run = WandbRun(
            challenge_id=challenge.id, entity=told.entity, project=told.project, wandb_id=told.wandb_id, bundle="",
            state=told.state, started_at=told.started_at, heartbeat_at=told.heartbeat_at,
            local_date=_day(challenge, told.started_at), read_at=now,
        )  # fmt: skip
    run.read_at = now
    run.started_at = min(run.started_at, told.started_at)
    run.heartbeat_at = max(run.heartbeat_at, told.heartbeat_at)
    run.local_date = _day(challenge, run.started_at)
    if told.url or not run.url:  # what a server says of a run stands above what its file said
        run.entity, run.url = told.entity or run.entity, told.url
        run.name, run.notes, run.state = told.name or told.wandb_id, told.notes, told.state
        run.group_name, run.job_type, run.commit = told.group, told.job_type, told.commit or run.commit
        run.tags = json.dumps(list(told.tags), ensure_ascii=False)
        run.config, run.summary = as_json(told.config), as_json(told.summary)
        found = score_of(told.summary, challenge.metric)
        run.score_name, run.score = found or ("", None)
        run.gone_at = None
    one = f"group {run.group_name}" if run.group_name else f"run {run.wandb_id}"
    run.bundle = f"{run.entity}/{run.project}/{one}"
    if run.run_id is None:
        run.run_id = _own_run(db, challenge, own_key, told.group, run.started_at)
    if run.run_id is not None and run.url:
        _keep_address(db, run.run_id, run.url)
    db.add(run)
    db.flush()
    return run


def _keep_address(db: Session, run_id: int, url: str) -> None:
    """A run of ours that somebody uploaded by hand."""
    own = db.get(Run, run_id)
    assert own is not None
    if own.wandb_url is None:
        own.wandb_url = url
        db.add(own)


def start_of(path: str) -> tuple[str, str]:
    """By this the files of a run stand in the order of its starts."""
    found = _STARTED.search(path)
    return found[1] if found else "", path


def part_of(db: Session, run: WandbRun, path: str) -> WandbPart:
    """The part of the run that is told by the file at `path`, or by its SERVER."""
    known = db.exec(select(WandbPart).where(WandbPart.wandb_run_id == run.id, WandbPart.path == path)).first()
    return known or WandbPart(wandb_run_id=run.id, path=path)


def append(db: Session, run: WandbRun, part: WandbPart, points: Points, *, anew: bool = False) -> None:
    """Add rows to a part, behind those it has, or in place of them. A run of ours keeps no curves here: its folder told them."""
    if anew:
        db.exec(delete(WandbCurve).where(col(WandbCurve.part_id) == part.id))
        part.rows, part.last_step = 0, -1
    part.rows += points.rows
    part.last_step = max(part.last_step, points.last_step)
    db.add(part)
    db.flush()
    if run.run_id is not None:
        return
    for metric, series in points.series.items():
        known = None if anew else db.get(WandbCurve, (part.id, metric))
        whole = series if known is None else series_of(known)
        if known is not None:
            whole.extend(series)
        whole.thin()
        blobs = {"steps": whole.steps, "runtimes_s": whole.runtimes_s, "points": whole.values}
        row = known or WandbCurve(part_id=part.id, metric=metric, **{name: b"" for name in blobs})
        for name, numbers in blobs.items():
            setattr(row, name, numbers.tobytes())
        db.add(row)


def series_of(curve: WandbCurve) -> Series:
    return Series(floats("d", curve.steps), floats("f", curve.runtimes_s), floats("f", curve.points))


def floats(kind: str, blob: bytes) -> array[float]:
    read: array[float] = array(kind)
    read.frombytes(blob)
    return read


def as_json(mapping: Mapping[str, Any]) -> str:
    """What a person set or measured, without W&B's own and without pictures. What is no number in JSON becomes a word.

    Of a mapping that is too long the longest values are left out: its file or server still has them.
    """
    plain = {key: _plain(value) for key, value in mapping.items() if not key.startswith("_") and not _is_media(value)}
    lengths = {key: len(json.dumps(value)) for key, value in plain.items()}
    for key in sorted(lengths, key=lambda key: -lengths[key]):
        if sum(lengths.values()) <= LONGEST_TEXT:
            break
        del plain[key], lengths[key]
    return json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _is_media(value: Any) -> bool:
    return isinstance(value, Mapping) and "_type" in value


def _day(challenge: Challenge, at: int) -> Any:
    return logical_date(at, challenge.time_zone, challenge.day_starts_at)


def _own_run(db: Session, challenge: Challenge, folder: str, group: str, started_at: int) -> int | None:
    """The run of ours with that folder, or that group as its key if it could have been running then.

    Somebody else's journal, whose project is watched here, may know a run by the same key.
    """
    asked = (
        select(Run.id, Run.key, Run.created_at, func.max(Job.finished_at))
        .join(Job, col(Job.run_id) == col(Run.id), isouter=True)
        .where(Run.challenge_id == challenge.id, col(Run.key).in_([key for key in (folder, group) if key]))
        .group_by(col(Run.id))
    )
    for run_id, key, created_at, finished_at in db.exec(asked).all():
        in_time = created_at - CLOCKS_DIFFER_MS <= started_at <= (finished_at or started_at) + CLOCKS_DIFFER_MS
        if key == folder or in_time:
            return run_id
    return None
