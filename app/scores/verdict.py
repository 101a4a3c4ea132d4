"""Verdicts: what a run's idea did to the score, from paired differences on the very same folds.

The baseline of a run is the best run queued before it on the same data and the same folds; a blend is one for blends alone. The
interval is that of `student.corrected_margin`: folds share training rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import fsum
from typing import Literal

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, or_, select

from app.journal.tables import Challenge, FoldScore, Run
from app.scores.run_rows import EQUAL, spread, spread_text
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


def verdicts(db: Session, challenge: Challenge, run_ids: Collection[int]) -> dict[int, Verdict]:
    """The verdicts of the runs among `run_ids` that have a CV in the challenge's metric and a baseline; two queries."""
    direction = METRIC_DIRECTIONS[challenge.metric]
    earlier = aliased(Run)
    best_first = col(earlier.cv).desc() if direction == "max" else col(earlier.cv)
    baseline = (
        select(earlier.id)
        .where(
            earlier.challenge_id == challenge.id,
            earlier.metric == Run.metric,
            earlier.data_sha256 == Run.data_sha256,
            earlier.folds_sha256 == Run.folds_sha256,
            col(earlier.cv).is_not(None),
            col(earlier.id) < Run.id,
            # A blend is made of runs and better than each: what an idea did to a run is seen beside runs.
            or_(col(earlier.kind) != "blend", col(Run.kind) == "blend"),
        )
        .order_by(best_first, col(earlier.id))
        .limit(1)
        .correlate(Run)
        .scalar_subquery()
    )
    compared = {
        run_id: before
        for run_id, before in db.exec(
            select(Run.id, baseline).where(
                col(Run.id).in_(run_ids), Run.metric == challenge.metric, col(Run.cv).is_not(None)
            )
        ).all()
        if before is not None
    }
    wanted = {*compared, *compared.values()}
    scores: dict[int, dict[int, float]] = defaultdict(dict)
    keys: dict[int, str] = {}
    rows = select(FoldScore.run_id, FoldScore.fold, FoldScore.score, Run.key).join(
        Run, col(Run.id) == col(FoldScore.run_id)
    )
    for run_id, fold, score, key in db.exec(rows.where(col(FoldScore.run_id).in_(wanted))).all():
        scores[run_id][fold], keys[run_id] = score, key
    found = {
        run_id: compare(scores[run_id], scores[before], direction, keys[before])
        for run_id, before in compared.items()
        if before in keys
    }
    return {run_id: verdict for run_id, verdict in found.items() if verdict is not None}


def verdict_text(verdict: Verdict) -> str:
    """`helped (+0.021 ± 0.006 against h_009-r01)`."""
    margin = "one fold only" if verdict.margin is None else f"± {spread_text(verdict.margin)}"
    return f"{verdict.word} ({verdict.gain:+.3f} {margin} against {verdict.against})"
