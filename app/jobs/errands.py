"""Errands: what needs the network or takes long, written down as rows and done by short-lived children of the worker.

    python -m app.jobs.errands ID

A page writes an errand down and reads its answer later; a command that must wait waits for that row. What an errand does may be
asked for twice (a worker that died is followed by another one), so each first looks whether it was done.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from sqlmodel import Session, col, select

from app.jobs.dependants import end_with_parent
from app.jobs.errand_locks import held, is_held
from app.jobs.patience import Later, PutOff, put_off
from app.jobs.presence import who_holds, worker_lock
from app.journal.home import CHECKOUT, find_home
from app.journal.store import Journal, open_journal
from app.journal.tables import Errand
from engine.contract import EXIT_BUG, EXIT_OK, OnehourError

log = logging.getLogger("onehour.errands")

OPEN, RUNNING, DONE, FAILED = "open", "running", "done", "failed"
# What a kind of errand is done by: module:function(journal, errand) → a JSON object. Raises OnehourError; Later to be asked again.
KINDS: Mapping[str, str] = {
    "probe": "app.jobs.probing:probe",
    "setup": "app.jobs.backend_setup:set_up",
    "download": "app.jobs.kaggle_download:download",
    "leftovers": "app.jobs.kaggle_leftovers:look",
    "submit": "app.jobs.submitting:submit",
    "scores": "app.jobs.kaggle_scores:look",
    "home_score": "app.jobs.home_scoring:look",
    "leaderboard": "app.jobs.kaggle_position:look",
    "wandb_folder": "app.jobs.wandb_folders:look",
    "wandb_project": "app.jobs.wandb_projects:look",
    "wandb_push": "app.jobs.wandb_push:push",
}
LONGEST_S = 3_600.0
LONGEST_OF = {"download": 24 * 3_600.0}  # of a kind that may take longer
POLL_S = 0.1


def ask(
    db: Session,
    kind: str,
    subject: str,
    now: int,
    *,
    challenge_id: int | None = None,
    origin: str = "person",
    due_at: int | None = None,
    **asked: Any,
) -> Errand:
    """Write an errand down, to be done now or at `due_at`; one that is open for the same thing is used again, and done then
    if that is sooner. One that was put off stays so, unless a person asks: then no longer than the other side asked for.
    In a writing transaction."""
    assert kind in KINDS, kind
    words = json.dumps(asked, ensure_ascii=False, sort_keys=True)
    same = db.exec(
        select(Errand).where(
            Errand.kind == kind,
            Errand.subject == subject,
            Errand.asked == words,
            col(Errand.state).in_((OPEN, RUNNING)),
        )
    ).first()
    due_at = now if due_at is None else due_at
    if same is not None:
        if same.state == OPEN and (not same.tries or origin == "person"):
            _bring_forward(same, due_at, now)
            db.add(same)
        return same
    errand = Errand(
        challenge_id=challenge_id,
        kind=kind,
        subject=subject,
        asked=words,
        state=OPEN,
        origin=origin,
        asked_at=now,
        due_at=due_at,
    )
    db.add(errand)
    db.flush()
    return errand


def _bring_forward(errand: Errand, due_at: int, now: int) -> None:
    """Let an open one be done sooner. What it said when it was put off is over once it is due."""
    errand.due_at = min(errand.due_at, max(due_at, errand.not_before_at or 0))
    if errand.due_at <= now:
        errand.asked_at, errand.message = now, ""


def newest(db: Session, kind: str, subject: str, state: str | None = None) -> Errand | None:
    """The newest errand of a kind about `subject`, in `state` where one is named."""
    query = select(Errand).where(Errand.kind == kind, Errand.subject == subject)
    if state is not None:
        query = query.where(Errand.state == state)
    return db.exec(query.order_by(col(Errand.id).desc()).limit(1)).first()


def answer_of(errand: Errand) -> Any:
    """What a finished errand brought; raises OnehourError with its reason when it failed."""
    if errand.state == FAILED:
        raise OnehourError(errand.message)
    return json.loads(errand.answer or "null")


def say(journal: Journal, errand_id: int, words: str) -> None:
    """How far it is, for whoever waits."""
    with journal.writing() as db:
        errand = db.get(Errand, errand_id)
        if errand is not None and errand.state == RUNNING:
            errand.message = words
            db.add(errand)


def wait_for(
    journal: Journal, errand_id: int, longest_s: float = LONGEST_S, hear: Callable[[str], None] = lambda words: None
) -> Any:
    """Its answer. Without a worker a child is started here. Raises OnehourError when it fails or takes longer.

    `hear` is told what it says of itself meanwhile.
    """
    ends_at = time.monotonic() + longest_s
    child: subprocess.Popen[bytes] | None = None
    heard = ""
    while True:
        with journal.reading() as db:
            errand = db.get(Errand, errand_id)
        assert errand is not None
        if errand.state in (DONE, FAILED):
            return answer_of(errand)
        if errand.state == RUNNING and errand.message not in ("", heard):
            heard = errand.message
            hear(heard)
        if errand.tries and errand.message and errand.state == OPEN:
            raise OnehourError(f"{errand.message} It is tried again later")
        if time.monotonic() > ends_at:
            where = f"{errand.kind} {errand.subject}".strip()
            raise OnehourError(f"no answer within {longest_s:g} s", where, "It goes on; look again later.")
        if child is None and who_holds(worker_lock(journal.home)) is None:
            if errand.state == RUNNING and not is_held(journal.home, errand_id):
                take_up(journal, errand_id)  # whoever waited for it before was killed, and its child with it
            elif errand.state == OPEN:
                child = start(journal, errand_id)
        if child is not None and child.poll() is not None:
            settle_ended(journal, errand_id)
        time.sleep(POLL_S)


def start(journal: Journal, errand_id: int) -> subprocess.Popen[bytes]:
    """Start its child. Keys come to it in the environment, as they came to us."""
    return subprocess.Popen(
        [sys.executable, "-m", "app.jobs.errands", str(errand_id)],
        cwd=CHECKOUT,
        env=journal.home.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # what it has to say stands in its row; libraries chatter
        preexec_fn=end_with_parent,
    )


def settle_ended(journal: Journal, errand_id: int) -> None:
    """A child that ended without an answer (killed, or our bug) has failed."""
    with journal.writing() as db:
        errand = db.get(Errand, errand_id)
        if errand is not None and errand.state == RUNNING:
            errand.state, errand.ended_at = FAILED, journal.now()
            errand.message = (
                f"{errand.kind} {errand.subject}".strip() + " ended without an answer; logs/errands.log tells why"
            )
            db.add(errand)


def take_up(journal: Journal, errand_id: int) -> None:
    """Nobody is at it any more: it is to be done again."""
    with journal.writing() as db:
        errand = db.get(Errand, errand_id)
        if errand is not None and errand.state == RUNNING:
            errand.state = OPEN
            db.add(errand)


def run(journal: Journal, errand_id: int) -> None:
    """Do the errand and write its answer down."""
    with journal.writing() as db:
        errand = db.get(Errand, errand_id)
        if errand is None or errand.state != OPEN:
            return
        errand.state, errand.started_at, errand.tries = RUNNING, journal.now(), errand.tries + 1
        errand.message = ""
        db.add(errand)
    module, _, function = KINDS[errand.kind].partition(":")
    act: Callable[[Journal, Errand], Any] = getattr(import_module(module), function)
    answer, message, state, until = None, "", DONE, PutOff(errand.due_at, None)
    try:
        try:
            answer = json.dumps(act(journal, errand), ensure_ascii=False)
        except Later as error:
            state, message, until = OPEN, str(error), put_off(errand, error, journal.now())
    except OnehourError as error:
        state, message = FAILED, str(error)
    with journal.writing() as db:
        fresh = db.get(Errand, errand_id)
        assert fresh is not None
        fresh.state, fresh.answer, fresh.message = state, answer, message
        fresh.due_at, fresh.not_before_at = until.due_at, until.not_before_at
        fresh.ended_at = None if state == OPEN else journal.now()
        db.add(fresh)


def main(arguments: list[str]) -> int:
    home = find_home()
    home.logs_dir.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=home.logs_dir / "errands.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    journal = open_journal(home)
    try:
        with held(home, int(arguments[0])):
            run(journal, int(arguments[0]))
    except Exception:
        log.exception("errand %s", arguments[0])
        return EXIT_BUG
    finally:
        journal.close()
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
