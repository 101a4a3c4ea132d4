"""The experiments as a tree: each hangs below the one that it was held against, with what was changed and what came of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select as columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.journal.tables import Challenge, Experiment, Run
from app.reports.lineage import Lineage, lineages
from app.scores.baselines import RunOnFolds, best_and_baseline, fold_scores, is_better, runs_on_folds
from app.scores.run_rows import score_text
from app.scores.verdict import Verdict, compare, verdict_text
from engine.contract import METRIC_DIRECTIONS


@dataclass(frozen=True)
class Branch:
    """An experiment by its id. `best`: its best run (None: no CV yet), `against`: the run that this is held against, where there is one."""

    experiment_id: int
    depth: int
    runs: int
    newest: str  # run key
    best: RunOnFolds | None
    against: RunOnFolds | None


@dataclass(frozen=True)
class Told:
    """A branch as it is read. `lineage` and `verdict` are those of its best run."""

    depth: int
    experiment_key: str
    hypothesis: str
    run_key: str  # the best one, else the newest
    runs: int
    cv: float | None
    lineage: Lineage | None
    verdict: Verdict | None


def branches(db: Session, challenge: Challenge, *, to_the_best: bool = False) -> list[Branch]:
    """Every experiment behind the one it hangs below, in the order of their first runs.

    A variation hangs below the experiment of the run that it varies, a blend below that of the best run it was made of.

    With `to_the_best` the way to the best run alone: its
    experiment and those above it. Two queries.
    """
    rows = runs_on_folds(db, challenge)
    pairs = best_and_baseline(rows, challenge.metric)
    of: dict[int, list[RunOnFolds]] = defaultdict(list)
    for row in rows:
        of[row.experiment_id].append(row)
    above = {
        experiment_id: before.experiment_id
        for experiment_id, (best, before) in pairs.items()
        if before is not None and before.experiment_id != experiment_id
    }
    first = {experiment_id: mine[0].run_id for experiment_id, mine in of.items()}
    for one, its in {**_blended(db, challenge, rows), **_varied(db, challenge)}.items():
        # Below an earlier one alone, or a branch would hang in the air: an experiment may have blends of later ones too.
        if first[its] < first[one]:
            above[one] = its
    below: dict[int | None, list[int]] = defaultdict(list)
    for experiment_id in of:
        below[above.get(experiment_id)].append(experiment_id)
    kept = _way(pairs, above, challenge.metric) if to_the_best else None
    return [
        Branch(
            experiment_id,
            depth,
            len(of[experiment_id]),
            of[experiment_id][-1].key,
            *pairs.get(experiment_id, (None, None)),
        )
        for experiment_id, depth in _depth_first(below)
        if kept is None or experiment_id in kept
    ]


def told(db: Session, challenge: Challenge, shown: Sequence[Branch]) -> list[Told]:
    """What is to be read of these branches; a handful of queries."""
    asked = columns(col(Experiment.id), col(Experiment.key), col(Experiment.hypothesis))
    ids = [branch.experiment_id for branch in shown]
    said = {
        number: (key, words) for number, key, words in db.connection().execute(asked.where(col(Experiment.id).in_(ids)))
    }
    baselines = {branch.best.key: branch.against.key for branch in shown if branch.best and branch.against}
    differ = lineages(db, [branch.best.key for branch in shown if branch.best], baselines)
    scores = fold_scores(db, {run.run_id for branch in shown for run in (branch.best, branch.against) if run})
    direction = METRIC_DIRECTIONS[challenge.metric]
    found = []
    for branch in shown:
        best, against = branch.best, branch.against
        verdict = (
            compare(scores[best.run_id], scores[against.run_id], direction, against.key) if best and against else None
        )
        found.append(
            Told(
                branch.depth, *said[branch.experiment_id], branch.newest if best is None else best.key, branch.runs,
                None if best is None else best.cv, None if best is None else differ.get(best.key), verdict,
            )
        )  # fmt: skip
    return found


def page(shown: Sequence[Told]) -> str:
    """A line an experiment, further to the right the further below, and one for what was changed."""
    lines = []
    for one in shown:
        cv = [f"CV {score_text(one.cv)}"] if one.cv is not None else []
        said = ", ".join([*cv, *([verdict_text(one.verdict)] if one.verdict else [])])
        lines.append(f"{'  ' * one.depth}{one.experiment_key}  {said}  {one.hypothesis}".rstrip())
        lines += [f"{'  ' * one.depth}    {one.lineage.words}"] if one.lineage else []
    return "\n".join(lines)


def _blended(db: Session, challenge: Challenge, rows: Sequence[RunOnFolds]) -> dict[int, int]:
    """For the experiment of each blend that of the best run that it was made of."""
    better = is_better(challenge.metric)
    by_key = {row.key: row for row in rows}
    query = columns(col(Run.experiment_id), col(Run.spec)).where(
        col(Run.challenge_id) == challenge.id, col(Run.kind) == "blend"
    )
    found = {}
    for experiment_id, spec in db.connection().execute(query):
        best: RunOnFolds | None = None
        for key in json.loads(spec)["runs"]:
            made_of = by_key.get(key)
            if made_of is not None and (best is None or better(made_of.cv, best.cv)):
                best = made_of
        if best is not None and best.experiment_id != experiment_id:
            found[experiment_id] = best.experiment_id
    return found


def _varied(db: Session, challenge: Challenge) -> dict[int, int]:
    """For each experiment that begins with a variation of another one's run that one."""
    parent = aliased(Run)
    query = (
        columns(col(Run.experiment_id), col(parent.experiment_id))
        .join(parent, col(parent.id) == col(Run.parent_id))
        .where(col(Run.challenge_id) == challenge.id, col(parent.experiment_id) != col(Run.experiment_id))
        .order_by(col(Run.id).desc())
    )
    return {experiment_id: its for experiment_id, its in db.connection().execute(query)}


def _way(pairs: Mapping[int, tuple[RunOnFolds, RunOnFolds | None]], above: Mapping[int, int], metric: str) -> set[int]:
    better = is_better(metric)
    at: int | None = None
    for experiment_id, (best, _) in pairs.items():
        if at is None or better(best.cv, pairs[at][0].cv):
            at = experiment_id
    kept = set()
    while at is not None and at not in kept:
        kept.add(at)
        at = above.get(at)
    return kept


def _depth_first(below: Mapping[int | None, Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Without recursion: a year's chain of improvements is deeper than Python's stack likes."""
    waiting = [(one, 0) for one in reversed(below.get(None, ()))]
    while waiting:
        experiment_id, depth = waiting.pop()
        yield experiment_id, depth
        waiting += [(one, depth + 1) for one in reversed(below.get(experiment_id, ()))]
