"""Curves of several runs over each other: one query, gaps kept, folds as a band."""

from __future__ import annotations

from array import array
from math import isnan, nan

import pytest
from sqlalchemy import event

from app import charts
from app.journal.store import Journal
from app.journal.tables import Challenge, Curve, Experiment, Run
from app.scores import run_curves
from app.scores.run_curves import FoldCurve

pytestmark = pytest.mark.unit


def floats(*values: float) -> bytes:
    return array("f", values).tobytes()


@pytest.fixture
def runs(journal: Journal, challenge: Challenge) -> list[int]:
    """Three runs of two folds; the last has no times."""
    ids = []
    with journal.writing() as db:
        experiment = Experiment(challenge_id=challenge.id, key="h_001", hypothesis="a", origin="import", created_at=0)
        db.add(experiment)
        db.flush()
        for number in range(3):
            run = Run(
                challenge_id=challenge.id, experiment_id=experiment.id, key=f"r{number}", local_date=challenge.starts_on, spec="{}",
                spec_source="x", origin="import", created_at=0, metric="map5", direction="max",
            )  # fmt: skip
            db.add(run)
            db.flush()
            ids.append(run.id)
            for fold in (0, 1):
                curve = {"run_id": run.id, "fold": fold, "epochs": floats(1, 2, 3)}
                db.add(Curve(**curve, metric="valid/map5", points=floats(0.25 + fold / 4, 0.5, nan)))
                db.add(Curve(**curve, metric="train/loss", points=floats(3, 2, 1)))
                if number < 2:
                    db.add(Curve(**curve, metric=run_curves.ELAPSED, points=floats(0, 60, 120)))
    return ids


def test_the_curves_of_many_runs_are_read_at_once(journal: Journal, runs: list[int]) -> None:
    asked: list[str] = []
    event.listen(journal.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    with journal.reading() as db:
        assert run_curves.metrics_of(db, runs) == {key: {"train/loss", "valid/map5"} for key in runs}
        found = run_curves.of_runs(db, runs, "valid/map5")
    assert len([one for one in asked if "curve" in one]) == 2
    assert [len(found[run]) for run in runs] == [2, 2, 2]
    first = found[runs[0]][1]
    assert (first.fold, first.epochs, first.values[:2], first.elapsed_s) == (1, (1, 2, 3), (0.5, 0.5), (0, 60, 120))
    assert isnan(first.values[2])
    assert found[runs[2]][0].elapsed_s == ()


def test_smoothing_begins_at_the_first_value_and_leaves_gaps() -> None:
    assert run_curves.smoothed((1.0, 3.0), 0.0) == (1.0, 3.0)
    assert run_curves.smoothed((1.0, 3.0), 0.5) == pytest.approx((1.0, 7 / 3))  # (0.25 · 1 + 0.5 · 3) / 0.75
    gap = run_curves.smoothed((1.0, nan, 1.0), 0.9)
    assert (gap[0], gap[2]) == (1.0, pytest.approx(1.0))
    assert isnan(gap[1])


def test_a_band_is_the_reach_of_the_folds_that_are_there() -> None:
    found = run_curves.band([FoldCurve(0, (1, 2), (0.2, 0.4)), FoldCurve(1, (1, 2, 3), (0.4, nan, 0.5))])
    assert found.at == (1, 2, 3)
    assert (found.low, found.high) == ((0.2, 0.4, 0.5), (0.4, 0.4, 0.5))
    assert found.mean == pytest.approx((0.3, 0.4, 0.5))


def test_runs_are_laid_over_each_other_by_epoch_or_time_as_lines_or_bands(journal: Journal, runs: list[int]) -> None:
    with journal.reading() as db:
        found = run_curves.of_runs(db, runs, "valid/map5")
    named = {f"r{place}": found[run] for place, run in enumerate(runs)}
    lines = charts.overlay(named, "valid/map5", by_time=False, weight=0, as_band=False)["data"]
    assert [line["name"] for line in lines[:2]] == ["r0 fold 0", "r0 fold 1"]
    assert lines[0]["y"] == [0.25, 0.5, None]
    assert len({line["line"]["color"] for line in lines}) == 3
    bands = charts.overlay(named, "valid/map5", by_time=False, weight=0, as_band=True)["data"]
    assert [line["name"] for line in bands if "name" in line] == ["r0", "r1", "r2"]
    timed = charts.overlay(named, "valid/map5", by_time=True, weight=0, as_band=True)["data"]
    assert {line["legendgroup"] for line in timed} == {"r0", "r1"}, "nobody knows when the last one was where"
    assert timed[0]["x"] == [0, 1, 2]
