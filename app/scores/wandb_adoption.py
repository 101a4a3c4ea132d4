"""A run that was not started here, put to an experiment of the challenge and taken from it again, at any time."""

from __future__ import annotations

from sqlmodel import Session, col, select

from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, WandbRun
from app.scores import wandb_runs
from app.scores.wandb_runs import ForeignRun
from engine.contract import OnehourError, nearest


def adopt(journal: Journal, challenge: Challenge, key: str, experiment_key: str) -> ForeignRun:
    """Put a foreign run to one of the challenge's experiments, at any time. Raises OnehourError where either is not there."""
    with journal.writing() as db:
        run = _require(db, challenge, key)
        experiments = db.exec(select(Experiment).where(Experiment.challenge_id == challenge.id)).all()
        found = next((one for one in experiments if one.key == experiment_key), None)
        if found is None:
            known = [one.key for one in experiments]
            raise OnehourError(f"there is no experiment {experiment_key!r}", fix=nearest(experiment_key, known))
        _put(db, run, found.id)
        return _require(db, challenge, run.key)


def unadopt(journal: Journal, challenge: Challenge, key: str) -> None:
    """Take a foreign run from its experiment. Raises OnehourError when there is no such run."""
    with journal.writing() as db:
        _put(db, _require(db, challenge, key), None)


def _put(db: Session, run: ForeignRun, experiment_id: int | None) -> None:
    for row in db.exec(select(WandbRun).where(col(WandbRun.id).in_([part.id for part in run.parts]))).all():
        row.experiment_id = experiment_id
        db.add(row)
    db.flush()


def _require(db: Session, challenge: Challenge, key: str) -> ForeignRun:
    run = wandb_runs.named(db, challenge, key)
    if run is None:
        asked = select(WandbRun.wandb_id, WandbRun.group_name).where(wandb_runs.is_foreign(challenge)).limit(10_000)
        # A group is listed as one: of its runs nobody sees the ids.
        known = dict.fromkeys(group or wandb_id for wandb_id, group in db.exec(asked).all())
        raise OnehourError(f"W&B told of no run {key!r}", fix=nearest(key, known))
    return run
