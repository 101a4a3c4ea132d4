"""The attempts of the jobs as the journal keeps them: which slot each held, for how long, and whether it got anywhere."""

from __future__ import annotations

from sqlmodel import Session

from app.journal.tables import AttemptRow, Job


def begin(db: Session, job: Job, gpus: int, kept_before: int) -> AttemptRow:
    """Write the job's present attempt down, once. `kept_before`: RunFolder.kept as it was found. In a writing transaction."""
    assert job.id is not None
    row = db.get(AttemptRow, (job.id, job.attempt))
    if row is None:
        row = AttemptRow(
            job_id=job.id,
            number=job.attempt,
            backend=job.backend,
            slot=job.slot or "",
            gpus=gpus,
            kept_before=kept_before,
            started_at=job.started_at or 0,
        )
        db.add(row)
    return row


def end(db: Session, job: Job, now: int, exit_code: int | None, gpu_s: float | None = None) -> None:
    """The job's present attempt is over; one that never began has no row. In a writing transaction."""
    row = db.get(AttemptRow, (job.id, job.attempt))
    if row is not None and row.ended_at is None:
        row.ended_at, row.exit_code, row.gpu_s = now, exit_code, gpu_s
        db.add(row)


def got_further(db: Session, job: Job, kept: int) -> bool:
    """Whether the present attempt kept more than those before it; `kept`: RunFolder.kept as it is now.

    Counted, not timed: the clock of the machine that wrote the rows may be wrong.
    """
    row = db.get(AttemptRow, (job.id, job.attempt))
    return row is not None and kept > row.kept_before
