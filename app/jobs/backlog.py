"""The job table: what waits, what runs, what came of it. `orders` writes a job down; from then on only this module changes it.

    queued → starting → running → stopping → succeeded | failed | cancelled | stopped

`stopped` ended by itself: by a rule in its spec it had no hope. A job goes back to queued when its attempt stopped in good order
before a time limit, was lost, or is to go on on another backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, text
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from app.jobs import attempts
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import AttemptRow, Experiment, Job, Run
from engine.contract import OnehourError

QUEUED, STARTING, RUNNING, STOPPING = "queued", "starting", "running", "stopping"
SUCCEEDED, FAILED, CANCELLED, STOPPED = "succeeded", "failed", "cancelled", "stopped"
ACTIVE = (STARTING, RUNNING, STOPPING)

CLAIM = text("""
UPDATE job SET state = 'starting', slot = :slot, attempt = attempt + 1, message = '',
  started_at = :now, first_started_at = coalesce(first_started_at, :now)
WHERE id = (SELECT id FROM job WHERE state = 'queued' AND backend = :backend ORDER BY priority DESC, queued_at, id LIMIT 1)
  AND NOT EXISTS (SELECT 1 FROM job WHERE slot = :slot AND state IN ('starting', 'running', 'stopping'))
RETURNING id
""")


@dataclass(frozen=True)
class QueueRow:
    """A job as the queue shows it."""

    job_id: int
    run_key: str
    experiment_key: str
    hypothesis: str
    state: str
    backend: str
    slot: str | None
    attempt: int
    message: str
    priority: int
    moves_to: str | None
    cancel_asked: bool
    estimated_s: float | None
    estimated_low_s: float | None
    estimated_high_s: float | None
    queued_at: int
    started_at: int | None
    finished_at: int | None
    kept_before: int  # see AttemptRow

    @property
    def says(self) -> str:
        """The state as a person reads it: what was cancelled and has not ended yet is `cancelling`."""
        return "cancelling" if self.cancel_asked and self.state in ACTIVE else self.state


def cancel(journal: Journal, run_key: str) -> str:
    """Cancel a run's job, at any time. Returns its state: cancelled if it waited, else what the worker still has to stop."""
    with journal.writing() as db:
        job = job_of(db, run_key)
        if job.state == QUEUED:
            finish(db, job, CANCELLED, journal.now(), "before it started")
        elif job.state in ACTIVE:
            job.cancel_asked_at = job.cancel_asked_at or journal.now()
            db.add(job)
        else:
            raise OnehourError(f"there is nothing to cancel: it {_ended(job.state)}", where=run_key)
        return job.state


def move(journal: Journal, run_key: str, to: int | Literal["first", "last"]) -> int:
    """Let a waiting run go before or after all others that wait, or give it a priority: higher goes earlier, 0 is the usual one.

    Returns its place among those that wait, from 1.
    """
    with journal.writing() as db:
        job = job_of(db, run_key)
        if job.state != QUEUED:
            raise OnehourError("only a waiting run can be moved", where=run_key)
        others = db.exec(select(Job.priority).where(Job.state == QUEUED, Job.id != job.id)).all()
        if isinstance(to, int):
            job.priority = to
        elif others:
            job.priority = max(others) + 1 if to == "first" else min(others) - 1
        db.add(job)
        db.flush()
        waiting = [row.job_id for row in list_jobs(db, open_only=True) if row.state == QUEUED]
        return waiting.index(job.id) + 1


def move_to(journal: Journal, run_key: str, backend: str, guess: tuple[float, float, float] | None = None) -> str:
    """Let a run go on on another backend, at any time: a waiting one there from the start, a running one from its checkpoint.

    `guess`: the seconds that the whole run takes there, and the least and the most of them; else they stay as they are.
    Returns its state: queued when it has moved, else what the worker still has to stop.
    """
    with journal.writing() as db:
        job = job_of(db, run_key)
        if job.state == QUEUED:
            job.backend, job.moves_to = backend, None
        elif job.state in ACTIVE:
            job.moves_to = None if backend == job.backend else backend
        else:
            raise OnehourError(f"there is nothing to move: it {_ended(job.state)}", where=run_key)
        if guess is not None:
            job.estimated_s, job.estimated_low_s, job.estimated_high_s = guess
        db.add(job)
        return job.state


