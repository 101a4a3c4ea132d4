"""A Slurm cluster: its scheduler starts the attempts, on whatever nodes it chooses.

Slurm is the judge of what waits and runs; what an attempt did is told by its own files (see jobs.cluster), so nothing here needs
accounting. squeue is asked now and then for all attempts together, not once for each: a controller serves many people.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.jobs import cluster, supervisor
from app.jobs.backends.interface import Abilities, Attempt, Condition, Probe, Status
from app.jobs.backends.settings import SlurmSettings
from app.jobs.backends.slurm_front import Front, Request, ThisHost
from app.jobs.backends.slurm_parts import Finding, is_told_by_files, judge
from app.jobs.programme import ENGINE_PACKAGES, RUN_DIR, InFolds, Places, Programme
from app.journal.home import Home
from engine.run_folder import RunFolder

# Between SIGTERM and SIGKILL, for a checkpoint; this much later Slurm itself ends what is still there.
GRACE_S, PATIENCE_S = 30.0, 30.0
ASK_EVERY_S = 5.0
# A file that a node has written may be seen here so much later (NFS keeps what it knows of a folder for a while).
LAG_S = 10.0
# The engine must be done before Slurm ends it: this part of the time, and no more than that.
MARGIN_SHARE, MARGIN_MOST_S = 0.1, 120.0
# Slurm's warning comes up to a minute early: below this limit the engine's own clock does better alone.
WARN_FROM_S = 600.0
ASK_SBATCH_AGAIN_S = 60.0


class SlurmBackend:
    def __init__(
        self,
        name: str,
        settings: SlurmSettings,
        home: Home,
        *,
        grace_s: float = GRACE_S,
        ask_every_s: float = ASK_EVERY_S,
        lag_s: float = LAG_S,
    ) -> None:
        self.name, self.settings = name, settings
        self.front = _front(name, settings, home)
        self.grace_s, self.ask_every_s, self.lag_s = grace_s, ask_every_s, lag_s
        limit_s = settings.time_limit
        self.margin_s = min(MARGIN_MOST_S, MARGIN_SHARE * (limit_s or math.inf))
        self.abilities = Abilities(time_limit_s=None if limit_s is None else limit_s - self.margin_s)
        # What was seen lately, in seconds of a steady clock; whoever begins without it only asks once more.
        self.rows: list[dict[str, Any]] = []
        self.rows_at = -math.inf
        self.missing_since: dict[str, float] = {}
        self.refused_at: dict[str, float] = {}
        self.helped_at: dict[str, float] = {}

    def slots(self) -> tuple[str, ...]:
        return self.settings.slot_names(self.name)

    def gpus_of(self, slot: str) -> int:
        return self.settings.gpus_of(slot)

    def probe(self) -> Probe:
        asked_at = time.time()
        found = self.front.ask(
            {
                "op": "probe",
                "root": self.front.jobs_dir,
                "python": self.front.python,
                "supervisor": _source(),
                "packages": list(ENGINE_PACKAGES),
                "partition": self.settings.partition,
                "sbatch": self._options(),
            }
        )
        missing = [name for name, version in found["versions"].items() if not version]
        problems = list(found["problems"])
        if missing:
            problems.append(f"{self.front.python} lacks {', '.join(missing)}: install the engine's packages there")
        return Probe(
            python=found["python"],
            versions=found["versions"],
            gpus=tuple(
                f"{nodes} × {gres} in {partition}, {state}"
                for partition, nodes, gres, state in found["nodes"]
                if "gpu" in gres
            ),
            free_bytes=found["free_bytes"],
            clock_ahead_s=round(found["now"] - min(max(found["now"], asked_at), time.time()), 1),
            problems=tuple(problems),
        )

    def submit(self, attempt: Attempt) -> None:
        def request(at: Places) -> Request:
            return {
                "op": "submit",
                "root": self.front.jobs_dir,
                "attempt": attempt.name,
                "name": attempt.run_dir.name,
                "python": at.python,
                "supervisor": _source(),
                "sbatch": self._options(),
                "parts": self._parts(attempt, at),
            }

        self.front.submit(attempt, request)
        self.rows_at = -math.inf

    def status(self, attempt: Attempt) -> Status:
        if words := self.front.sending(attempt):
            self.rows_at = -math.inf
            return Status(Condition.WAITING, reason=words)
        looked = self._look(attempt)
        if not looked["submitted"]:
            return self._not_taken(attempt, looked)
        if not is_told_by_files(looked) and self._see_queue():
            # Files after the queue: what ended between the two looks has left its exit code.
            looked = self._look(attempt)
        found = judge(looked, self.rows, self.gpus_of(attempt.slot))
        if found.missing and not self._stays_missing(attempt):
            return Status(Condition.RUNNING)
        self._help_on(attempt, looked, found)
        return found.status

    def log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        return self.front.read_log(attempt, offset, most)

    def fetch(self, attempt: Attempt) -> bool:
        return self.front.fetch(
            attempt, everything=self.status(attempt).condition in (Condition.EXITED, Condition.LOST)
        )

    def cancel(self, attempt: Attempt) -> None:
        self.front.call_off(attempt)
        self._cancel(attempt, is_asked=True)

    def clear(self, attempt: Attempt) -> None:
        self.front.call_off(attempt)
        self._cancel(attempt, is_over=True, at_once=True)

    def close(self) -> None:
        self.front.close()

    def _options(self) -> list[str]:
        asked, options = self.settings, []
        for key in ("partition", "gres", "account", "qos"):
            if (value := getattr(asked, key)) is not None:
                options.append(f"--{key}={value}")
        if asked.time_limit is not None:
            options.append(f"--time={math.ceil(asked.time_limit / 60)}")
        if asked.time_limit is None or asked.time_limit >= WARN_FROM_S:
            # For a limit that we were not told of, and where the cluster warns before it preempts.
            options.append(f"--signal=B:USR1@{min(MARGIN_MOST_S, self.margin_s):.0f}")
        return [*options, *asked.options]

    def _parts(self, attempt: Attempt, at: Places) -> dict[str, Request]:
        """What the supervisor is asked on the nodes, by the part's name."""
        folder, asked, limit_s = RunFolder(attempt.run_dir), attempt.programme, self.abilities.time_limit_s
        there, at = RunFolder(Path(at.run_dir)), replace(at, gpus=self.gpus_of(attempt.slot))
        whole = self._start(asked, at, asked.argv(at, limit_s), str(there.log_txt))
        if not (self.settings.folds_as_array and isinstance(asked, InFolds)):
            return {cluster.WHOLE: whole}
        parts = {
            f"{cluster.FOLD}{fold}": self._start(
                asked, at, asked.argv_of_fold(fold, at, limit_s), str(there.fold_log_txt(fold))
            )
            for fold in asked.open_folds(folder)
        }
        return {**parts, cluster.MERGE: {**whole, "after": list(parts)}}

    def _start(self, asked: Programme, at: Places, argv: list[str], log: str) -> dict[str, Any]:
        return {"argv": argv, "cwd": asked.cwd(at), "log": log, "env": {RUN_DIR: at.run_dir}, "grace_s": self.grace_s}

    def _not_taken(self, attempt: Attempt, looked: Mapping[str, Any]) -> Status:
        if not looked.get("refused"):
            return Status(Condition.ABSENT)
        if time.monotonic() - self.refused_at.setdefault(attempt.name, time.monotonic()) > ASK_SBATCH_AGAIN_S:
            self.refused_at.pop(attempt.name)
            self.front.ask({"op": "submit", "root": self.front.jobs_dir, "attempt": attempt.name})
        return Status(Condition.WAITING, reason=str(looked["refused"]))

    def _see_queue(self) -> bool:
        """Whether squeue was asked just now."""
        now = time.monotonic()
        if now - self.rows_at < self.ask_every_s:
            return False
        self.rows = self.front.ask({"op": "queue"})["rows"]
        self.rows_at = now
        return True

    def _stays_missing(self, attempt: Attempt) -> bool:
        since = self.missing_since.setdefault(attempt.name, time.monotonic())
        return self.rows_at >= since + self.lag_s

    def _help_on(self, attempt: Attempt, looked: Mapping[str, Any], found: Finding) -> None:
        """End what goes on in vain, and what did not end when it was asked; now and then, until it has ended."""
        if not found.missing:
            self.missing_since.pop(attempt.name, None)
        if found.status.condition not in (Condition.RUNNING, Condition.WAITING):
            return
        overdue = (looked["cancelled_s"] or 0.0) > self.grace_s + PATIENCE_S
        now = time.monotonic()
        if (overdue or found.vain) and now - self.helped_at.get(attempt.name, -math.inf) > PATIENCE_S:
            self.helped_at[attempt.name] = now
            self._cancel(attempt, at_once=overdue)

    def _look(self, attempt: Attempt) -> dict[str, Any]:
        return self.front.ask({"op": "look", "root": self.front.jobs_dir, "attempt": attempt.name})

    def _cancel(self, attempt: Attempt, **how: bool) -> None:
        self.front.ask({"op": "cancel", "root": self.front.jobs_dir, "attempt": attempt.name, **how})
        self.rows_at = -math.inf


def _front(name: str, settings: SlurmSettings, home: Home) -> Front:
    host = settings.through()
    if host is None:
        return ThisHost(name, home, settings.python or sys.executable)
    from app.jobs.backends.slurm_login import LoginNode  # brings what ssh needs

    return LoginNode(name, home, host)


def _source() -> str:
    """The supervisor is sent along: the nodes need nothing of ours installed."""
    return Path(supervisor.__file__).read_text(encoding="utf-8")
