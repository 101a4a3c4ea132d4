"""This machine: one slot for each CUDA device, or one for the processor."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys

from app.jobs import supervisor
from app.jobs.backends.interface import Abilities, Attempt, Condition, Probe, Status
from app.jobs.programme import ENGINE_PACKAGES, RUN_DIR, places_here
from app.journal.home import Home
from engine.contract import OnehourError
from engine.run_folder import RunFolder

LOCAL = "local"
# A page answers while the machine trains: training is what waits.
NICENESS = 10
# Between SIGTERM and SIGKILL, for a checkpoint.
GRACE_S = 10.0
START_WAIT_S = 30


class LocalBackend:
    name = LOCAL

    def __init__(self, home: Home, grace_s: float = GRACE_S, time_limit_s: float | None = None) -> None:
        self.root, self.grace_s = home.jobs_dir, grace_s
        self.abilities = Abilities(time_limit_s=time_limit_s)

    def slots(self) -> tuple[str, ...]:
        return tuple(f"cuda:{index}" for index in cuda_devices()) or ("cpu:0",)

    def gpus_of(self, slot: str) -> int:
        return int(slot.startswith("cuda"))

    def probe(self) -> Probe:
        return Probe(
            python=platform.python_version(),
            versions=supervisor.versions(ENGINE_PACKAGES),
            gpus=tuple(f"cuda:{index}" for index in cuda_devices()),
            free_bytes=shutil.disk_usage(self.root if self.root.exists() else self.root.parents[1]).free,
            clock_ahead_s=0.0,
        )

    def submit(self, attempt: Attempt) -> None:
        device, _, index = attempt.slot.partition(":")
        folder, gpus = RunFolder(attempt.run_dir), self.gpus_of(attempt.slot)
        at = places_here(attempt.programme, sys.executable, attempt.run_dir, gpus)
        request = {
            "op": "start",
            "root": str(self.root),
            "attempt": attempt.name,
            "argv": ["nice", "-n", str(NICENESS), *attempt.programme.argv(at, self.abilities.time_limit_s)],
            "cwd": attempt.programme.cwd(at),
            "env": {"CUDA_VISIBLE_DEVICES": index if device == "cuda" else "", RUN_DIR: str(attempt.run_dir)},
            "log": str(folder.log_txt),
            "grace_s": self.grace_s,
        }
        where = str(attempt.run_dir)
        # A fresh, small process forks the supervisor: it inherits nothing of the worker's.
        try:
            done = subprocess.run(
                [sys.executable, "-I", supervisor.__file__],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=START_WAIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.cancel(attempt)  # it may have begun after all
            self.clear(attempt)
            raise OnehourError(f"the attempt did not start within {START_WAIT_S} s", where) from None
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise OnehourError(f"the attempt cannot be started ({lines[-1]})", where)
        if json.loads(done.stdout)["state"] == "absent":
            raise OnehourError(
                "the attempt cannot be started: its supervisor ended before it had written its pid",
                where=self._dir(attempt),
                fix="Check free space and permissions there, then queue the run again.",
            )

    def status(self, attempt: Attempt) -> Status:
        found = supervisor.status(self._dir(attempt))
        return Status(
            Condition(found["state"]), found.get("exit_code"), found.get("rebooted", False), found.get("reason", "")
        )

    def log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        return RunFolder(attempt.run_dir).log_piece(offset, most)

    def fetch(self, attempt: Attempt) -> bool:
        return True  # it lies here

    def cancel(self, attempt: Attempt) -> None:
        supervisor.cancel(self._dir(attempt))

    def clear(self, attempt: Attempt) -> None:
        supervisor.clear(self._dir(attempt))

    def close(self) -> None:
        pass

    def _dir(self, attempt: Attempt) -> str:
        return supervisor.attempt_dir(str(self.root), attempt.name)


def cuda_devices() -> list[int]:
    """The indices of the CUDA devices here. No nvidia-smi, or one that finds nothing, means none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [int(line) for line in done.stdout.split() if line.isdigit()] if done.returncode == 0 else []
