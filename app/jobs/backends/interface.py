"""What the worker asks of a machine that runs attempts. Every call may be repeated: a lost answer changes nothing.

A backend keeps no state of its own in memory: a worker that was killed is followed by another one, which asks again by attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Condition(StrEnum):
    ABSENT = "absent"  # never started: claimed by a worker that died before it could
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"  # no process and no exit code: killed with its supervisor, or the machine went down


@dataclass(frozen=True)
class Attempt:
    """One start of a job. `run_dir` holds the run's spec.yaml; what the attempt prints goes into its log.txt."""

    job_id: int
    number: int
    run_dir: Path
    slot: str

    @property
    def name(self) -> str:
        return f"{self.job_id}-{self.number}"


@dataclass(frozen=True)
class Status:
    condition: Condition
    exit_code: int | None = None  # of an exited attempt; negative: the signal that killed it
    rebooted: bool = False  # lost because the machine was started anew
    reason: str = ""  # why the program of an exited attempt could not be started


class Backend(Protocol):
    @property
    def name(self) -> str:
        """As it stands in job.backend."""

    def slots(self) -> tuple[str, ...]:
        """What can run one attempt each. Names are unique over all backends: the database allows one job a slot."""

    def submit(self, attempt: Attempt) -> None:
        """Start the attempt unless it was started before. Raises OnehourError when it cannot be."""

    def status(self, attempt: Attempt) -> Status: ...

    def cancel(self, attempt: Attempt) -> None:
        """Ask a running attempt to end, with all its processes; returns at once, `status` tells when it has."""

    def clear(self, attempt: Attempt) -> None:
        """Leave no process of a lost attempt alive: two attempts must never write one run folder."""
