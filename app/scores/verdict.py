"""Verdicts: what a run's idea did to the score, from paired differences on the very same folds.

The baseline of a run is the best run queued before it on the same data and the same folds; a blend is one for blends alone. The
interval is that of `student.corrected_margin`: folds share training rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal

from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select

from app.journal.tables import Challenge, FoldScore, Run
from app.scores.baselines import all_fold_scores, fold_scores, leaders
from app.scores.run_rows import EQUAL, RunRow, spread, spread_text
from app.scores.student import corrected_margin
from engine.contract import METRIC_DIRECTIONS

Word = Literal["helped", "hurt", "unclear"]


@dataclass(frozen=True)
class Verdict:
    """`gain` is the mean over the folds, positive when better whatever the metric's direction; `margin` half of its 95 % interval.

    `margin` is None with fewer than two folds: nothing tells then how far chance reaches.
    """

    word: Word
    against: str  # the baseline's run key
    gain: float
    margin: float | None
    folds: int


def compare(
    scores: Mapping[int, float], baseline: Mapping[int, float], direction: Literal["max", "min"], against: str
) -> Verdict | None:
    """The verdict over the folds that both have (fold number → score); None when there is none."""
    sign = 1 if direction == "max" else -1
    differences = [sign * (scores[fold] - baseline[fold]) for fold in sorted(scores.keys() & baseline.keys())]
    if not differences:
        return None
    k = len(differences)
    gain = fsum(differences) / k
    if k < 2:
        return Verdict("unclear", against, gain, None, k)
    margin = corrected_margin(spread(differences) or 0.0, k)
    beyond = abs(gain) > max(margin, EQUAL)
    word: Word = "unclear" if not beyond else "helped" if gain > 0 else "hurt"
    return Verdict(word, against, gain, margin, k)


def verdicts(db: Session, challenge: Challenge, run_ids: Collection[int] | None = None) -> dict[int, Verdict]:
    """The verdicts of the runs among `run_ids` (None: all) that have a CV in the challenge's metric and a baseline.

    Four queries, or five.
    """
    direction = METRIC_DIRECTIONS[challenge.metric]
    asked: Sequence[Any] = (Run.id, Run.data_sha256, Run.folds_sha256, Run.kind)
    scored = columns(*asked).where(
        col(Run.challenge_id) == challenge.id if run_ids is None else col(Run.id).in_(run_ids),
        col(Run.metric) == challenge.metric,
        col(Run.cv).is_not(None),
        col(Run.data_sha256).is_not(None),
        col(Run.folds_sha256).is_not(None),
    )
    mine = [(run_id, (data, folds), kind == "blend") for run_id, data, folds, kind in db.connection().execute(scored)]
    compared: dict[int, int] = {}
    for blends in (False, True):
        of_kind = [(run_id, ground) for run_id, ground, is_blend in mine if is_blend == blends]
        led = leaders(db, challenge, of_kind, blends) if of_kind else {}
        for run_id, ground in of_kind:
            place = bisect_left(led.get(ground, []), run_id)
            if place:
                compared[run_id] = led[ground][place - 1]
    before = set(compared.values())
    scores = all_fold_scores(db, challenge) if run_ids is None else fold_scores(db, {*compared, *before})
    named = columns(col(Run.id), col(Run.key)).where(col(Run.id).in_(before))
    keys = {run_id: key for run_id, key in db.connection().execute(named)}
    found = {
        run_id: compare(scores[run_id], scores[against], direction, keys[against])
        for run_id, against in compared.items()
    }
    return {run_id: verdict for run_id, verdict in found.items() if verdict is not None}


def why_none(db: Session, challenge: Challenge, run: RunRow) -> str:
    """Why a run has no verdict, as half a sentence: what it, or each run before it, lacks."""
    if run.cv is None:
        return "no CV yet" if run.is_open else "it has no CV"
    if run.metric != challenge.metric:
        return f"its metric is {run.metric}, the challenge's {challenge.metric}"
    if not run.folds:
        return "it has no scores of folds"
    data, folds, kind = db.exec(select(Run.data_sha256, Run.folds_sha256, Run.kind).where(Run.id == run.run_id)).one()
    if data is None or folds is None:
        return "its data and folds are not known"
    earlier = select(func.count()).where(
        col(Run.challenge_id) == challenge.id,
        col(Run.id) < run.run_id,
        col(Run.metric) == run.metric,
        col(Run.cv).is_not(None),
        col(Run.id).in_(select(FoldScore.run_id)),
    )
    if kind != "blend":
        earlier = earlier.where(col(Run.kind) != "blend")
    if not db.exec(earlier).one():
        return "no run with scores of folds before it"
    if not db.exec(earlier.where(col(Run.data_sha256) == data)).one():
        return "no run before it on the same data"
    return "no run before it on the same folds"


def verdict_text(verdict: Verdict) -> str:
    """`helped (+0.021 ± 0.006 against h_009-r01)`."""
    if verdict.margin is None:
        return f"{verdict.word} ({verdict.gain:+.3f} one fold only against {verdict.against})"
    margin = spread_text(verdict.margin)
    digits = len(margin.partition(".")[2])  # as many before the ± as behind it
    return f"{verdict.word} ({verdict.gain:+.{digits}f} ± {margin} against {verdict.against})"
