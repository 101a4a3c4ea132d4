"""The errand that reads a project from its W&B server: what is new since the last look, once a week everything."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from app.jobs.wandb_reader import ProjectReader
from app.journal.days import MINUTE_MS, from_ms, to_ms
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, WandbPart, WandbRun, WandbSource
from app.scores import wandb_intake
from app.scores.wandb_intake import SERVER, Told
from app.scores.wandb_points import Points
from app.scores.wandb_sources import PROJECT
from engine.contract import OnehourError

# Heartbeats of runs under way arrive out of order: a look goes back this far behind the newest one that the last look saw.
OVERLAP_MS = 10 * MINUTE_MS
# Changed tags and notes, and deleted runs, have no heartbeat: once a week all are listed.
LIST_ALL_MS = 7 * 24 * 60 * MINUTE_MS
A_BATCH = 50


@dataclass
class Looked:
    """What a look at a project found."""

    runs: int = 0  # that were told
    new: int = 0
    more: int = 0  # whose histories were longer than known
    ours: int = 0
    gone: int = 0  # that the server does not know any more
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rows:
    """How much of a run's history is here: what its server told, or its files."""

    of_server: int = 0
    last_step: int = -1
    of_files: int = 0


def look(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Read the project that the errand is about."""
    server = json.loads(errand.asked)["server"]
    with journal.reading() as db:
        challenge = db.get(Challenge, errand.challenge_id)
        assert challenge is not None
        source = _source(db, challenge, errand.subject, server)
    if source is None:
        raise OnehourError(f"{errand.subject!r} is not watched any more")
    try:
        return vars(read_project(journal, challenge, source))
    except OnehourError as error:
        with journal.writing() as db:
            failed = db.get(WandbSource, source.id)
            if failed is not None:
                failed.looked_at, failed.message = journal.now(), f"{error.what}. {error.fix}".strip()
                db.add(failed)
        raise


def read_project(journal: Journal, challenge: Challenge, source: WandbSource) -> Looked:
    """Take in what the project's server tells. Raises OnehourError, or Later, when it cannot be read (to its end)."""
    began_at, looked = journal.now(), Looked()
    all_of_them = source.listed_at is None or began_at - source.listed_at >= LIST_ALL_MS
    since = None if all_of_them or source.heartbeat_at is None else _iso(source.heartbeat_at - OVERLAP_MS)
    with ProjectReader(journal.home, source.server, source.place) as reader:
        told = list(reader.runs(since))
        lines: dict[str, int] = {}
        wanted: dict[str, int] = {}
        for at in range(0, len(told), A_BATCH):
            wanted |= _take_in(journal, challenge, told[at : at + A_BATCH], looked, lines)
        if all_of_them:
            looked.gone = _mark_gone(journal, challenge, source, set(lines))
        points = Points()
        for part in reader.histories(list(wanted.items())):
            for row in part.get("rows", ()):
                points.add(int(row.get("_step") or 0), row.get("_timestamp"), row.get("_runtime"), row)
            if "done" in part:
                _append(journal, challenge, source, part["id"], points, wanted[part["id"]], lines[part["id"]])
                looked.more += 1
            elif "failed" in part:
                looked.problems.append(f"{part['id']}: {part['failed']}")
            if "rows" not in part:
                points = Points()
    with journal.writing() as db:
        done = db.get(WandbSource, source.id)
        if done is not None:
            done.looked_at, done.message = journal.now(), ""
            done.listed_at = began_at if all_of_them else done.listed_at
            beats = [ms_of(run["heartbeat_at"]) for run in told]
            done.heartbeat_at = max([*beats, done.heartbeat_at or 0])
            db.add(done)
    return looked


def ms_of(moment: str) -> int:
    """`2026-03-02T19:33:20Z`, with or without a zone, in milliseconds UTC."""
    read = datetime.fromisoformat(moment)
    return to_ms(read if read.tzinfo else read.replace(tzinfo=UTC))


def _take_in(
    journal: Journal, challenge: Challenge, told: Sequence[Mapping[str, Any]], looked: Looked, lines: dict[str, int]
) -> dict[str, int]:
    """A batch of runs in one transaction. Returns from which step on whose history is wanted."""
    wanted = {}
    with journal.writing() as db:
        for one in told:
            is_new = wandb_intake.find(db, challenge.id, one["entity"], one["project"], one["id"]) is None
            run = wandb_intake.take_in(db, challenge, _told(one), journal.now())
            looked.runs += 1
            looked.new += is_new and run.run_id is None
            looked.ours += run.run_id is not None
            lines[one["id"]] = one["lines"]
            known = _rows(db, run)
            if run.run_id is None and one["lines"] > max(known.of_files, known.of_server):
                wanted[one["id"]] = known.last_step + 1
            elif run.run_id is None and one["lines"] < known.of_server:
                wanted[one["id"]] = 0  # rewound on the server
    return wanted


def _told(one: Mapping[str, Any]) -> Told:
    summary = one["summary"] or {}
    started_at = ms_of(one["created_at"])
    at, runtime_s = summary.get("_timestamp"), summary.get("_runtime")
    if isinstance(at, int | float) and isinstance(runtime_s, int | float):
        started_at = min(started_at, round(1000 * (at - runtime_s)))  # of a run that was uploaded later
    return Told(
        one["project"], one["id"], one["state"], started_at, ms_of(one["heartbeat_at"]), one["entity"], one["name"] or "",
        one["group"] or "", one["job_type"] or "", tuple(one["tags"] or ()), one["notes"] or "", one["config"] or {}, summary,
        one["commit"] or "", one["url"],
    )  # fmt: skip


def _rows(db: Session, run: WandbRun) -> Rows:
    parts = db.exec(select(WandbPart).where(WandbPart.wandb_run_id == run.id)).all()
    server = next((part for part in parts if part.path == SERVER), None)
    of_files = sum(part.rows for part in parts if part.path != SERVER)
    return Rows(of_files=of_files) if server is None else Rows(server.rows, server.last_step, of_files)


def _append(
    journal: Journal, challenge: Challenge, source: WandbSource, run_id: str, points: Points, from_step: int, lines: int
) -> None:
    """What came of a run's history. `lines`: how long its server says it is."""
    entity, _, project = source.place.partition("/")
    with journal.writing() as db:
        run = wandb_intake.find(db, challenge.id, entity, project, run_id)
        if run is None:
            return
        part = wandb_intake.part_of(db, run, SERVER)
        if from_step and part.last_step + 1 != from_step:
            return  # another look was quicker
        before = 0 if from_step == 0 else part.rows
        wandb_intake.append(db, run, part, points, anew=from_step == 0)
        if from_step and before + points.rows < lines:
            part.rows, part.last_step = (
                0,
                -1,
            )  # some came late, at steps behind: the next look reads it from the beginning
        else:
            part.rows = max(lines, part.rows)
        db.add(part)


def _mark_gone(journal: Journal, challenge: Challenge, source: WandbSource, seen: Collection[str]) -> int:
    """Runs of the project that a list of all of them did not hold are kept, and said to be gone."""
    entity, _, project = source.place.partition("/")
    with journal.writing() as db:
        known = db.exec(
            select(WandbRun).where(
                WandbRun.challenge_id == challenge.id, WandbRun.entity == entity, WandbRun.project == project,
                WandbRun.url != "", col(WandbRun.gone_at).is_(None),
            )
        ).all()  # fmt: skip
        gone = [run for run in known if run.wandb_id not in seen]
        for run in gone:
            run.gone_at = journal.now()
            db.add(run)
        return len(gone)


def _source(db: Session, challenge: Challenge, place: str, server: str) -> WandbSource | None:
    return db.exec(
        select(WandbSource).where(
            WandbSource.challenge_id == challenge.id, WandbSource.kind == PROJECT, WandbSource.place == place,
            WandbSource.server == server,
        )
    ).first()  # fmt: skip


def _iso(at: int) -> str:
    return from_ms(at).strftime("%Y-%m-%dT%H:%M:%SZ")