def job_of(db: Session, run_key: str) -> Job:
    """The job of a run. Raises OnehourError with the nearest key."""
    run = run_named(db, run_key)
    return db.exec(select(Job).where(Job.run_id == run.id).order_by(col(Job.id).desc()).limit(1)).one()


def list_jobs(
    db: Session, challenge_id: int | None = None, *, open_only: bool = False, active_only: bool = False
) -> list[QueueRow]:
    """The jobs of a challenge (None: of all), newest first; with `open_only` what runs and waits, in the order in which it runs.

    `active_only`: of these, those that hold a slot.

    `open_only` leaves no challenge out, whichever is named: there is one machine, and a run of a challenge that has ended holds
    its slot as any other does.
    """
    query = _queue_rows()
    if open_only or active_only:
        query = query.where(col(Job.state).in_(ACTIVE if active_only else (QUEUED, *ACTIVE))).order_by(
            col(Job.state) == QUEUED, col(Job.priority).desc(), col(Job.queued_at), col(Job.id)
        )
    else:
        if challenge_id is not None:
            query = query.where(col(Run.challenge_id) == challenge_id)
        query = query.order_by(col(Job.queued_at).desc(), col(Job.id).desc())
    return [_queue_row(found) for found in db.connection().execute(query).mappings()]


def queue_row(db: Session, run_key: str) -> QueueRow | None:
    """The job of a run as `list_jobs` with `open_only` tells it; None when it is over."""
    query = _queue_rows().where(col(Run.key) == run_key, col(Job.state).in_((QUEUED, *ACTIVE)))
    found = db.connection().execute(query).mappings().first()
    return None if found is None else _queue_row(found)


def _queue_rows() -> Any:
    of_job = (
        Job.state,
        Job.backend,
        Job.slot,
        Job.attempt,
        Job.message,
        Job.priority,
        Job.moves_to,
        Job.cancel_asked_at,
    )
    guessed = (Job.estimated_s, Job.estimated_low_s, Job.estimated_high_s)
    moments = (Job.queued_at, Job.started_at, Job.finished_at)
    named: tuple[Any, ...] = (
        col(Job.id).label("job_id"),
        col(Run.key).label("run_key"),
        col(Experiment.key).label("experiment_key"),
    )
    kept = func.coalesce(AttemptRow.kept_before, 0).label("kept_before")
    columns: list[Any] = [*named, Experiment.hypothesis, *of_job, *guessed, *moments, kept]
    return (
        sa_select(*columns)
        .join(Run, col(Job.run_id) == col(Run.id))
        .join(Experiment, col(Run.experiment_id) == col(Experiment.id))
        .outerjoin(AttemptRow, (col(AttemptRow.job_id) == Job.id) & (col(AttemptRow.number) == Job.attempt))
    )


def _queue_row(found: Mapping[Any, Any]) -> QueueRow:
    values = dict(found)
    values["cancel_asked"] = values.pop("cancel_asked_at") is not None
    return QueueRow(**values)


def count_waiting(db: Session) -> int:
    return db.exec(select(func.count()).select_from(Job).where(Job.state == QUEUED)).one()


def claim(db: Session, backend: str, slot: str, now: int, gpus: int = 0) -> Job | None:
    """Take the next waiting job for a free slot with `gpus` GPUs; None when nothing waits or the slot is taken.

    From here on the attempt is on record. In a writing transaction.
    """
    row = db.connection().execute(CLAIM, {"backend": backend, "slot": slot, "now": now}).first()
    job = None if row is None else db.get(Job, row[0])
    if job is not None and job.id is not None:
        attempts.begin(db, job.id, job.attempt, backend, slot, gpus, now)
    return job


