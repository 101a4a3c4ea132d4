"""What helped: one row an idea, with its verdict, what it cost in machine hours and minutes of work, and its gain an hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.jobs import ledger
from app.jobs.ledger import ExperimentTime
from app.journal import challenges, usage
from app.journal.days import MINUTE_MS
from app.journal.tables import Challenge, Experiment, Run
from app.scores.baselines import RunOnFolds, best_and_baseline, fold_scores, newest_experiments, runs_on_folds
from app.scores.verdict import Verdict, compare
from engine.contract import METRIC_DIRECTIONS

NOTHING_BEFORE = "no earlier run on the same data and folds"
NO_CV = "no CV yet"
OTHER_METRIC = "another metric than the challenge's"


@dataclass(frozen=True)
class Idea:
    """An experiment. `verdict` is that of its best run against the best run before its first; None: `why_none` says why."""

    experiment_key: str
    hypothesis: str
    first_on: date
    runs: int
    best_run: str | None
    cv: float | None
    verdict: Verdict | None
    why_none: str
    gpu_s: float
    held_s: float
    work_ms: float  # the person's: each day's focus time, shared by the experiments queued on it

    @property
    def gain_an_hour(self) -> float | None:
        """For each hour of the person's work; None where there is no verdict or no work was counted."""
        if self.verdict is None or self.work_ms <= 0:
            return None
        return self.verdict.gain / (self.work_ms / MINUTE_MS / 60)


def ideas(db: Session, challenge: Challenge, now: int, limit: int | None = None) -> list[Idea]:
    """The experiments of the challenge, the newest first: all, or `limit` of them. A handful of queries, however many runs there are."""
    chosen = None if limit is None else newest_experiments(db, challenge, limit)
    rows = runs_on_folds(db, challenge, chosen)
    of: dict[int, list[RunOnFolds]] = defaultdict(list)
    for row in rows:
        of[row.experiment_id].append(row)
    newest = list(reversed(of)) if chosen is None else chosen  # by their first runs
    if not newest:
        return []
    named = columns(col(Experiment.id), col(Experiment.key), col(Experiment.hypothesis))
    which = col(Experiment.challenge_id) == challenge.id if chosen is None else col(Experiment.id).in_(chosen)
    said = {
        experiment_id: (key, hypothesis)
        for experiment_id, key, hypothesis in db.connection().execute(named.where(which))
    }
    best = best_and_baseline(rows, challenge.metric)
    pairs = {experiment: best[experiment] for experiment in newest if experiment in best}
    scores = fold_scores(db, {run.run_id for pair in pairs.values() for run in pair if run is not None})
    took = {each.experiment_key: each for each in ledger.by_experiment(db, challenge, now, chosen)}
    # From the first day of the oldest of them on: they share these days with one another and with older ones.
    first, last = of[newest[-1]][0].local_date, challenges.last_day(challenge)
    work = shared_work(queued_on(db, challenge, first), usage.used_ms(db, challenge, first, last, now))
    direction = METRIC_DIRECTIONS[challenge.metric]
    told = []
    for experiment_id in newest:
        mine = of[experiment_id]
        key, hypothesis = said[experiment_id]
        mine_best, before = pairs.get(experiment_id, (None, None))
        verdict = None
        if mine_best is not None and before is not None:
            verdict = compare(scores[mine_best.run_id], scores[before.run_id], direction, before.key)
        machine = took.get(key, ExperimentTime(key, hypothesis, 0, ()))
        told.append(
            Idea(
                experiment_key=key,
                hypothesis=hypothesis,
                first_on=mine[0].local_date,
                runs=len(mine),
                best_run=None if mine_best is None else mine_best.key,
                cv=None if mine_best is None else mine_best.cv,
                verdict=verdict,
                why_none="" if verdict is not None else _why_none(mine, mine_best, challenge.metric),
                gpu_s=machine.gpu_s,
                held_s=machine.held_s,
                work_ms=work.get(experiment_id, 0.0),
            )
        )
    return told


def queued_on(db: Session, challenge: Challenge, first: date) -> dict[date, set[int]]:
    """The experiments of which a run was queued, for each day from `first` on that has one; one query."""
    asked = columns(col(Run.local_date), col(Run.experiment_id)).distinct()
    found: dict[date, set[int]] = defaultdict(set)
    which = asked.where(col(Run.challenge_id) == challenge.id, col(Run.local_date) >= first)
    for on, experiment in db.connection().execute(which):
        found[on].add(experiment)
    return found


def shared_work(queued: Mapping[date, Collection[int]], used: Mapping[date, int]) -> dict[int, float]:
    """The focus time of each day, shared equally by the experiments of which a run was queued on it (milliseconds)."""
    work: dict[int, float] = defaultdict(float)
    for day, experiments in queued.items():
        for experiment in experiments:
            work[experiment] += used.get(day, 0) / len(experiments)
    return work


def _why_none(mine: Sequence[RunOnFolds], best: RunOnFolds | None, metric: str) -> str:
    if best is None:
        return OTHER_METRIC if any(row.cv is not None and row.metric != metric for row in mine) else NO_CV
    return NOTHING_BEFORE
