"""The errand that looks through a folder for .wandb files, and takes in what was written to them since the last look.

What is read is a person's own file on this computer: no network. It is an errand all the same, so that no page waits for it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, WandbPart, WandbRun, WandbSource
from app.scores import wandb_intake
from app.scores.wandb_file import places
from app.scores.wandb_file.blocks import Tail
from app.scores.wandb_file.run_log import RunLog
from app.scores.wandb_intake import Told
from app.scores.wandb_points import Points
from engine.contract import OnehourError

log = logging.getLogger("onehour.errands")

NO_PROJECT = "uncategorized"  # where W&B puts a run without one
RUNNING, FINISHED, FAILED, CRASHED = "running", "finished", "failed", "crashed"
# wandb writes at least every 15 s while something is logged; a long epoch without a row is no crash yet.
STALE_MS = 300_000


@dataclass
class Looked:
    """What a look through a folder found."""

    files: int = 0
    new: int = 0  # runs that were not known
    more: int = 0  # runs of which there was more
    ours: int = 0  # files of runs that were launched here
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """How far a file was read."""

    row_id: int
    offset: int
    size: int
    state: str


def look(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Look through the folder that the errand is about."""
    with journal.reading() as db:
        challenge = db.get(Challenge, errand.challenge_id)
    assert challenge is not None
    try:
        looked = look_through(journal, challenge, Path(errand.subject))
    except OnehourError as error:
        _note(journal, errand, error.what)
        raise
    _note(journal, errand, _in_a_line(looked.problems))
    return vars(looked)


def _note(journal: Journal, errand: Errand, message: str) -> None:
    """What came of a look, where the folder is watched."""
    with journal.writing() as db:
        source = db.exec(
            select(WandbSource).where(
                WandbSource.challenge_id == errand.challenge_id,
                WandbSource.place == errand.subject,
                WandbSource.server == "",
            )
        ).first()
        if source is not None:
            source.looked_at, source.message = journal.now(), message
            db.add(source)


def look_through(journal: Journal, challenge: Challenge, folder: Path) -> Looked:
    """Take in what the .wandb files below `folder` tell that is not known yet. Raises OnehourError when it cannot be read."""
    if not folder.is_dir():
        raise OnehourError("there is no such folder", where=str(folder))
    looked = Looked()
    with journal.reading() as db:
        known = _known(db, challenge)
    for path in places.find(folder, looked.problems.append):
        looked.files += 1
        try:
            _take_in(journal, challenge, path, known.get(str(path)), looked)
        except OnehourError as error:
            looked.problems.append(str(error))
    return looked


def _take_in(journal: Journal, challenge: Challenge, path: Path, known: Known | None, looked: Looked) -> None:
    """One file: read outside of any transaction, written in a short one."""
    try:
        stat = path.stat()
    except OSError as error:
        raise OnehourError(f"it cannot be read ({error.strerror})", where=str(path)) from None
    modified_at, now = stat.st_mtime_ns // 1_000_000, journal.now()
    if known is not None and known.size == stat.st_size and _state(None, known.state, modified_at, now) == known.state:
        return
    anew = known is None or stat.st_size < known.offset  # another file took its place
    told = RunLog(Tail(path)) if anew or known is None else _on_from(journal, path, known)
    points = Points()
    for row in told.rows():
        points.add(row.step, row.at, row.runtime_s, row.values)
    if told.tail.damaged or told.unreadable:
        looked.problems.append(
            f"{path}: {told.tail.damaged + told.unreadable} damaged blocks or records were passed over, the rest is there"
        )
    if not told.run_id:
        return  # it says nothing of itself yet
    state = _state(told.exit_code, "" if known is None else known.state, modified_at, now)
    with journal.writing() as db:
        if _read_up_to(db, challenge, path) != (0 if known is None else known.offset):
            return  # another look was quicker
        was = wandb_intake.find(db, challenge.id, told.entity, told.project, told.run_id)
        is_newest = was is None or _is_newest(db, was, path)
        run = wandb_intake.take_in(
            db,
            challenge,
            _told(was, told, state if is_newest else "", points, modified_at),
            now,
            _own_key(journal.home, path),
        )
        part = wandb_intake.part_of(db, run, str(path))
        part.offset, part.size, part.state = told.tail.offset, stat.st_size, state
        wandb_intake.append(db, run, part, points, anew=anew)
        is_foreign = run.run_id is None
    looked.ours += not is_foreign
    looked.new += is_foreign and was is None
    looked.more += is_foreign and was is not None and points.rows > 0


