"""What the parts of an attempt and Slurm's queue, held together, say of it: pure, from what jobs.cluster tells.

An attempt is one job (`whole`), or a job a fold and one that merges them. Its exit code is that of the fold that failed, else of
what merged; parts that stopped in good order, or were killed, are for the next attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.jobs.backends.interface import Condition, Status
from app.jobs.cluster import FOLD, MERGE
from app.jobs.last_words import last_words
from app.jobs.slurm_commands import OVER
from engine.contract import EXIT_OK, EXIT_REQUEUE

WAITS = {
    "Priority": "others are before it in the queue",
    "Resources": "it waits for resources to become free",
    "None": "Slurm has not looked at it yet",
    "Dependency": "it waits for another job",
    "BeginTime": "its begin lies ahead",
    "JobHeldUser": "it is held by its user; let it go with scontrol release",
    "JobHeldAdmin": "it is held by the administrator",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "PartitionNodeLimit": "it asks for more nodes than its partition has",
    "PartitionTimeLimit": "its time limit is longer than its partition's; lower time_limit, cancel it and run it again",
    "ReqNodeNotAvail": "a node that it needs is not available",
    "Reservation": "its reservation has not begun",
    "Licenses": "it waits for a licence",
}
ENDS = {
    "TIMEOUT": "its time in Slurm was over",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node could not be started",
    "PREEMPTED": "it was preempted",
    "OUT_OF_MEMORY": "its memory was not enough",
    "DEADLINE": "its deadline in Slurm passed",
    "CANCELLED": "it was cancelled in Slurm by somebody else",
}
# The machine's doing, not the attempt's: it is started again however often that happens.
EXCUSED = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED")


@dataclass(frozen=True)
class Finding:
    """`missing`: no job and no exit code, which is only true when it stays so; `vain`: what still runs or waits cannot help."""

    status: Status
    missing: bool = False
    vain: bool = False


def is_told_by_files(looked: Mapping[str, Any]) -> bool:
    """Whether every part has left an exit code that needs no explanation: Slurm need not be asked any more."""
    return all(part.get("exit_code", -1) >= 0 for part in looked["parts"].values())


def judge(looked: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], gpus: int) -> Finding:
    """`looked`: of cluster.look, of an attempt that Slurm was given; `rows`: of cluster.queue; `gpus`: that each part holds."""
    parts: dict[str, Mapping[str, Any]] = dict(looked["parts"])
    jobs = _rows_of(looked["jobs"], rows)
    gpu_s = gpus * sum(_seconds(parts[name], jobs[name]) for name in parts)
    codes: dict[str, Any] = {name: parts[name].get("exit_code") for name in parts}
    is_cancelled = looked.get("cancelled_s") is not None
    trained = [name for name in parts if name != MERGE]
    failed = next((name for name in parts if (codes[name] or 0) > 0 and codes[name] != EXIT_REQUEUE), None)
    # Of what was killed Slurm may know why, but only when it is done with it.
    unclear = [name for name in parts if codes[name] is None or (codes[name] < 0 and not is_cancelled)]
    there = {name: row for name in unclear if (row := _active(jobs[name])) is not None}
    undone = [name for name in trained if codes[name] != EXIT_OK]
    if there:
        all_ended = all(codes[name] is not None for name in trained)
        return Finding(_of_those_there(parts, there), vain=failed is not None or (all_ended and bool(undone)))
    if failed is not None:
        return Finding(Status(Condition.EXITED, codes[failed], reason=_why(failed, parts[failed]), gpu_s=gpu_s))
    needed = undone or ([MERGE] if MERGE in parts else trained)
    for name in needed:
        if codes[name] is None:
            return _gone(name, parts[name], jobs[name], gpu_s, is_cancelled)
    killed = [name for name in needed if codes[name] < 0]
    for name in killed:
        if name in unclear and (state := _last_state(jobs[name])) in ENDS:
            return Finding(_lost(name, state, ENDS[state], gpu_s))
    code = codes[(killed or needed)[0]]
    return Finding(Status(Condition.EXITED, code, gpu_s=gpu_s))


def _of_those_there(parts: Mapping[str, Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]]) -> Status:
    if any(part["begun"] for part in parts.values()) or any(row["state"] != "PENDING" for row in there.values()):
        return Status(Condition.RUNNING)
    row = next(iter(there.values()))
    reason = row["reason"].partition(",")[0].strip("()")
    words = WAITS.get(reason, f"Slurm says {reason}")
    return Status(Condition.WAITING, reason=f"Slurm job {row['job']}: {words}")


def _gone(
    name: str, part: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], gpu_s: float, is_cancelled: bool
) -> Finding:
    """No exit code, and nothing of it in the queue."""
    if is_cancelled and not part["begun"]:
        return Finding(Status(Condition.EXITED, EXIT_REQUEUE, reason="it was cancelled before it began", gpu_s=gpu_s))
    if part.get("said"):
        return Finding(Status(Condition.EXITED, 127, reason=_named(name, part["said"]), gpu_s=gpu_s))
    state = _last_state(rows)
    words = ENDS.get(state, "it is gone from Slurm and left no exit code")
    if state == "FAILED":
        words = f"Slurm could not run it ({rows[-1]['reason']})"
    return Finding(_lost(name, state, words, gpu_s), missing=True)


def _lost(name: str, state: str, words: str, gpu_s: float) -> Status:
    return Status(Condition.LOST, rebooted=state in EXCUSED, reason=_named(name, words), gpu_s=gpu_s)


def _why(name: str, part: Mapping[str, Any]) -> str:
    return _named(name, part.get("reason") or last_words(part.get("log", "")))


def _named(name: str, words: str) -> str:
    return f"fold {name[len(FOLD) :]}: {words}" if name.startswith(FOLD) and words else words


def _rows_of(
    jobs: Mapping[str, Sequence[str]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each part: those of its job's name, and of its task where the job is an array."""
    found: dict[str, list[Mapping[str, Any]]] = {part: [] for parts in jobs.values() for part in parts}
    for row in rows:
        for part in jobs.get(row["name"], ()):
            if not part.startswith(FOLD) or row["task"] == int(part[len(FOLD) :]):
                found[part].append(row)
    return found


def _active(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((row for row in rows if row["state"] not in OVER), None)


def _last_state(rows: Sequence[Mapping[str, Any]]) -> str:
    return str(rows[-1]["state"]) if rows else ""


def _seconds(part: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float:
    if "seconds" in part:
        return float(part["seconds"])
    return sum(float(row["elapsed_s"]) for row in rows)
