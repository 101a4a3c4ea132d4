"""Curves of ours and of runs from elsewhere over each other, however their scripts spell a metric."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import charts
from app.jobs import wandb_folders
from app.journal.store import Journal
from app.journal.tables import Challenge, Curve
from app.scores import laid_over, wandb_runs
from app.scores.laid_over import Runs
from app.scores.metric_names import counterpart
from app.scores.run_curves import FoldCurve
from app.scores.run_rows import run_row
from tests.app.test_run_curves import floats
from tests.app.test_run_list import add
from tests.app.test_wandb_folders import START, offline_dir
from tests.app.wandb_files import row_record, run_record, write

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("metric", "names", "same"),
    [
        ("valid/map5", ["val_map5", "train_map5", "map5"], "val_map5"),
        ("valid/map5", ["valid/map5", "val_map5"], "valid/map5"),
        ("val_MAP@5", ["valid/map5", "train/loss"], "valid/map5"),
        ("train/loss", ["loss", "val_loss"], "loss"),
        ("valid/loss", ["loss", "val_loss"], "val_loss"),
        ("valid/loss", ["loss"], None),
        ("train_loss", ["valid/loss"], None),
        ("valid/accuracy", ["eval/acc"], "eval/acc"),
        ("val_acc", ["valid/accuracy"], "valid/accuracy"),
        ("validation_map5", ["valid/map5"], "valid/map5"),
        ("evaluation_acc", ["valid/accuracy"], "valid/accuracy"),
        ("lr", ["lr-AdamW/pg1"], None),
        ("valid/map5", [], None),
    ],
)
def test_a_metric_is_known_by_another_scripts_spelling(metric: str, names: list[str], same: str | None) -> None:
    assert counterpart(metric, names) == same


@pytest.fixture
def runs(journal: Journal, challenge: Challenge, tmp_path: Path) -> Runs:
    """One of ours of two epochs, and from elsewhere one that logged epochs and two of one name that logged steps alone."""
    key = add(journal, challenge, 1, (0.5, 0.6))
    with journal.writing() as db:
        for metric, points in {"valid/map5": (0.25, 0.5), "train/loss": (2, 1)}.items():
            db.add(Curve(run_id=1, fold=0, metric=metric, epochs=floats(1, 2), points=floats(*points)))
    for place, (run_id, epochs) in enumerate({"abc": True, "def": False, "ghi": False}.items()):
        rows = [
            row_record(step, START + step, step, val_map5=step / 4, loss=1.0, **({"epoch": step} if epochs else {}))
            for step in (1, 2)
        ]
        name = "with epochs" if epochs else "steps"
        path = offline_dir(tmp_path, run_id, f"20260302_19332{place}")
        write(path, [run_record(run_id, START + place, display_name=name), *rows])
    wandb_folders.look_through(journal, challenge, tmp_path)
    with journal.reading() as db:
        row = run_row(db, challenge, key)
        assert row is not None
        return Runs([row], wandb_runs.listed(db, challenge))


def test_what_two_scripts_call_by_other_names_is_one_metric(journal: Journal, runs: Runs) -> None:
    with journal.reading() as db:
        found = laid_over.logged(db, runs)
        assert laid_over.metrics_of(found) == ["train/loss", "valid/map5"]
        curves = laid_over.of_metric(db, runs, found, "valid/map5")
    assert next(iter(curves)) == "h_001-r01", "ours first"
    assert set(curves) == {"h_001-r01", "steps (def)", "steps (ghi)", "with epochs"}
    assert curves["h_001-r01"] == [FoldCurve(0, (1.0, 2.0), (0.25, 0.5))]
    (elsewhere,) = curves["with epochs"]
    assert (elsewhere.epochs, elsewhere.values, elsewhere.by_epoch) == ((1.0, 2.0), (0.25, 0.5), True)


def test_two_metrics_of_one_run_stay_two() -> None:
    mine, theirs = frozenset({"val_map5", "valid_map5"}), frozenset({"valid/map5"})
    assert laid_over.metrics_of({"mine": mine, "theirs": theirs}) == ["val_map5", "valid_map5"]
    assert laid_over.metrics_of({"theirs": theirs, "mine": mine}) == ["valid/map5"]


def test_where_no_epoch_was_logged_curves_are_over_steps_and_that_is_said(journal: Journal, runs: Runs) -> None:
    with journal.reading() as db:
        curves = laid_over.of_metric(db, runs, laid_over.logged(db, runs), "valid/map5")

    def over(*names: str) -> str:
        some = {name: curves[name] for name in names}
        figure = charts.overlay(some, "valid/map5", by_time=False, weight=0, as_band=False)
        return str(figure["layout"]["xaxis"]["title"]["text"])

    assert over("h_001-r01", "with epochs") == "epoch"
    assert over("steps (def)") == "step"
    assert over(*curves) == "epoch; step where no epoch was logged"
