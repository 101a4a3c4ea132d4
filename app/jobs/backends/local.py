"""This machine: one slot for each CUDA device, or one for the processor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable

from app.jobs import supervisor
from app.jobs.backends.interface import Attempt, Condition, Status
from app.journal.home import CHECKOUT, Home
from engine.contract import OnehourError
from engine.run_folder import RunFolder

Command = Callable[[RunFolder], list[str]]

# A page answers while the machine trains: training is what waits.
NICENESS = 10
# Between SIGTERM and SIGKILL, for a checkpoint.
GRACE_S = 10.0
START_WAIT_S = 30


def engine_command(folder: RunFolder) -> list[str]:
    return [sys.executable, "-m", "engine", "train", str(folder.spec_yaml), "--out", str(folder.path)]


class LocalBackend:
    name = "local"

    def __init__(self, home: Home, command: Command = engine_command, grace_s: float = GRACE_S) -> None:
        self.root, self.command, self.grace_s = home.jobs_dir, command, grace_s

    def slots(self) -> tuple[str, ...]:
        return tuple(f"cuda:{index}" for index in cuda_devices()) or ("cpu:0",)

    def submit(self, attempt: Attempt) -> None:
        device, _, index = attempt.slot.partition(":")
        request = {
            "op": "start",
            "root": str(self.root),
            "attempt": attempt.name,
            "argv": ["nice", "-n", str(NICENESS), *self.command(RunFolder(attempt.run_dir))],
            "cwd": str(CHECKOUT),
            "env": {"CUDA_VISIBLE_DEVICES": index if device == "cuda" else ""},
            "log": str(RunFolder(attempt.run_dir).log_txt),
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

    def cancel(self, attempt: Attempt) -> None:
        supervisor.cancel(self._dir(attempt))

    def clear(self, attempt: Attempt) -> None:
        supervisor.clear(self._dir(attempt))

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
