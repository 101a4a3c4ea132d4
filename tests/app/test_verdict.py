"""What a run's idea did to the score: paired folds, the interval, the baseline that is found for it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy import stats

from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, FoldScore, Job, Run
from app.scores.baselines import best_and_baseline, runs_on_folds
from app.scores.verdict import compare, verdict_text, verdicts

pytestmark = pytest.mark.unit

BASE = {0: 0.80, 1: 0.82, 2: 0.81, 3: 0.79, 4: 0.83}


def moved(*by: float) -> dict[int, float]:
    return {fold: BASE[fold] + change for fold, change in enumerate(by)}


def test_a_gain_on_every_fold_beyond_their_scatter_helped() -> None:
    verdict = compare(moved(0.020, 0.022, 0.019, 0.021, 0.020), BASE, "max", "h_001-r01")
    assert verdict is not None
    assert (verdict.word, verdict.folds) == ("helped", 5)
    assert verdict.gain == pytest.approx(0.0204)
    # s² = 1.3e-6; t(4) = 2.776; sqrt(1.3e-6 · (1/5 + 1/4)) = 7.649e-4
    assert verdict.margin == pytest.approx(0.002123, abs=1e-6)
    assert verdict_text(verdict) == "helped (+0.020 ± 0.002 against h_001-r01)"


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_the_interval_is_scipys_of_the_corrected_error(folds: int) -> None:
    draw = np.random.default_rng(folds)
    ours, theirs = draw.uniform(0.7, 0.9, folds), draw.uniform(0.7, 0.9, folds)
    verdict = compare(dict(enumerate(ours)), dict(enumerate(theirs)), "max", "x")
    assert verdict is not None
    apart = ours - theirs
    error = apart.std(ddof=1) * np.sqrt(1 / folds + 1 / (folds - 1))
    low, high = stats.t.interval(0.95, folds - 1, loc=apart.mean(), scale=error)
    assert (verdict.gain - verdict.margin, verdict.gain + verdict.margin) == pytest.approx((low, high), rel=1e-3)


def test_a_gain_that_one_fold_alone_carries_is_unclear() -> None:
    verdict = compare(moved(0.10, 0.0, 0.0, 0.0, 0.0), BASE, "max", "x")
    assert verdict is not None
    assert verdict.word == "unclear"


def test_where_less_is_better_a_smaller_score_is_a_gain() -> None:
    lower = moved(-0.020, -0.022, -0.019, -0.021, -0.020)
    assert [compare(lower, BASE, direction, "x").word for direction in ("max", "min")] == ["hurt", "helped"]  # type: ignore[union-attr,arg-type]


def test_one_fold_tells_nothing_about_chance() -> None:
    verdict = compare({0: 0.9}, BASE, "max", "x")
    assert verdict is not None
    assert (verdict.word, verdict.margin, verdict.folds) == ("unclear", None, 1)
    assert "one fold only" in verdict_text(verdict)


def test_equal_scores_are_unclear() -> None:
    verdict = compare(BASE, BASE, "max", "x")
    assert verdict is not None
    assert (verdict.word, verdict.gain, verdict.margin) == ("unclear", 0, 0)


def test_a_difference_of_rounding_alone_is_unclear() -> None:
    verdict = compare({fold: score + 1e-12 for fold, score in BASE.items()}, BASE, "max", "x")
    assert verdict is not None
    assert verdict.word == "unclear"


def test_without_a_common_fold_there_is_no_verdict() -> None:
    assert compare({7: 0.9}, BASE, "max", "x") is None


def a_run(
    journal: Journal, challenge: Challenge, number: int, scores: dict[int, float], folds: str = "f", data: str = "d"
) -> None:
    with journal.writing() as db:
        db.add(
            Experiment(
                id=number,
                challenge_id=challenge.id,
                key=f"h_{number:03}",
                hypothesis="x",
                origin="system",
                created_at=0,
            )
        )
        db.flush()
        db.add(
            Run(
                id=number, challenge_id=challenge.id, experiment_id=number, key=f"h_{number:03}-r01", local_date=date(2026, 3, 2),
                spec="{}", spec_source="p", origin="system", created_at=0, metric="map5", direction="max",
                cv=sum(scores.values()) / len(scores) if scores else None, data_sha256=data, folds_sha256=folds,
            )
        )  # fmt: skip
        db.flush()
        db.add(Job(run_id=number, state="succeeded", backend="local", origin="system", queued_at=0))
        for fold, score in scores.items():
            db.add(FoldScore(run_id=number, fold=fold, score=score, images=10))


def test_a_run_is_held_against_the_best_run_before_it_on_the_same_data_and_folds(
    journal: Journal, challenge: Challenge
) -> None:
    a_run(journal, challenge, 1, moved(0.01, 0.01, 0.01, 0.01, 0.01))
    a_run(journal, challenge, 2, BASE)
    a_run(journal, challenge, 3, moved(0.5, 0.5, 0.5, 0.5, 0.5), folds="other")
    a_run(journal, challenge, 4, moved(0.5, 0.5, 0.5, 0.5, 0.5), data="other")
    a_run(journal, challenge, 5, {})
    a_run(journal, challenge, 6, moved(0.03, 0.031, 0.03, 0.03, 0.031))
    a_run(journal, challenge, 7, moved(0.9, 0.9, 0.9, 0.9, 0.9))
    with journal.reading() as db:
        found = verdicts(db, challenge, [1, 2, 3, 4, 5, 6])
    assert {number: (each.word, each.against) for number, each in found.items()} == {
        2: ("hurt", "h_001-r01"),
        6: ("helped", "h_001-r01"),
    }


def test_a_blend_is_a_baseline_for_blends_alone(journal: Journal, challenge: Challenge) -> None:
    a_run(journal, challenge, 1, BASE)
    a_run(journal, challenge, 2, moved(0.05, 0.051, 0.05, 0.05, 0.051))
    a_run(journal, challenge, 3, moved(0.03, 0.031, 0.03, 0.03, 0.031))
    a_run(journal, challenge, 4, moved(0.06, 0.061, 0.06, 0.06, 0.061))
    with journal.writing() as db:
        for number in (2, 4):
            blend = db.get(Run, number)
            assert blend is not None
            blend.kind = "blend"
            db.add(blend)
    with journal.reading() as db:
        found = verdicts(db, challenge, [2, 3, 4])
        best = best_and_baseline(runs_on_folds(db, challenge), "map5")
    against = {2: "h_001-r01", 3: "h_001-r01", 4: "h_002-r01"}
    assert {number: each.against for number, each in found.items()} == against
    assert {run.run_id: before.key for run, before in best.values() if before is not None} == against
