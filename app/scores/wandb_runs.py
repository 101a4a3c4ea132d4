"""Runs that were not started here, as pages list them: those of a group as one, each with its score."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, RowMapping, Subquery, or_
from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select

from app.journal.tables import Challenge, Experiment, WandbRun
from app.scores.run_rows import EQUAL, score_text, spread, spread_text
from engine.contract import METRIC_DIRECTIONS

Order = Literal["newest", "oldest", "best score", "worst score", "name"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class WandbRow:
    """One run. Moments in milliseconds UTC; `url` is empty where no server is known to have it."""

    id: int
    bundle: str
    name: str
    wandb_id: str
    entity: str
    project: str
    group_name: str
    job_type: str
    state: str
    tags: tuple[str, ...]
    notes: str
    score: float | None
    score_name: str
    commit: str
    started_at: int
    heartbeat_at: int
    local_date: date
    url: str
    experiment_key: str | None
    gone_at: int | None


@dataclass(frozen=True)
class ForeignRun:
    """A run that was not started here, or the runs of a group, which are listed as one; `parts` in the order of their start."""

    parts: tuple[WandbRow, ...]

    @property
    def key(self) -> str:
        """Tells it from every other one of the challenge."""
        return self.parts[0].bundle

    @property
    def name(self) -> str:
        """The group's or the run's own; with its id where the name alone is the project's."""
        return self.parts[0].group_name or self.parts[0].name

    @property
    def place(self) -> str:
        """`entity/project`, as far as it is known."""
        return "/".join(part for part in (self.parts[0].entity, self.parts[0].project) if part)

    @property
    def state(self) -> str:
        """That of its parts: running as long as one runs, else the first that is not finished."""
        states = [part.state for part in self.parts]
        return next((state for state in ("running", *states) if state in states and state != "finished"), "finished")

    @property
    def notes(self) -> str:
        return next((part.notes for part in self.parts if part.notes), "")

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tag for part in self.parts for tag in part.tags))

    @property
    def url(self) -> str:
        return next((part.url for part in self.parts if part.url), "")

    @property
    def experiment_key(self) -> str | None:
        return self.parts[0].experiment_key

    @property
    def local_date(self) -> date:
        return self.parts[0].local_date

    @property
    def is_gone(self) -> bool:
        """Whether its server has none of it any more."""
        return all(part.gone_at is not None for part in self.parts)

    @property
    def score_name(self) -> str:
        return next((part.score_name for part in self.parts if part.score_name), "")

    @property
    def scores(self) -> tuple[float, ...]:
        """Of the parts that have one of that name."""
        return tuple(part.score for part in self.parts if part.score is not None and part.score_name == self.score_name)

    @property
    def score_words(self) -> str:
        """`valid/map5 0.812 ± 0.004`; empty where nothing in its summary goes by the name of the challenge's metric."""
        if not self.scores:
            return ""
        between = spread(self.scores)
        apart = "" if between is None or between < EQUAL else f" ± {spread_text(between)}"
        return f"{self.score_name} {score_text(sum(self.scores) / len(self.scores))}{apart}"


def of_days(db: Session, challenge: Challenge, first: date, last: date) -> list[ForeignRun]:
    """The foreign runs that started on the days from `first` to `last` (inclusive), in that order; one query.

    Of a group that went on over several days each day has its own part.
    """
    rows = _read(db, is_foreign(challenge), col(WandbRun.local_date).between(first, last))
    return _bundled(rows, lambda row: (row.local_date, row.bundle))


def count_by_day(db: Session, challenge: Challenge) -> dict[date, int]:
    """How many of `of_days` each day has, as far as it has any; one query."""
    day, bundle = col(WandbRun.local_date), col(WandbRun.bundle)
    asked = columns(day, func.count(bundle.distinct())).where(is_foreign(challenge)).group_by(day)
    return {on: many for on, many in db.connection().execute(asked)}


def listed(
    db: Session,
    challenge: Challenge,
    words: str = "",
    start: int = 0,
    limit: int | None = None,
    order: Order = "newest",
) -> list[ForeignRun]:
    """The foreign runs in an order: of those in which each of `words` stands, `limit` from the one at `start` on; one query.

    The best score is that of the challenge's metric, of a group their mean; runs without one come last.
    """
    in_order = (*_order(challenge, order), func.max(WandbRun.started_at).desc(), col(WandbRun.bundle))
    bundles = (
        columns(col(WandbRun.bundle), func.row_number().over(order_by=in_order).label("place"))
        .where(is_foreign(challenge), *_holding(words))
        .group_by(col(WandbRun.bundle))
        .order_by("place")
        .offset(start)
        .limit(limit)
    )
    return _bundled(_read(db, is_foreign(challenge), among=bundles.subquery()), lambda row: (row.bundle,))


