"""Slurm's commands, called so that nothing of ours goes along, and understood: what they print, and what they complain of.

Standard library only, for a host that has nothing but Linux and Python 3.8 (see `cluster`).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Any

# The states of a job that has ended.
OVER = (
    "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY",
    "REVOKED",
)  # fmt: skip
# All that Slurm's commands, and so the jobs, see of our environment: no key, and none of a person's settings for their own calls
# (SQUEUE_FORMAT, SBATCH_WAIT …). --export=NIL says the same, but Slurm 22.05 takes that for the name of a variable and lets a
# login shell on the node make the environment, which costs seconds and brings back what its profile sets.
ENVIRONMENT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "ONEHOUR_CACHE",
    "SLURM_CONF", "SLURM_CONF_SERVER",
)  # fmt: skip
COMMAND_WAIT_S = 90.0
SILENT = "Slurm does not answer"
NOW_DOWN = (
    "unable to contact", "unable to establish", "connect failure", "connection refused", "timed out", "standby", "munge",
    "zero bytes", "communication", "authentication", "configuration source", "could not connect", "network is unreachable",
)  # fmt: skip
NOT_YET = ("accounting/qos policy", "temporarily", "try again", "submitjob", "not available (")
# Who complains, which is no part of what is the matter.
WHO = re.compile(
    r"^(?:[a-z_]+: (?:error: |fatal: )?|slurm_\w+ error: |allocation failure: )?(?:Batch job submission failed: )?"
)


class Trouble(Exception):
    """`kind`: unreachable (nobody answers now) | later (Slurm does not want it yet) | refused."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind, self.words = kind, words


def rows() -> list[dict[str, Any]]:
    """All jobs of this user that Slurm still tells of, those that ended lately too: one row a task of an array."""
    told = run(
        ["squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%F|%K|%T|%r|%M|%j"]
    )
    found = []
    for line in told.splitlines():
        fields = line.split("|", 5)
        if len(fields) == 6:
            job, task, state, reason, elapsed, name = fields
            found.append(
                {
                    "id": f"{job}_{task}" if task.isdigit() else job,
                    "job": job,
                    "task": int(task) if task.isdigit() else None,
                    "state": state,
                    "reason": reason,
                    "elapsed_s": _elapsed_s(elapsed),
                    "name": name,
                }
            )
    return found


def scancel(arguments: Sequence[str]) -> None:
    try:
        run(["scancel", *arguments])
    except Trouble as trouble:
        if trouble.words.startswith(SILENT):  # else some have ended meanwhile, or wait and get no signal
            raise


def run(argv: Sequence[str], stdin: str = "") -> str:
    """What a command of Slurm prints. Raises Trouble."""
    env = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=env,
            timeout=COMMAND_WAIT_S,
            check=False,
        )
    except FileNotFoundError:
        raise Trouble(
            "unreachable", f"there is no {argv[0]} on {os.uname().nodename}: install Slurm's commands there"
        ) from None
    except subprocess.TimeoutExpired:
        raise Trouble("unreachable", f"{argv[0]} did not answer within {COMMAND_WAIT_S:.0f} s") from None
    if done.returncode == 0:
        return done.stdout
    said = words(done.stderr) or f"{argv[0]} ended with exit code {done.returncode}"
    lower = said.lower()
    if any(phrase in lower for phrase in NOW_DOWN):
        raise Trouble("unreachable", f"{SILENT}: {said}")
    if argv[0] == "sbatch" and any(phrase in lower for phrase in NOT_YET):
        raise Trouble("later", f"Slurm does not take the job yet: {said}")
    raise Trouble("refused" if argv[0] == "sbatch" else "unreachable", f"Slurm does not do it: {said}")


def words(stderr: str) -> str:
    """What Slurm complains of, without who complains: its last sentence, with the one before where that says more."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("Try ")]
    said = [WHO.sub("", line) for line in lines]
    return "; ".join(dict.fromkeys(said[-2:]))[:500]


def _elapsed_s(text: str) -> float:
    """`1-02:03:04`, `02:03:04` or `3:04` in seconds."""
    days, _, clock = text.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = 60 * seconds + int(part) if part.isdigit() else 0
    return float(seconds + 86_400 * int(days)) if days.isdigit() else float(seconds)
