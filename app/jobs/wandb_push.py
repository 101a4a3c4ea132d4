"""The errand that uploads what a run mirrored offline, once a person has seen what it is: `wandb sync` in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from app.jobs import errands, wandb_server
from app.jobs.backlog import ACTIVE, QUEUED
from app.jobs.dependants import end_with_parent
from app.jobs.patience import Later
from app.jobs.wandb_parcels import Parcel, is_synced, parcels, read
from app.journal import challenges
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, Job, Run
from app.scores import wandb_intake
from app.scores.wandb_intake import Told
from engine.contract import OnehourError

KIND = "wandb_push"
UPLOADED = "uploaded"  # a run's wandb_mode, once it was mirrored offline and then pushed
# A server that falls silent is waited for no longer than a slow line would need.
LEAST_S, SLOWEST_BYTES_S = 120.0, 20_000.0
_PAGE = re.compile(r"View run .* at (\S+/runs/(\S+))")


def unsent(journal: Journal, run_keys: Sequence[str] = ()) -> dict[str, list[Parcel]]:
    """What is still to be sent of these runs of the active challenge, or of all that are over; runs without anything are left out.

    Raises OnehourError for a run that there is not, or that is not over.
    """
    with journal.reading() as db:
        challenge = challenges.active(db)
        over = _over(db, challenge)
        named = [run_named(db, key, challenge).key for key in run_keys]
    for key in named:
        if not over[key]:
            raise OnehourError(f"{key} is not over", fix="What it mirrors can be pushed when it has ended.")
    keys = named or [key for key, is_over in over.items() if is_over]
    found = {key: parcels(journal.home, key) for key in keys}
    return {key: sent for key, sent in found.items() if sent}


def ask(journal: Journal, run_key: str, seen: Sequence[Parcel], server: str) -> Errand:
    """Write down that what a person has `seen` may be sent to `server`."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        return errands.ask(
            db, KIND, run_key, journal.now(), challenge_id=challenge.id, server=server,
            seen={_name(journal, one.path): one.sha256 for one in seen},
        )  # fmt: skip


def push(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Upload what the errand names and nothing else. What is there already is not sent again; the address goes into the journal."""
    asked = json.loads(errand.asked)
    open_ones = []
    for name, sha256 in asked["seen"].items():
        path = journal.home.path / name
        if is_synced(path):
            continue
        parcel = read(path)
        if parcel.sha256 != sha256:
            raise OnehourError("it is no longer the file that was shown", where=name, fix="Look at it and push again.")
        open_ones.append(parcel)
    pages, refusal = _sync(journal, asked["server"], open_ones) if open_ones else ({}, None)
    with journal.writing() as db:
        run = db.exec(select(Run).where(Run.key == errand.subject)).one()
        challenge = db.get(Challenge, run.challenge_id)
        assert challenge is not None
        for parcel in open_ones:
            if parcel.wandb_id in pages and is_synced(parcel.path):
                _keep_page(db, challenge, run, parcel, pages[parcel.wandb_id], journal.now())
    if refusal is not None:
        raise refusal
    return {"sent": len(open_ones), "pages": pages}


def _sync(journal: Journal, server: str, sent: Sequence[Parcel]) -> tuple[dict[str, str], OnehourError | None]:
    """The pages of the W&B runs by their ids, and why not all of them were uploaded. Raises Later when the server does not answer."""
    wandb_server.require_answer(server)
    with tempfile.TemporaryDirectory(prefix="onehour-wandb-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "wandb", "sync", "--include-online", *(str(one.path) for one in sent)],
            cwd=folder,
            env=wandb_server.environment(journal.home, server, Path(folder)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        try:
            said, _ = process.communicate(timeout=LEAST_S + sum(one.total_bytes for one in sent) / SLOWEST_BYTES_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
    pages = {found[2]: found[1] for found in _PAGE.finditer(said)}
    missing = [one for one in sent if not is_synced(one.path) or one.wandb_id not in pages]
    return pages, _refusal(server, missing[0], said) if missing else None


def _refusal(server: str, missing: Parcel, said: str) -> OnehourError:
    try:
        wandb_server.require_answer(server)
    except Later as later:
        return later
    errors = [
        line.partition(": ")[2] for line in said.splitlines() if "error" in line.lower() and "error logs" not in line
    ]
    reason = errors[-1].removeprefix("ERROR ")[:300] if errors else "its end was not reached in time"
    return OnehourError(f"{missing.wandb_id} was not uploaded ({reason})", where=server)


def _keep_page(db: Session, challenge: Challenge, run: Run, parcel: Parcel, page: str, now: int) -> None:
    """The address of a W&B run of ours: in its own row, and as that of the run where it has none."""
    entity = page.split("/")[-4]
    known = wandb_intake.find(db, challenge.id, entity, parcel.project, parcel.wandb_id)
    if known is None or known.url != page:
        told = Told(
            parcel.project, parcel.wandb_id, "finished", run.started_at or run.created_at, now, entity, parcel.wandb_id,
            run.key, tags=parcel.tags, notes=parcel.notes, url=page,
        )  # fmt: skip
        wandb_intake.take_in(db, challenge, told, now, run.key)
    run.wandb_mode, run.wandb_url = UPLOADED, run.wandb_url or page
    db.add(run)


def _over(db: Session, challenge: Challenge) -> dict[str, bool]:
    """Whether each run is over, by key, in the order of queueing."""
    rows = db.exec(
        select(Run.key, Job.state).join(Job, col(Job.run_id) == col(Run.id)).where(Run.challenge_id == challenge.id)
        .order_by(col(Run.id), col(Job.id))
    ).all()  # fmt: skip
    return {key: state not in (QUEUED, *ACTIVE) for key, state in rows}


def _name(journal: Journal, path: Path) -> str:
    return str(path.relative_to(journal.home.path))
