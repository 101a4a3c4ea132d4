"""A finished run's folder, taken into the journal: whole, once, and only its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlmodel import Session, select

from app.jobs import orders
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Curve, FoldScore, Run, Submission
from app.scores import run_curves, runs
from app.scores.run_curves import FoldCurve
from engine.contract import OnehourError
from engine.run_folder import RunFolder
from tests.app.trainings import small_spec, write_epoch, write_result

pytestmark = pytest.mark.unit


@pytest.fixture
def run(journal: Journal, challenge: Challenge) -> Run:
    sessions.start(journal)
    orders.queue_run(journal, "cpu-transfer", small_spec(Path(challenge.data_dir)), "it works")
    with journal.reading() as db:
        return db.exec(select(Run)).one()


@pytest.fixture
def folder(journal: Journal, run: Run) -> RunFolder:
    made = RunFolder(journal.home.run_dir(run.key))
    made.path.mkdir(parents=True)
    for epoch in (1, 2, 1):  # a resumed fold repeats an epoch
        write_epoch(made, epoch)
    with made.metrics_jsonl.open("a") as file:
        file.write('{"kind": "batch", "fold": 0, "epoch": 0.5, "step": 5, "at": 1, "train/loss": 2.0}\n{"kind": "ep')
    write_result(made)
    return made


def rows(db: Session) -> list[int]:
    return [len(db.exec(select(table)).all()) for table in (FoldScore, Curve, Submission)]


def test_a_result_fills_the_run_its_folds_curves_and_submission(journal: Journal, run: Run, folder: RunFolder) -> None:
    result = runs.take_in(journal, run, folder)
    with journal.reading() as db:
        stored = db.get(Run, run.id)
        scores = db.exec(select(FoldScore.fold, FoldScore.score, FoldScore.images)).all()
        submission = db.exec(select(Submission)).one()
        curves = run_curves.of_runs(db, [run.id], "valid/map5")[run.id]
    assert stored is not None
    assert (stored.cv, stored.threshold, stored.images, stored.folds_sha256) == (0.625, 0.375, 80, "f")
    assert json.loads(stored.remarks or "") == ["two images are copies"]
    assert scores == [(0, 0.5, 40), (1, 0.75, 40)]
    assert curves == [
        FoldCurve(0, (1.0, 2.0), (0.25, 0.5)),
        FoldCurve(1, (1.0, 2.0), (0.375, 0.625)),
    ]
    assert (submission.sha256, submission.origin) == (result.submission_sha256, "system")
    assert runs.submission_path(journal.home, submission) == folder.submission_csv
    assert submission.path == f"runs/{run.key}/submission.csv"


def test_taking_it_in_again_changes_nothing(journal: Journal, run: Run, folder: RunFolder) -> None:
    runs.take_in(journal, run, folder)
    with journal.reading() as db:
        before = rows(db)
    runs.take_in(journal, run, folder)
    with journal.reading() as db:
        assert rows(db) == before == [2, 2, 1]


def test_a_changed_submission_is_not_listed_and_that_is_said(journal: Journal, run: Run, folder: RunFolder) -> None:
    folder.submission_csv.write_text("Image,Id\na.jpg,w_9\n")
    runs.take_in(journal, run, folder)
    with journal.reading() as db:
        stored = db.get(Run, run.id)
        assert rows(db) == [2, 2, 0]
    assert stored is not None
    assert "submission.csv is not the file that this run wrote" in (stored.remarks or "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "the run ended without a result"),
        ("{}", "the result cannot be read .Field required."),
        ("{", "the result cannot be read .Invalid JSON"),
    ],
)
def test_no_result_or_a_broken_one_is_refused_and_nothing_is_stored(
    journal: Journal, run: Run, folder: RunFolder, text: str | None, sentence: str
) -> None:
    folder.result_json.unlink()
    if text is not None:
        folder.result_json.write_text(text)
    with pytest.raises(OnehourError, match=sentence):
        runs.take_in(journal, run, folder)
    with journal.reading() as db:
        assert rows(db) == [0, 0, 0]


def test_the_result_of_another_run_is_refused(journal: Journal, run: Run, folder: RunFolder) -> None:
    text = folder.result_json.read_text().replace(run.key, "humpback_009-r01")
    folder.result_json.write_text(text)
    with pytest.raises(OnehourError, match="this is the result of 'humpback_009-r01', not of 'humpback_001-r01'"):
        runs.take_in(journal, run, folder)


def test_the_time_of_training_is_added_up_beside_the_curves(folder: RunFolder) -> None:
    rows = [
        {"kind": "epoch", "fold": 0, "epoch": epoch, "step": 10, "at": at, "valid/map5": 0.5, **took}
        for epoch, at, took in (
            (1, 0, {"time/data_s": 1.0, "time/compute_s": 9.0}),
            (2, 9_000_000, {"time/data_s": 2.0, "time/compute_s": 8.0}),  # it lay still for hours between them
            (2, 9_100_000, {"time/data_s": 1.5, "time/compute_s": 8.5}),  # and was trained once more
        )
    ]
    folder.metrics_jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {one.metric: (one.epochs, one.values) for one in runs.points(folder)}
    assert found[run_curves.ELAPSED] == ((1.0, 2.0), (10.0, 20.0))