def _on_from(journal: Journal, path: Path, known: Known) -> RunLog:
    """The file as the last look left it."""
    with journal.reading() as db:
        run = db.get(WandbRun, known.row_id)
    assert run is not None
    return RunLog(
        Tail(path, known.offset), config=json.loads(run.config), summary=json.loads(run.summary), run_id=run.wandb_id,
        entity=run.entity, project=run.project, group=run.group_name, job_type=run.job_type, name=run.name, notes=run.notes,
        tags=json.loads(run.tags), commit=run.commit, started_at=run.started_at,
    )  # fmt: skip


def _is_newest(db: Session, run: WandbRun, path: Path) -> bool:
    """Whether no later start of the run has a file: of a resumed run the newest one says how it stands."""
    paths = db.exec(select(WandbPart.path).where(WandbPart.wandb_run_id == run.id)).all()
    return all(wandb_intake.start_of(other) <= wandb_intake.start_of(str(path)) for other in paths)


def _told(was: WandbRun | None, log: RunLog, state: str, points: Points, modified_at: int) -> Told:
    """What the file tells, beside what other starts of the run told (`was`). Without `state` a later start stands above it."""
    started = [at for at in (log.started_at, points.started_at and round(points.started_at * 1000)) if at]
    told = Told(
        log.project or NO_PROJECT, log.run_id, state, min(started, default=modified_at), modified_at, log.entity, log.name,
        log.group, log.job_type, tuple(log.tags), log.notes, log.config, log.summary, log.commit,
    )  # fmt: skip
    if was is None:
        return told
    config, summary = json.loads(was.config), json.loads(was.summary)
    if state:
        return replace(told, config=config | log.config, summary=summary | log.summary)
    return replace(
        told, state=was.state, name=was.name, group=was.group_name, job_type=was.job_type, tags=tuple(json.loads(was.tags)),
        notes=was.notes, config=log.config | config, summary=log.summary | summary, commit=was.commit,
    )  # fmt: skip


def _read_up_to(db: Session, challenge: Challenge, path: Path) -> int:
    query = select(WandbPart.offset).join(WandbRun, col(WandbRun.id) == col(WandbPart.wandb_run_id))
    return db.exec(query.where(WandbRun.challenge_id == challenge.id, WandbPart.path == str(path))).first() or 0


def _known(db: Session, challenge: Challenge) -> dict[str, Known]:
    """How far each file was read; one query."""
    rows = db.exec(
        select(WandbPart.path, WandbPart.wandb_run_id, WandbPart.offset, WandbPart.size, WandbPart.state)  # type: ignore[call-overload]
        .join(WandbRun, col(WandbRun.id) == col(WandbPart.wandb_run_id))
        .where(WandbRun.challenge_id == challenge.id, WandbPart.path != wandb_intake.SERVER)
    ).all()
    return {path: Known(*rest) for path, *rest in rows}


def _state(exit_code: int | None, known: str, modified_at: int, now: int) -> str:
    """What a file says of its run: how it ended, else whether something still writes to it."""
    if exit_code is not None:
        return FAILED if exit_code else FINISHED
    if known in (FINISHED, FAILED):
        return known
    return RUNNING if now - modified_at < STALE_MS else CRASHED


def _own_key(home: Home, path: Path) -> str:
    """The key of the run of ours in whose folder a file lies; "" elsewhere."""
    try:
        return path.relative_to(home.runs_dir).parts[0]
    except ValueError:
        return ""


def _in_a_line(problems: list[str]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return problems[0] + more if problems else ""
