"""The ledger of the machines: hours that the attempts of runs held them, by experiment and backend, and how much of it on GPUs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import case, func
from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.jobs.backlog import STARTING
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

    `since`: only what they took from that moment on; of an attempt that had begun before, its part.
    """
    query = _times(now, col(AttemptRow.backend), since=since).where(col(Run.challenge_id) == challenge.id)
    if first is not None:
        query = query.where(col(Run.local_date) >= first)
    if last is not None:
        query = query.where(col(Run.local_date) <= last)
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


def _times(now: int, *named: Any, since: int = 0) -> Any:
    """`gpu_s` as a machine counted it is of the whole attempt: its part is taken by the time."""
    # One that is still being sent, or waits in a queue elsewhere, takes nothing yet.
    until_now = case((col(Job.state) == STARTING, AttemptRow.started_at), else_=now)
    ended_at = func.coalesce(AttemptRow.ended_at, until_now)
    held_s = func.max(0, ended_at - func.max(AttemptRow.started_at, since)) / 1000.0
    whole_s = func.nullif(ended_at - AttemptRow.started_at, 0) / 1000.0
    counted_s = case((col(AttemptRow.started_at) >= since, AttemptRow.gpu_s), else_=AttemptRow.gpu_s * held_s / whole_s)
    on_gpu_s = func.coalesce(counted_s, AttemptRow.gpus * held_s)
    return (
        columns(*named, func.sum(held_s), func.sum(on_gpu_s))
        .select_from(AttemptRow)
        .join(Job, col(Job.id) == col(AttemptRow.job_id))
        .join(Run, col(Run.id) == col(Job.run_id))
    )
