"""Which runs are asked for, and in what order: words, a kind of run, a backend, a sort. The keys alone are looked for; rows come after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, String, cast, or_
from sqlalchemy import select as columns
from sqlmodel import Session, case, col, func, select

from app.journal.tables import Challenge, Experiment, Job, LeaderboardScore, Run, Submission
from app.scores.lb_scores import first_told_of_newest
from app.scores.verdict import verdicts
from engine.contract import METRIC_DIRECTIONS, OnehourError, nearest

Which = Literal[
    "all", "open", "with a CV", "with an LB", "submitted", "without a result", "helped", "hurt", "unclear"
]  # fmt: skip
Order = Literal[
    "newest", "oldest", "best CV", "worst CV", "best LB", "worst LB", "best private LB", "worst private LB",
    "most gained", "most lost", "most GPU", "least GPU", "longest", "shortest", "hypothesis", "state", "backend", "preset",
]  # fmt: skip
WHICH: tuple[Which, ...] = get_args(Which)
ORDERS: tuple[Order, ...] = get_args(Order)
VERDICTS = ("helped", "hurt", "unclear")
BY_GAIN = ("most gained", "most lost")
FEW = 500  # runs


@dataclass(frozen=True)
class RunSearch:
    """`words` each stand in a run's key, hypothesis, preset, state, backend, day, note or tags; `backend` "": any.

    "submitted" are those that were sent to the leaderboard, "without a result" those that failed, stopped or were cancelled. The
    best come first in the direction of the challenge's metric, what gained most in its verdict likewise, and runs without such
    a number last.
    """

    words: str = ""
    which: Which = "all"
    order: Order = "newest"
    backend: str = ""


@dataclass(frozen=True)
class Found:
    """How many are asked for, and their keys in order: as many as the second number says (None: all) from the first on."""

    many: int
    keys: Callable[[int, int | None], list[str]]


def asked(words: str, which: str, order: str, backend: str = "") -> RunSearch:
    """A search as a person types it. Raises OnehourError for a kind or an order that there is not."""
    kind = next((one for one in WHICH if one.lower() == which.lower()), None)
    sort = next((one for one in ORDERS if one.lower() == order.lower()), None)
    if kind is None:
        raise OnehourError(f"there is no kind of runs {which!r}", fix=nearest(which, WHICH))
    if sort is None:
        raise OnehourError(f"runs cannot be ordered by {order!r}", fix=nearest(order, ORDERS))
    return RunSearch(words, kind, sort, backend)


def count(db: Session, challenge: Challenge) -> int:
    """How many runs there are."""
    return db.connection().execute(columns(func.count()).where(col(Run.challenge_id) == challenge.id)).scalar_one()


def backends(db: Session) -> list[str]:
    """Those that runs were queued for, by name: of any challenge, which is a look at one column."""
    return sorted(db.connection().execute(columns(col(Job.backend)).distinct()).scalars())


def find(db: Session, challenge: Challenge, search: RunSearch = RunSearch()) -> Found:
    """The runs that are asked for. What is asked by verdict is judged first, and all of it."""
    if search.which in VERDICTS or search.order in BY_GAIN:
        judged = _judged(db, challenge, search)
        return Found(len(judged), lambda start, limit: judged[start : None if limit is None else start + limit])
    many = db.connection().execute(_asked(columns(func.count()), challenge, search)).scalar_one()

    def keys(start: int, limit: int | None) -> list[str]:
        query = _asked(columns(col(Run.key)), challenge, search).order_by(*_order(challenge, search.order))
        return list(db.connection().execute(query.offset(start).limit(limit)).scalars())

    return Found(many, keys)


def _judged(db: Session, challenge: Challenge, search: RunSearch) -> list[str]:
    by_gain = search.order in BY_GAIN
    asked: tuple[Any, ...] = Run.id, Run.key
    query = _asked(columns(*asked), challenge, search)
    query = query.order_by(*_order(challenge, "newest" if by_gain else search.order))
    runs = [(run_id, key) for run_id, key in db.connection().execute(query)]
    # A few are judged one by one, of many it is quicker to judge all there are.
    found = verdicts(db, challenge, [run_id for run_id, _ in runs] if len(runs) <= FEW else None)
    if search.which in VERDICTS:
        runs = [run for run in runs if run[0] in found and found[run[0]].word == search.which]
    if by_gain:
        sign = 1 if search.order == "most lost" else -1
        # Sorting keeps the order of what is equal: the newest first.
        runs = sorted(runs, key=lambda run: sign * found[run[0]].gain if run[0] in found else inf)
    return [key for _, key in runs]


def _asked(query: Select[Any], challenge: Challenge, search: RunSearch) -> Select[Any]:
    query = query.select_from(Run).where(col(Run.challenge_id) == challenge.id)
    if search.words.split():
        query = _holding(query, search.words)
    if search.backend:
        query = query.where(_newest_job(Job.backend) == search.backend)
    over = {
        "open": _jobs(col(Job.finished_at).is_(None)),
        "with a CV": col(Run.cv).is_not(None),
        "with an LB": first_told_of_newest(LeaderboardScore.public).is_not(None),
        "submitted": col(Run.id).in_(select(Submission.run_id).where(col(Submission.sent_at).is_not(None))),
        "without a result": _jobs(col(Job.state).in_(("failed", "stopped", "cancelled"))),
    }
    return query.where(over[search.which]) if search.which in over else query


def _order(challenge: Challenge, order: Order) -> list[ColumnElement[Any]]:
    newest: ColumnElement[Any] = col(Run.id).desc()
    if order in ("newest", "oldest"):
        return [newest if order == "newest" else col(Run.id).asc()]
    by, downwards = _by(challenge, order)
    return [(by.desc() if downwards else by.asc()).nulls_last(), newest]


def _by(challenge: Challenge, order: Order) -> tuple[Any, bool]:
    """What is looked at, and whether the most of it comes first."""
    first, _, what = order.partition(" ")
    match what or order:
        case "CV" | "LB" | "private LB" as score:
            best_is_most = METRIC_DIRECTIONS[challenge.metric] == "max"
            return _in_metric(challenge, score), (first == "best") == best_is_most
        case "GPU":
            return col(Run.gpu_s), first == "most"
        case "longest" | "shortest":
            return _newest_job(col(Job.finished_at) - col(Job.first_started_at)), order == "longest"
        case "state" | "backend":
            return _newest_job(getattr(Job, order)), False
        case "hypothesis":
            said = columns(func.lower(Experiment.hypothesis)).where(col(Experiment.id) == col(Run.experiment_id))
            return said.correlate(Run).scalar_subquery(), False
        case _:
            return col(Run.spec_source), False


def _in_metric(challenge: Challenge, score: str) -> ColumnElement[Any]:
    """Scores in another metric than the challenge's have no place between them."""
    if score == "CV":
        known: Any = col(Run.cv)
    else:
        known = first_told_of_newest(LeaderboardScore.public if score == "LB" else LeaderboardScore.private)
    return case((col(Run.metric) == challenge.metric, known))


def _newest_job(what: Any) -> ColumnElement[Any]:
    """Of the newest job of a run of the enclosing query."""
    of_run = columns(what).where(col(Job.run_id) == Run.id).order_by(col(Job.id).desc()).limit(1)
    return of_run.correlate(Run).scalar_subquery()


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