def _order(challenge: Challenge, order: Order) -> list[ColumnElement[Any]]:
    """`newest` is what stands behind all."""
    score: ColumnElement[Any] = func.avg(WandbRun.score)
    if order in ("best score", "worst score"):
        downwards = (METRIC_DIRECTIONS[challenge.metric] == "max") == (order == "best score")
        return [(score.desc() if downwards else score.asc()).nulls_last()]
    if order == "name":
        name = func.coalesce(func.nullif(func.max(WandbRun.group_name), ""), func.min(WandbRun.name))
        return [func.lower(name)]
    return [func.max(WandbRun.started_at)] if order == "oldest" else []


def of_experiment(db: Session, challenge: Challenge, experiment_id: int) -> list[ForeignRun]:
    """The foreign runs that were put to an experiment, in the order of their start; one query."""
    rows = _read(db, is_foreign(challenge), col(WandbRun.experiment_id) == experiment_id)
    return _bundled(rows, lambda row: (row.bundle,))


def count(db: Session, challenge: Challenge, words: str = "") -> int:
    """How many `listed` would list without a limit."""
    asked = select(func.count(func.distinct(WandbRun.bundle))).where(is_foreign(challenge), *_holding(words))
    return db.exec(asked).one()


def named(db: Session, challenge: Challenge, key: str) -> ForeignRun | None:
    """The foreign run with this key, or the one that the run with this number (a row's id) or W&B id belongs to, or the group of
    this name where no other project has one; None without any."""
    by_id = [col(WandbRun.id) == int(key)] if key.isdecimal() and len(key) < 19 else []
    place = columns(col(WandbRun.bundle)).where(
        is_foreign(challenge), or_(col(WandbRun.bundle) == key, col(WandbRun.wandb_id) == key, *by_id)
    )
    rows = _read(db, is_foreign(challenge), col(WandbRun.bundle).in_(place))
    found = _bundled(rows, lambda row: (row.bundle,))
    if not found and key:
        groups = columns(col(WandbRun.bundle)).where(is_foreign(challenge), col(WandbRun.group_name) == key)
        found = _bundled(_read(db, is_foreign(challenge), col(WandbRun.bundle).in_(groups)), lambda row: (row.bundle,))
        found = found if len(found) == 1 else []
    return next(iter(found), None)


def facts(db: Session, row_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and summary of one run."""
    config, summary = db.exec(select(WandbRun.config, WandbRun.summary).where(WandbRun.id == row_id)).one()
    return json.loads(config), json.loads(summary)


def is_foreign(challenge: Challenge) -> ColumnElement[bool]:
    return (col(WandbRun.challenge_id) == challenge.id) & col(WandbRun.run_id).is_(None)


def _holding(words: str) -> list[ColumnElement[bool]]:
    places = (
        WandbRun.name, WandbRun.wandb_id, WandbRun.group_name, WandbRun.notes, WandbRun.tags, WandbRun.project,
        WandbRun.entity, WandbRun.state,
    )  # fmt: skip
    return [or_(*(col(place).contains(word, autoescape=True) for place in places)) for word in words.split()]


def _read(db: Session, *which: ColumnElement[bool], among: Subquery | None = None) -> list[WandbRow]:
    """Columns alone: a run carries its config and summary, and there may be thousands. `among`: bundles, each with its place."""
    taken = {name: getattr(WandbRun, name) for name in WandbRow.__annotations__ if name != "experiment_key"}
    asked: list[Any] = [*taken.values(), col(Experiment.key).label("experiment_key")]
    query = (
        columns(*asked)
        .select_from(WandbRun)
        .outerjoin(Experiment, col(Experiment.id) == col(WandbRun.experiment_id))
        .where(*which)
    )
    if among is not None:
        query = query.join(among, among.c.bundle == col(WandbRun.bundle)).order_by(among.c.place)
    query = query.order_by(col(WandbRun.started_at), col(WandbRun.id))
    return [_row(found) for found in db.connection().execute(query).mappings()]


def _row(found: RowMapping) -> WandbRow:
    values = dict(found)
    values["tags"] = tuple(json.loads(values["tags"]))
    return WandbRow(**values)


def _bundled(rows: Sequence[WandbRow], key: Callable[[WandbRow], object]) -> list[ForeignRun]:
    found: dict[object, list[WandbRow]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return [ForeignRun(tuple(parts)) for parts in found.values()]
