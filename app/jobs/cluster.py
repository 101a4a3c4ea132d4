"""Attempts on a Slurm cluster, from the host on which its commands are: sbatch, squeue, scancel.

Requests and answers are JSON, so that `agent` can carry them to a host that has nothing but Linux and Python 3.8: standard library
only, and of ours only `supervisor` and `slurm_commands`. Accounting may be off: what is known of an attempt is what squeue
tells and what its own processes wrote into ROOT/ATTEMPT/, which the nodes must see too:

    asked.json      what was asked for, by the first who asked
    submitted       everything is in Slurm's hands, with the ids
    refused         what Slurm said when it did not want the attempt yet
    cancel          it was asked to end, and when
    cleared         it is over, whatever Slurm still has of it
    python, supervisor.py
    whole/, or fold0/ … and merge/   start.json, batch.txt (what the batch script said) and the supervisor's files

The batch script is the same for all: what to run stands in those files, so nothing that a person typed reaches a shell. Jobs are
found again by their names, which no other attempt has: whoever lost sbatch's answer looks there before asking once more.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.jobs import slurm_commands, supervisor

WHOLE, FOLD, MERGE = "whole", "fold", "merge"
BATCH = """#!/bin/sh
cd "./${SLURM_ARRAY_TASK_ID:+fold$SLURM_ARRAY_TASK_ID}" || exit 1
exec >>batch.txt 2>&1
exec "$(cat ../python)" -I ../supervisor.py <start.json
"""
HOW = ("--parsable", "--export=ALL", "--no-requeue", "--nodes=1", "--ntasks=1", "--output=/dev/null")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the operation `op` found, or {"trouble": kind, "words": what is the matter}."""
    try:
        return OPERATIONS[request["op"]](request)
    except slurm_commands.Trouble as trouble:
        return {"trouble": trouble.kind, "words": trouble.words}
    except OSError as error:  # a full disk, a file server that is away: only what is to begin cannot wait for it
        kind = "refused" if request["op"] == "submit" else "unreachable"
        return {"trouble": kind, "words": f"{error.filename or request.get('root', '')}: {error.strerror or error}"}


def submit(request: dict[str, Any]) -> dict[str, Any]:
    """Give the attempt to Slurm unless it was given before.

    `parts`: what to run by its name (`whole`, or each `fold<K>`, `merge`), as the supervisor is asked; without them, those of
    the first time. `name`: the beginning of the jobs' name; `python` of the nodes; `supervisor`: its source; `sbatch`: options.
    Returns what `look` does.
    """
    folder = supervisor.attempt_dir(request["root"], request["attempt"])
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with _alone(folder):
        if not any(os.path.exists(os.path.join(folder, name)) for name in ("submitted", "cancel")):
            asked = _asked(folder) or _write_down(folder, request)
            try:
                supervisor.write(folder, "submitted", json.dumps(_hand_over(folder, asked)))
            except slurm_commands.Trouble as trouble:
                if trouble.kind != "later":
                    raise
                supervisor.write(folder, "refused", trouble.words)
    return look(request)


def look(request: dict[str, Any]) -> dict[str, Any]:
    """What the attempt's own files tell: `submitted`, `refused` (words), `cancelled_s` (ago), `jobs` (the parts of each by its
    name) and `parts`.

    A part has `begun`, and when it has ended `exit_code`, `reason`, `seconds`; one that failed also `log`, the end of it, and one
    that did not begin `said`, the last line of its batch script.
    """
    folder = supervisor.attempt_dir(request["root"], request["attempt"])
    asked = _asked(folder)
    if asked is None:
        return {"submitted": False, "parts": {}}
    cancelled_at = supervisor.read(folder, "cancel")
    return {
        "submitted": cancelled_at is not None or supervisor.read(folder, "submitted") is not None,
        "refused": supervisor.read(folder, "refused") or "",
        "cancelled_s": None if cancelled_at is None else max(0.0, time.time() - float(cancelled_at)),
        "jobs": _jobs(folder, asked),
        "parts": {name: _part(os.path.join(folder, name), start) for name, start in asked["parts"].items()},
    }


def queue(_: dict[str, Any]) -> dict[str, Any]:
    return {"rows": slurm_commands.rows()}


