"""Which runs are asked for, and in what order: words, a kind of run, a sort. The keys alone are looked for; rows come after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, or_
from sqlalchemy import select as columns
from sqlmodel import Session, case, col, func, select

from app.journal.tables import Challenge, Experiment, Job, Run, Submission
from app.scores.leaderboard import public_of_newest
from engine.contract import METRIC_DIRECTIONS

Which = Literal["all", "open", "with a CV", "submitted", "failed"]
Order = Literal["newest", "best CV", "best LB", "most GPU"]
WHICH: tuple[Which, ...] = get_args(Which)
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class RunSearch:
    """`words` each stand in a run's key, hypothesis, preset, state, backend, day, note or tags.

    "failed" are those that ended without a result, however. The best come first in the direction of the challenge's metric, and runs
    without such a number last.
    """

    words: str = ""
    which: Which = "all"
    order: Order = "newest"


def keys(db: Session, challenge: Challenge, search: RunSearch = RunSearch()) -> list[str]:
    """The keys of all runs that are asked for, in order; one query, which for a sort alone reads an index and no row."""
    query: Select[Any] = columns(col(Run.key)).where(col(Run.challenge_id) == challenge.id)
    if search.words.split():
        query = _holding(query, search.words)
    over = {
        "open": _jobs(col(Job.finished_at).is_(None)),
        "with a CV": col(Run.cv).is_not(None),
        "submitted": col(Run.id).in_(select(Submission.run_id).where(col(Submission.run_id).is_not(None))),
        "failed": _jobs(col(Job.state).in_(("failed", "stopped", "cancelled"))),
    }
    if search.which in over:
        query = query.where(over[search.which])
    return [key for (key,) in db.connection().execute(query.order_by(*_order(challenge, search.order)))]


def _order(challenge: Challenge, order: Order) -> list[ColumnElement[Any]]:
    best_first = METRIC_DIRECTIONS[challenge.metric] == "max"
    newest = col(Run.id).desc()
    if order == "newest":
        return [newest]
    if order == "most GPU":
        return [col(Run.gpu_s).desc().nulls_last(), newest]
    # Scores in another metric than the challenge's have no place between them.
    told = public_of_newest() if order == "best LB" else col(Run.cv)
    score = case((col(Run.metric) == challenge.metric, told))
    return [(score.desc() if best_first else score.asc()).nulls_last(), newest]


def _jobs(of: ColumnElement[bool]) -> ColumnElement[bool]:
    return col(Run.id).in_(select(Job.run_id).where(of))


def _holding(query: Select[Any], words: str) -> Select[Any]:
    newest_job = select(func.max(Job.id)).where(col(Job.run_id) == Run.id).correlate(Run).scalar_subquery()
    query = query.join(Experiment, col(Run.experiment_id) == col(Experiment.id)).join(Job, col(Job.id) == newest_job)
    for word in words.split():
        of_run = (Run.key, Run.spec_source, Run.local_date, Run.note, Run.tags)
        places = (*of_run, Experiment.hypothesis, Job.state, Job.backend)
        query = query.where(or_(*(col(place).contains(word.lstrip("#"), autoescape=True) for place in places)))
    return query
