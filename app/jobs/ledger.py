"""The ledger of the machines: hours that the attempts of runs held them, by experiment and backend, and how much of it on GPUs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func
from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.journal.tables import AttemptRow, Challenge, Experiment, Job, Run


@dataclass(frozen=True)
class MachineTime:
    """Seconds that attempts held a backend's slots; `gpu_s`: GPUs times seconds."""

    backend: str
    held_s: float
    gpu_s: float


@dataclass(frozen=True)
class ExperimentTime:
    experiment_key: str
    hypothesis: str
    runs: int
    machines: tuple[MachineTime, ...]

    @property
    def held_s(self) -> float:
        return sum(each.held_s for each in self.machines)

    @property
    def gpu_s(self) -> float:
        return sum(each.gpu_s for each in self.machines)


def by_backend(
    db: Session, challenge: Challenge, now: int, *, first: date | None = None, last: date | None = None, since: int = 0
) -> list[MachineTime]:
    """What the runs queued on the days from `first` to `last` took, whenever they ran, the busiest backend first.

    `since`: only attempts that began at that moment or later.
    """
    query = _times(now, col(AttemptRow.backend)).where(col(Run.challenge_id) == challenge.id)
    if first is not None:
        query = query.where(col(Run.local_date) >= first)
    if last is not None:
        query = query.where(col(Run.local_date) <= last)
    if since:
        query = query.where(col(AttemptRow.started_at) >= since)
    found = [MachineTime(*row) for row in db.connection().execute(query.group_by(col(AttemptRow.backend)))]
    return sorted((each for each in found if each.held_s > 0), key=lambda each: (-each.held_s, each.backend))


def by_experiment(
    db: Session, challenge: Challenge, now: int, experiments: Collection[int] | None = None
) -> list[ExperimentTime]:
    """What each experiment took of each backend, the dearest first; with `experiments` these alone."""
    names: tuple[Any, ...] = (Experiment.key, Experiment.hypothesis, AttemptRow.backend)
    query = _times(now, *names, func.count(Run.id.distinct()))  # type: ignore[attr-defined]
    query = query.join(Experiment, col(Experiment.id) == col(Run.experiment_id))
    which = col(Run.challenge_id) == challenge.id if experiments is None else col(Run.experiment_id).in_(experiments)
    query = query.where(which).group_by(Experiment.id, col(AttemptRow.backend))
    of: dict[str, tuple[str, int, list[MachineTime]]] = {}
    for key, hypothesis, backend, runs, held_s, gpu_s in db.connection().execute(query):
        said, most, machines = of.get(key, (hypothesis, 0, []))
        machines.append(MachineTime(backend, held_s, gpu_s))
        of[key] = said, max(most, runs), machines
    found = [ExperimentTime(key, said, runs, tuple(machines)) for key, (said, runs, machines) in of.items()]
    return sorted(found, key=lambda each: (-each.gpu_s, -each.held_s, each.experiment_key))


def _times(now: int, *named: Any) -> Any:
    held_s = (func.coalesce(AttemptRow.ended_at, now) - AttemptRow.started_at) / 1000.0
    on_gpu_s = func.coalesce(AttemptRow.gpu_s, AttemptRow.gpus * held_s)
    return (
        columns(*named, func.sum(held_s), func.sum(on_gpu_s))
        .select_from(AttemptRow)
        .join(Job, col(Job.id) == col(AttemptRow.job_id))
        .join(Run, col(Run.id) == col(Job.run_id))
    )