def cancel(request: dict[str, Any]) -> dict[str, Any]:
    """Ask the attempt to end: what waits is taken out of the queue, what runs is asked, and its supervisor gives it its grace.

    `at_once`: Slurm shall end what runs, which also clears a node whose supervisor does not answer. `is_asked`: a person or a
    move wants it, which is remembered. `is_over`: what Slurm might still start of it finds that it shall not.
    """
    folder = supervisor.attempt_dir(request["root"], request["attempt"])
    asked = _asked(folder)
    if asked is None:
        return {}
    with _alone(folder):
        if request.get("is_asked") and supervisor.read(folder, "cancel") is None:
            supervisor.write(folder, "cancel", f"{time.time():.3f}")
        if request.get("is_over"):
            supervisor.write(folder, "cleared", "")
        names = _jobs(folder, asked)
        ids = [
            row["id"]
            for row in slurm_commands.rows()
            if row["name"] in names and row["state"] not in slurm_commands.OVER
        ]
        if ids:
            slurm_commands.scancel(["--state=PENDING", *ids])
            slurm_commands.scancel(ids if request.get("at_once") else ["--batch", "--signal=TERM", *ids])
    return {}


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """`python`, `supervisor` and `sbatch` as for `submit`: what Python there has, what the partitions have, and whether Slurm would
    take such a job."""
    root = os.path.realpath(os.path.expanduser(request["root"]))
    problems, told = [], {}
    try:
        done = subprocess.run(
            [request["python"], "-I", "-c", request["supervisor"]],
            input=json.dumps({"op": "versions", "packages": request["packages"]}),
            capture_output=True,
            text=True,
            timeout=slurm_commands.COMMAND_WAIT_S,
            check=False,
        )
        told = json.loads(done.stdout or "{}")
        if done.returncode != 0:
            problems.append(f"{request['python']} cannot be used: {slurm_commands.words(done.stderr)}")
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        problems.append(f"{request['python']} cannot be used: {getattr(error, 'strerror', '') or type(error).__name__}")
    partition = [f"--partition={request['partition']}"] if request.get("partition") else []
    rows = slurm_commands.run(["sinfo", "--noheader", "--format=%R|%D|%G|%T", *partition]).split("\n")
    try:
        slurm_commands.run(["sbatch", "--test-only", *request["sbatch"]], BATCH)
    except slurm_commands.Trouble as trouble:
        if trouble.kind == "unreachable":
            raise
        problems.append(trouble.words)
    exists = root
    while not os.path.exists(exists):
        exists = os.path.dirname(exists)
    return {
        "python": told.get("python", ""),
        "versions": told.get("versions", {}),
        "nodes": [row.split("|") for row in rows if row.count("|") == 3],
        "free_bytes": shutil.disk_usage(exists).free,
        "now": time.time(),
        "problems": problems,
    }


def _write_down(folder: str, request: dict[str, Any]) -> dict[str, Any]:
    """Everything that the nodes will read; asked.json last."""
    asked = {key: request[key] for key in ("name", "parts", "python", "sbatch")}
    for name, start in asked["parts"].items():
        os.makedirs(os.path.join(folder, name), mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(start["log"]), exist_ok=True)
        attend = {**start, "op": "attend", "root": folder, "attempt": name, "title": request["attempt"]}
        supervisor.write(os.path.join(folder, name), "start.json", json.dumps(attend))
    supervisor.write(folder, "python", request["python"])
    supervisor.write(folder, "supervisor.py", request["supervisor"])
    supervisor.write(folder, "asked.json", json.dumps(asked))
    return asked


def _hand_over(folder: str, asked: dict[str, Any]) -> dict[str, str]:
    """sbatch what is not in Slurm's hands yet. Returns the ids by name, as far as Slurm still knows them."""
    known = {row["name"]: row["job"] for row in slurm_commands.rows()}
    before = None
    for name, parts in _jobs(folder, asked).items():
        if name not in known and not any(os.path.exists(os.path.join(folder, part, "begun")) for part in parts):
            is_array = parts[0].startswith(FOLD)
            where = folder if is_array else os.path.join(folder, parts[0])
            options = [f"--array={','.join(part[len(FOLD) :] for part in parts)}"] if is_array else []
            options += [f"--dependency=afterany:{known[before]}"] if before in known else []
            told = slurm_commands.run(
                ["sbatch", *asked["sbatch"], *HOW, *options, f"--chdir={where}", f"--job-name={name}"], BATCH
            )
            known[name] = told.strip().partition(";")[0]
        before = name
    return {name: known[name] for name in _jobs(folder, asked) if name in known}


def _jobs(folder: str, asked: dict[str, Any]) -> dict[str, list[str]]:
    """The parts of each job in Slurm, by the job's name: all folds are one job, what merges them is another."""
    name = f"{asked['name']}.{os.path.basename(folder)}.{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
    trains = [part for part in asked["parts"] if part != MERGE]
    merges = [part for part in asked["parts"] if part == MERGE]
    return {name: parts for name, parts in ((name, trains), (f"{name}-merge", merges)) if parts}


def _part(folder: str, start: dict[str, Any]) -> dict[str, Any]:
    ended = supervisor.exit_of(folder)
    if ended is None:
        begun = os.path.exists(os.path.join(folder, "begun"))
        said = [line for line in _end_of(os.path.join(folder, "batch.txt")).splitlines() if line.strip()]
        return {"begun": begun, "said": said[-1] if said and not begun else ""}
    told = {"begun": True, **ended, "seconds": float(supervisor.read(folder, "seconds") or 0)}
    return told if ended["exit_code"] in (0, supervisor.EXIT_REQUEUE) else {**told, "log": _end_of(start["log"])}


def _end_of(path: str, most: int = 8_000) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def _asked(folder: str) -> dict[str, Any] | None:
    text = supervisor.read(folder, "asked.json")
    return None if text is None else dict(json.loads(text))


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    lock = os.open(os.path.join(folder, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


OPERATIONS = {"submit": submit, "look": look, "queue": queue, "cancel": cancel, "probe": probe}