def backends_in_use(db: Session) -> set[str]:
    """The backends for which a job waits or on which one runs."""
    return set(db.exec(select(Job.backend).where(col(Job.state).in_((QUEUED, *ACTIVE))).distinct()).all())


def jobs_on(db: Session, backend: str) -> list[Job]:
    """The jobs that wait for a backend or run on it."""
    query = select(Job).where(col(Job.state).in_((QUEUED, *ACTIVE)), Job.backend == backend)
    return list(db.exec(query.order_by(col(Job.id))).all())


def active_jobs(db: Session, backend: str) -> list[tuple[Job, Run]]:
    """The jobs of a backend that hold a slot."""
    query = select(Job, Run).join(Run, col(Job.run_id) == col(Run.id))
    query = query.where(col(Job.state).in_(ACTIVE), Job.backend == backend).order_by(col(Job.id))
    return [(job, run) for job, run in db.exec(query).all()]


def held(db: Session, job: Job) -> Job | None:
    """The job as it stands now, or None when the attempt that `job` tells of is over. In a writing transaction."""
    fresh = db.get(Job, job.id)
    return fresh if fresh is not None and fresh.state in ACTIVE and fresh.attempt == job.attempt else None


def run_on(db: Session, job: Job, now: int) -> None:
    """Its process was seen alive for the first time: its attempt begins now, whatever it waited for in a queue elsewhere."""
    attempts.begun(db, job, now)
    job.state, job.message, job.started_at = RUNNING, "", now
    db.add(job)


def stop_on(db: Session, job: Job, message: str = "") -> None:
    """It was asked to end."""
    job.state, job.message = STOPPING, message
    db.add(job)


def say(db: Session, job: Job, message: str) -> None:
    """What a person should know of a job that goes on."""
    job.message = message
    db.add(job)


def free_slots(db: Session, backend: str, slots: Sequence[str]) -> list[str]:
    """The slots that nobody holds, as far as a job waits for one."""
    taken = set(db.exec(select(Job.slot).where(col(Job.state).in_(ACTIVE))).all())
    waiting = db.exec(select(func.count()).where(Job.state == QUEUED, Job.backend == backend)).one()
    return [slot for slot in slots if slot not in taken][:waiting]


def requeue(
    db: Session,
    job: Job,
    message: str,
    exit_code: int | None,
    now: int,
    *,
    counts_as_lost: bool,
    gpu_s: float | None = None,
) -> None:
    """Give the slot back and wait for another attempt, which goes on from the checkpoint, on another backend if it was moved.

    A cancelled job is over instead.
    """
    if job.cancel_asked_at is not None:
        finish(db, job, CANCELLED, now, exit_code=exit_code, gpu_s=gpu_s)
        return
    attempts.end(db, job, now, exit_code, gpu_s)
    job.state, job.exit_code, job.message = QUEUED, exit_code, message
    job.backend, job.moves_to = job.moves_to or job.backend, None
    job.lost += int(counts_as_lost)
    db.add(job)


def finish(
    db: Session,
    job: Job,
    state: str,
    now: int,
    message: str = "",
    exit_code: int | None = None,
    gpu_s: float | None = None,
) -> None:
    """Give the slot back for good; the row keeps its name, which tells what the run trained on.

    `gpu_s`: what the attempt took of GPUs, where its machine counted it.
    """
    attempts.end(db, job, now, exit_code, gpu_s)
    job.state, job.finished_at, job.message, job.exit_code = state, now, message, exit_code
    db.add(job)


def _ended(state: str) -> str:
    return {SUCCEEDED: "succeeded", FAILED: "failed", CANCELLED: "was cancelled", STOPPED: "stopped by itself"}[state]
