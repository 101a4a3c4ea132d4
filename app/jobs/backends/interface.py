"""What the worker asks of a machine that runs attempts. Every call may be repeated: a lost answer changes nothing.

A backend keeps nothing in memory that it could not find again: a worker that was killed is followed by another one, which asks
by attempt. Calls return soon. What takes long (sending data, bringing results) goes on behind them: `status` says WAITING
meanwhile, `fetch` False. A machine that does not answer now raises Unreachable: the job keeps its state and is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from app.jobs.programme import Programme
from engine.contract import OnehourError


class Unreachable(OnehourError):
    """The machine or service does not answer, or does not let us in, just now. What runs there goes on."""


class Refused(OnehourError):
    """What was asked cannot be done there, now or later."""


def words_of(error: Exception) -> str:
    """What went wrong, for a person: of a file `/home/me/log.txt: No space left on device`, without the error's number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


class Condition(StrEnum):
    ABSENT = "absent"  # never started: claimed by a worker that died before it could
    WAITING = "waiting"  # on its way: its files are being sent, or a scheduler keeps it in its queue
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"  # no process and no exit code: killed with its supervisor, or the machine went down


@dataclass(frozen=True)
class Attempt:
    """One start of a job. `run_dir` is the run's folder on this computer; it holds the spec, and what earlier attempts left."""

    job_id: int
    number: int
    run_dir: Path
    slot: str
    programme: Programme

    @property
    def name(self) -> str:
        return f"{self.job_id}-{self.number}"


@dataclass(frozen=True)
class Status:
    condition: Condition
    exit_code: int | None = None  # of an exited attempt; negative: the signal that killed it
    rebooted: bool = False  # lost by the machine's own doing: it was started anew, or failed, or took the attempt away
    # Of a waiting attempt: what it waits for; of an exited one: why its program could not be started, or which part of it
    # failed and how; of a lost one: what the machine knows of its end.
    reason: str = ""
    gpu_s: float | None = None  # of an attempt that is over, where the machine counts it


@dataclass(frozen=True)
class Abilities:
    """What a backend can do; the contract test holds each to exactly that."""

    cancel: bool = True  # a running attempt can be ended from here; if not, `how_to_cancel` says where it can
    live_log: bool = True  # log and metrics arrive while it runs, not only at the end
    time_limit_s: float | None = None  # an attempt gets no more than this: the engine stops before it and is requeued
    quota: bool = False  # `probe` tells what is left of an allowance
    how_to_cancel: str = ""


@dataclass(frozen=True)
class Quota:
    """GPU seconds of the present week; `resets_at` in milliseconds UTC."""

    used_s: float
    allowed_s: float
    resets_at: int | None = None


@dataclass(frozen=True)
class Probe:
    """What was found on a machine. `clock_ahead_s`: how far its clock is ahead of ours; None where it cannot be asked."""

    python: str = ""  # version of the interpreter that would run the engine
    versions: Mapping[str, str] = field(
        default_factory=dict
    )  # of the packages that the engine needs; "" for a missing one
    gpus: tuple[str, ...] = ()
    free_bytes: int | None = None
    clock_ahead_s: float | None = None
    quota: Quota | None = None
    problems: tuple[str, ...] = ()  # sentences: what keeps runs from working there, and what would mend it


class Backend(Protocol):
    @property
    def name(self) -> str:
        """As it stands in job.backend."""

    @property
    def abilities(self) -> Abilities: ...

    def slots(self) -> tuple[str, ...]:
        """What can run one attempt each. Names are unique over all backends: the database allows one job a slot."""

    def gpus_of(self, slot: str) -> int:
        """How many GPUs an attempt on `slot` holds."""

    def probe(self) -> Probe:
        """Look at the machine; may take seconds. Raises Unreachable."""

    def submit(self, attempt: Attempt) -> None:
        """Start the attempt unless it was started before. Raises OnehourError when it cannot be, Unreachable aside."""

    def status(self, attempt: Attempt) -> Status:
        """Raises Refused when what `submit` left to do behind it cannot be done."""

    def log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        """At most `most` bytes of the run's log from byte `offset`; empty where nothing more is written yet."""

    def fetch(self, attempt: Attempt) -> bool:
        """Bring what the attempt has written into its run_dir. False: more is there, or on its way; ask again."""

    def cancel(self, attempt: Attempt) -> None:
        """Ask an attempt to end, with all its processes, after a grace time for a checkpoint; `status` tells when it has."""

    def clear(self, attempt: Attempt) -> None:
        """Leave no process of a lost attempt alive: two attempts must never write one run folder."""

    def close(self) -> None:
        """Give connections back. Attempts go on."""
