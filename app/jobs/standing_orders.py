"""Standing orders: a run's submission is sent by the worker if its CV is good enough. Given in the hour, taken back at any time."""

from __future__ import annotations

import logging
import math

from sqlmodel import Session, col, func, select

from app.jobs import backlog, errands, submitting
from app.jobs.submitting import Checked
from app.journal import challenges, rules, sittings
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Job, Run, StandingOrder
from engine.contract import OnehourError

log = logging.getLogger("onehour.jobs")


def give(
    journal: Journal, run_key: str, better_than: float, said: str = "", *, origin: str = "person"
) -> StandingOrder:
    """Let the run's submission be sent if its CV is better than `better_than`; a new order takes the place of one that waits.

    Raises AgainstTheRules outside the hour.
    """
    require_number(better_than)
    with journal.writing() as db:
        now = journal.now()
        run = run_named(db, run_key)
        if origin == "person":
            challenge = challenges.active(db)
            rules.require(rules.Action.WORK, sittings.sitting(db, challenge, now).moment, "Submitting")
        given = _of(db, run)
        if given is not None:
            if given.decided_at is not None:
                raise OnehourError(f"its order was decided: {given.outcome}", where=run_key)
            db.delete(given)
            db.flush()
        order = StandingOrder(run_id=run.id, better_than=better_than, said=said, origin=origin, created_at=now)
        db.add(order)
    return order


def require_number(better_than: float) -> None:
    if not math.isfinite(better_than):
        raise OnehourError(f"a CV of {better_than} is no number to be better than")


def take_back(journal: Journal, run_key: str) -> None:
    """Possible as long as it is not decided, and afterwards as long as nothing was sent."""
    with journal.writing() as db:
        run = run_named(db, run_key)
        order = _of(db, run)
        if order is None:
            raise OnehourError("there is no order for this run", where=run_key)
        asked = submitting.newest(db, run.key) if order.decided_at is not None else None
        if asked is not None and asked.state == errands.OPEN:
            asked.state, asked.ended_at, asked.message = errands.FAILED, journal.now(), "taken back"
            db.add(asked)
        elif asked is not None and asked.state != errands.FAILED:
            raise OnehourError("it is too late to take the order back: the submission was sent", where=run_key)
        db.delete(order)


def of_run(db: Session, run_id: int) -> StandingOrder | None:
    return db.exec(select(StandingOrder).where(StandingOrder.run_id == run_id)).first()


def words(db: Session, order: StandingOrder, run_key: str) -> str:
    """What became of it, or what it waits for."""
    if order.decided_at is None:
        return f"is sent if its CV is better than {order.better_than:g}"
    asked = submitting.newest(db, run_key)
    if asked is None or asked.asked_at < order.decided_at:
        return order.outcome
    if asked.state == errands.DONE:
        return f"{order.outcome}; sent as number {errands.answer_of(asked)['ref']}"
    if asked.state == errands.FAILED:
        return f"{order.outcome}; it was not: {asked.message}"
    return f"{order.outcome}; {asked.message or 'it is on its way'}"


def decide_due(journal: Journal) -> None:
    """Decide those whose run has ended."""
    newest = select(func.max(Job.id)).where(col(Job.run_id) == StandingOrder.run_id).correlate(StandingOrder)
    query = (
        select(StandingOrder, Run, Job)
        .join(Run, col(Run.id) == col(StandingOrder.run_id))
        .join(Job, col(Job.id) == newest.scalar_subquery())
        .where(col(StandingOrder.decided_at).is_(None), col(Job.finished_at).is_not(None))
    )
    with journal.reading() as db:
        due = db.exec(query).all()
    for order, run, job in due:
        checked, outcome = _judged(journal, order, run, job)
        with journal.writing() as db:
            fresh = db.get(StandingOrder, order.id)
            if fresh is None or fresh.model_dump() != order.model_dump():
                continue  # taken back, or given anew, while the file was looked through
            if checked is not None:
                try:
                    submitting.write_down(db, checked, journal.now())
                except OnehourError as error:
                    outcome = _refused(order, run, error)
            fresh.decided_at, fresh.outcome = journal.now(), outcome
            db.add(fresh)
        log.info("%s: %s", run.key, outcome)


def _judged(journal: Journal, order: StandingOrder, run: Run, job: Job) -> tuple[Checked | None, str]:
    """What is to be sent, None where nothing is, and the outcome."""
    if job.state != backlog.SUCCEEDED or run.cv is None:
        became = {backlog.CANCELLED: "was cancelled", backlog.STOPPED: "stopped by itself", backlog.FAILED: "failed"}
        return None, f"not sent: the run {became.get(job.state, 'has no CV')}"
    better = run.cv > order.better_than if run.direction == "max" else run.cv < order.better_than
    if not better:
        return None, f"not sent: a CV of {run.cv:.4f} is not better than {order.better_than:g}"
    try:
        checked = submitting.check(journal, run.key, order.said, origin="system")
    except OnehourError as error:
        return None, _refused(order, run, error)
    return checked, f"a CV of {run.cv:.4f} is better than {order.better_than:g}: it is to be sent"


def _refused(order: StandingOrder, run: Run, error: OnehourError) -> str:
    return f"not sent, though a CV of {run.cv:.4f} is better than {order.better_than:g}: {error}"


def _of(db: Session, run: Run) -> StandingOrder | None:
    assert run.id is not None
    return of_run(db, run.id)
