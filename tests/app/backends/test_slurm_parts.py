"""What an attempt's files and Slurm's queue together say of it."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs.backends.interface import Condition, Status
from app.jobs.backends.slurm_parts import Finding, is_told_by_files, judge

pytestmark = pytest.mark.unit

NAME = "whales_001-r01.7-1.0a1b2c3d"
OK = {"begun": True, "exit_code": 0, "seconds": 100.0}
AGAIN = {"begun": True, "exit_code": 75, "seconds": 10.0}
KILLED = {"begun": True, "exit_code": -9, "seconds": 10.0, "log": ""}
BAD = {"begun": True, "exit_code": 2, "seconds": 1.0, "log": "--- attempt 7-1\ntrain.csv: no column 'Id'\n"}
BEGUN = {"begun": True, "said": ""}
NOT_BEGUN = {"begun": False, "said": ""}


def row(state: str, reason: str = "None", task: int | None = None, merge: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "id": "12",
        "job": "12",
        "task": task,
        "state": state,
        "reason": reason,
        "elapsed_s": 0.0,
        "name": f"{NAME}-merge" if merge else NAME,
        **more,
    }


def whole(part: dict[str, Any], *rows: dict[str, Any], cancelled_s: float | None = None, gpus: int = 1) -> Finding:
    looked = {"jobs": {NAME: ["whole"]}, "parts": {"whole": part}, "cancelled_s": cancelled_s}
    return judge(looked, rows, gpus)


def folds(*parts: dict[str, Any], merge: dict[str, Any] = NOT_BEGUN, rows: tuple[dict[str, Any], ...] = ()) -> Finding:
    named = {f"fold{number}": part for number, part in enumerate(parts)}
    jobs = {NAME: list(named), f"{NAME}-merge": ["merge"]}
    return judge({"jobs": jobs, "parts": {**named, "merge": merge}, "cancelled_s": None}, rows, 2)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "Slurm job 12: others are before it in the queue"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-3]", "Slurm job 12: a node that it needs is not available"),
        ("QOSMaxJobsPerUserLimit", "Slurm job 12: Slurm says QOSMaxJobsPerUserLimit"),
    ],
)
def test_what_waits_says_why(reason: str, words: str) -> None:
    assert whole(NOT_BEGUN, row("PENDING", reason)).status == Status(Condition.WAITING, reason=words)


@pytest.mark.parametrize("state", ["RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "A_STATE_OF_2031"])
def test_what_is_in_the_queue_and_does_not_wait_runs(state: str) -> None:
    assert whole(BEGUN, row(state)).status.condition is Condition.RUNNING


def test_an_exit_code_counts_whatever_the_queue_says() -> None:
    assert whole(OK, row("RUNNING"), gpus=2).status == Status(Condition.EXITED, 0, gpu_s=200.0)
    assert whole(AGAIN).status == Status(Condition.EXITED, 75, gpu_s=10.0)
    assert whole(KILLED).status == Status(Condition.EXITED, -9, gpu_s=10.0)
    assert whole(BAD).status.reason == "train.csv: no column 'Id'"


@pytest.mark.parametrize(
    ("state", "reason", "rebooted"),
    [
        ("NODE_FAIL", "its node failed", True),
        ("PREEMPTED", "it was preempted", True),
        ("TIMEOUT", "its time in Slurm was over", False),
        ("OUT_OF_MEMORY", "its memory was not enough", False),
        ("FAILED", "Slurm could not run it (JobLaunchFailure)", False),
    ],
)
def test_what_is_gone_without_an_exit_code_is_lost_for_the_reason_that_slurm_knows(
    state: str, reason: str, rebooted: bool
) -> None:
    found = whole(BEGUN, row(state, "JobLaunchFailure", elapsed_s=60.0))
    assert found == Finding(Status(Condition.LOST, rebooted=rebooted, reason=reason, gpu_s=60.0), missing=True)


def test_of_what_was_killed_slurm_may_know_why() -> None:
    assert whole(KILLED, row("COMPLETING")).status.condition is Condition.RUNNING
    lost = Status(Condition.LOST, reason="its memory was not enough", gpu_s=10.0)
    assert whole(KILLED, row("OUT_OF_MEMORY")) == Finding(lost)
    assert whole(KILLED, row("NODE_FAIL")).status.rebooted
    assert whole(KILLED, row("FAILED", "NonZeroExitCode")).status == Status(Condition.EXITED, -9, gpu_s=10.0)
    assert whole(KILLED, row("CANCELLED"), cancelled_s=1.0).status.exit_code == -9


def test_what_slurm_has_forgotten_is_lost_too() -> None:
    found = whole(BEGUN, row("RUNNING", name="another"))
    assert found.status.reason == "it is gone from Slurm and left no exit code"
    assert found.missing


def test_what_was_cancelled_before_it_began_has_ended_in_good_order() -> None:
    found = whole(NOT_BEGUN, row("CANCELLED"), cancelled_s=1.0)
    assert (found.status.condition, found.status.exit_code) == (Condition.EXITED, 75)
    assert whole(BEGUN, row("CANCELLED"), cancelled_s=1.0).status.condition is Condition.LOST
    assert whole(NOT_BEGUN, row("CANCELLED")).status.condition is Condition.LOST


def test_a_batch_script_that_could_not_start_python_says_so() -> None:
    found = whole({"begun": False, "said": "exec: /opt/python: not found"}, row("FAILED", "NonZeroExitCode"))
    assert found.status == Status(Condition.EXITED, 127, reason="exec: /opt/python: not found", gpu_s=0.0)


def test_folds_and_what_merges_them_are_one_attempt() -> None:
    waits = tuple(row("PENDING", "Resources", task=number) for number in range(2))
    merge = row("PENDING", "Dependency", merge=True)
    assert folds(NOT_BEGUN, NOT_BEGUN, rows=(*waits, merge)).status.condition is Condition.WAITING
    assert folds(BEGUN, NOT_BEGUN, rows=(row("RUNNING", task=0), waits[1], merge)).status.condition is Condition.RUNNING
    assert folds(OK, OK, rows=(merge,)) == Finding(Status(Condition.RUNNING))
    assert folds(OK, OK, merge=OK).status == Status(Condition.EXITED, 0, gpu_s=600.0)
    assert folds(OK, OK, merge=BAD).status.reason == "train.csv: no column 'Id'"
    assert folds(OK, OK, rows=(row("TIMEOUT", merge=True),)).status.condition is Condition.LOST


def test_one_fold_that_fails_fails_the_attempt_and_the_rest_goes_on_in_vain() -> None:
    rows = (row("RUNNING", task=1), row("PENDING", "Dependency", merge=True))
    assert folds(BAD, BEGUN, rows=rows) == Finding(Status(Condition.RUNNING), vain=True)
    found = folds(BAD, AGAIN)
    assert found.status == Status(Condition.EXITED, 2, reason="fold 0: train.csv: no column 'Id'", gpu_s=22.0)


@pytest.mark.parametrize(
    ("parts", "told"), [((OK, OK), True), ((BAD, AGAIN), True), ((OK, BEGUN), False), ((OK, KILLED), False)]
)
def test_slurm_is_asked_as_long_as_the_files_leave_anything_open(parts: tuple[dict[str, Any], ...], told: bool) -> None:
    assert is_told_by_files({"parts": dict(enumerate(parts))}) is told


def test_folds_that_stopped_or_were_killed_are_for_the_next_attempt() -> None:
    merge = row("PENDING", "Resources", merge=True)
    assert folds(OK, AGAIN, rows=(merge,)) == Finding(Status(Condition.RUNNING), vain=True)
    assert folds(OK, AGAIN, merge=AGAIN).status.exit_code == 75
    assert folds(KILLED, AGAIN).status.exit_code == -9
    assert folds(KILLED, BEGUN, rows=(row("RUNNING", task=1),)) == Finding(Status(Condition.RUNNING))


def test_a_fold_that_is_lost_loses_the_attempt_by_name() -> None:
    found = folds(OK, BEGUN, rows=(row("COMPLETED", task=0), row("NODE_FAIL", task=1, elapsed_s=50.0)))
    lost = Status(Condition.LOST, rebooted=True, reason="fold 1: its node failed", gpu_s=300.0)
    assert found == Finding(lost, missing=True)
