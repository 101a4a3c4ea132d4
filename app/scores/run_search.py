"""Which runs are asked for, and in what order: words, a kind of run, a sort. The keys alone are looked for; rows come after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, String, cast, or_
from sqlalchemy import select as columns
from sqlmodel import Session, case, col, func, select

from app.journal.tables import Challenge, Experiment, Job, LeaderboardScore, Run, Submission
from app.scores.lb_scores import first_told_of_newest
from engine.contract import METRIC_DIRECTIONS, OnehourError, nearest

Which = Literal["all", "open", "with a CV", "submitted", "without a result"]
Order = Literal["newest", "best CV", "best LB", "most GPU"]
WHICH: tuple[Which, ...] = get_args(Which)
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class RunSearch:
    """`words` each stand in a run's key, hypothesis, preset, state, backend, day, note or tags.

    "without a result" are those that failed, stopped or were cancelled. The best come first in the direction of the challenge's
    metric, and runs without such a number last.
    """

    words: str = ""
    which: Which = "all"
    order: Order = "newest"


def asked(words: str, which: str, order: str) -> RunSearch:
    """A search as a person types it. Raises OnehourError for a kind or an order that there is not."""
    kind = next((one for one in WHICH if one == which), None)
    sort = next((one for one in ORDERS if one == order), None)
    if kind is None:
        raise OnehourError(f"there is no kind of runs {which!r}", fix=nearest(which, WHICH))
    if sort is None:
        raise OnehourError(f"runs cannot be ordered by {order!r}", fix=nearest(order, ORDERS))
    return RunSearch(words, kind, sort)


def count(db: Session, challenge: Challenge, search: RunSearch = RunSearch()) -> int:
    """How many runs are asked for."""
    return db.connection().execute(_asked(columns(func.count()), challenge, search)).scalar_one()


def keys(
    db: Session, challenge: Challenge, search: RunSearch = RunSearch(), start: int = 0, limit: int | None = None
) -> list[str]:
    """The keys of the runs that are asked for, in order, `limit` of them from the one at `start` on."""
    query = _asked(columns(col(Run.key)), challenge, search).order_by(*_order(challenge, search.order))
    return [key for (key,) in db.connection().execute(query.offset(start).limit(limit))]


def _asked(query: Select[Any], challenge: Challenge, search: RunSearch) -> Select[Any]:
    query = query.select_from(Run).where(col(Run.challenge_id) == challenge.id)
    if search.words.split():
        query = _holding(query, search.words)
    over = {
        "open": _jobs(col(Job.finished_at).is_(None)),
        "with a CV": col(Run.cv).is_not(None),
        "submitted": col(Run.id).in_(select(Submission.run_id).where(col(Submission.run_id).is_not(None))),
        "without a result": _jobs(col(Job.state).in_(("failed", "stopped", "cancelled"))),
    }
    return query.where(over[search.which]) if search.which in over else query


def _order(challenge: Challenge, order: Order) -> list[ColumnElement[Any]]:
    best_first = METRIC_DIRECTIONS[challenge.metric] == "max"
    newest = col(Run.id).desc()
    if order == "newest":
        return [newest]
    if order == "most GPU":
        return [col(Run.gpu_s).desc().nulls_last(), newest]
    # Scores in another metric than the challenge's have no place between them.
    told = first_told_of_newest(LeaderboardScore.public) if order == "best LB" else col(Run.cv)
    score = case((col(Run.metric) == challenge.metric, told))
    return [(score.desc() if best_first else score.asc()).nulls_last(), newest]


def _jobs(of: ColumnElement[bool]) -> ColumnElement[bool]:
    return col(Run.id).in_(select(Job.run_id).where(of))


def _holding(query: Select[Any], words: str) -> Select[Any]:
    newest_job = select(func.max(Job.id)).where(col(Job.run_id) == Run.id).correlate(Run).scalar_subquery()
    query = query.join(Experiment, col(Run.experiment_id) == col(Experiment.id)).join(Job, col(Job.id) == newest_job)
    for word in words.split():
        said = (Run.key, Run.spec_source, Run.note, Run.tags, Experiment.hypothesis, Job.state, Job.backend)
        places = (cast(col(Run.local_date), String), *(col(each) for each in said))
        query = query.where(or_(*(place.contains(word.lstrip("#"), autoescape=True) for place in places)))
    return query
