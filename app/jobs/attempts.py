"""The attempts of the jobs as the journal keeps them: which slot each held, for how long, and whether it got anywhere.

`backlog` begins and ends them with the job's own row; all of this happens in its writing transactions.
"""

from __future__ import annotations

from sqlmodel import Session

from app.journal.tables import AttemptRow, Job, Run


def begin(db: Session, job_id: int, number: int, backend: str, slot: str, gpus: int, now: int) -> None:
    db.add(AttemptRow(job_id=job_id, number=number, backend=backend, slot=slot, gpus=gpus, started_at=now))


def begun(db: Session, job: Job, now: int) -> None:
    """The present attempt runs from now on; until now its files were sent, or a scheduler kept it waiting."""
    row = db.get(AttemptRow, (job.id, job.attempt))
    if row is not None:
        row.started_at = now
        db.add(row)


def found(db: Session, job: Job, kept: int) -> None:
    """What the present attempt found done when it was started; `kept`: RunFolder.kept."""
    row = db.get(AttemptRow, (job.id, job.attempt))
    if row is not None:
        row.kept_before = kept
        db.add(row)


def end(db: Session, job: Job, now: int, exit_code: int | None, gpu_s: float | None = None) -> None:
    """The job's present attempt is over, and its run took so much more of GPUs; a job that never began has none."""
    row = db.get(AttemptRow, (job.id, job.attempt))
    if row is not None and row.ended_at is None:
        row.ended_at, row.exit_code, row.gpu_s = now, exit_code, gpu_s
        db.add(row)
        run = db.get(Run, job.run_id)
        if run is not None:
            took = gpu_s if gpu_s is not None else row.gpus * (now - row.started_at) / 1000
            run.gpu_s = (run.gpu_s or 0.0) + took
            db.add(run)


def got_further(db: Session, job: Job, kept: int) -> bool:
    """Whether the present attempt kept more than those before it; `kept`: RunFolder.kept as it is now.

    Counted, not timed: the clock of the machine that wrote the rows may be wrong.
    """
    row = db.get(AttemptRow, (job.id, job.attempt))
    return row is not None and kept > row.kept_before
