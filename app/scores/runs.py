"""What a finished run says of itself, taken from its folder into the journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from sqlmodel import Session, col, delete, select

from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Curve, FoldScore, Run, Submission
from app.scores import own_results, own_wandb
from app.scores.curve_blobs import epochs_blob, points_blob
from app.scores.finished import Finished, of_engine
from app.scores.run_curves import ELAPSED
from engine.contract import CommandSpec, OnehourError
from engine.run_folder import RunFolder


@dataclass(frozen=True)
class Points:
    """One metric of one fold: `values[i]` after `epochs[i]` epochs."""

    fold: int
    metric: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def take_in(journal: Journal, run: Run, folder: RunFolder) -> Finished:
    """Store CV, fold scores, curves and submission of a finished run; doing it again changes nothing.

    Raises OnehourError as `read_finished` does, and when the journal cannot be written.
    """
    finished = read_finished(run, folder)
    found = _measured(run, folder)
    with journal.writing() as db:
        row = db.get(Run, run.id)
        assert row is not None
        assert row.id is not None
        pushed = {"wandb_mode", "wandb_url"} if row.wandb_url is not None else set()  # since it finished
        for name, value in finished.columns.items():
            if name not in pushed:
                setattr(row, name, value)
        if row.data_sha256 is None and row.folds_sha256 is not None:
            row.data_sha256 = _data_of_folds(db, row)
        row.remarks = json.dumps(finished.remarks, ensure_ascii=False)
        db.add(row)
        db.exec(delete(FoldScore).where(col(FoldScore.run_id) == row.id))
        for one in finished.fold_scores:
            db.add(FoldScore(run_id=row.id, fold=one.fold, score=one.score, images=one.images))
        _keep_curves(db, row.id, found)
        if finished.submission is not None and finished.submission_sha256 is not None:
            _list_submission(db, journal, row, finished.submission, finished.submission_sha256)
    return finished


def take_in_curves(journal: Journal, run: Run, folder: RunFolder) -> None:
    """Store what a run without a result measured until it ended; doing it again changes nothing."""
    found = _measured(run, folder)
    with journal.writing() as db:
        _keep_curves(db, run.id, found)


def _measured(run: Run, folder: RunFolder) -> list[Points]:
    found = points(folder)
    if found or run.kind != "command":
        return found
    return [  # over W&B's steps
        Points(fold, metric, tuple(series.steps), tuple(series.values))
        for fold, one in enumerate(own_wandb.logged(folder))
        for metric, series in sorted(one.series.items())
    ]


def _keep_curves(db: Session, run_id: int, found: Sequence[Points]) -> None:
    db.exec(delete(Curve).where(col(Curve.run_id) == run_id))
    for one in found:
        epochs, values = epochs_blob(one.epochs), points_blob(one.values)
        db.add(Curve(run_id=run_id, fold=one.fold, metric=one.metric, epochs=epochs, points=values))


def read_finished(run: Run, folder: RunFolder) -> Finished:
    """What a finished run left. Raises OnehourError when there is no result, it cannot be read or belongs to another run."""
    if run.kind == "command":
        return own_results.read(CommandSpec.model_validate_json(run.spec), run.key, folder)
    result = folder.read_result()
    if result is None:
        raise OnehourError("the run ended without a result", where=str(folder.path))
    return of_engine(result, run.key, folder)


def _data_of_folds(db: Session, run: Run) -> str | None:
    """The data on which another run had the very same folds: they name every image with its label."""
    query = select(Run.data_sha256).where(
        Run.challenge_id == run.challenge_id, Run.folds_sha256 == run.folds_sha256, col(Run.data_sha256).is_not(None)
    )
    return db.exec(query.limit(1)).first()


def points(folder: RunFolder) -> list[Points]:
    """The epoch rows of metrics.jsonl as curves, and the time of training beside them where they tell what an epoch took.

    A resumed fold repeats epochs: the last row of an epoch counts.
    """
    series: dict[tuple[int, str], dict[float, float]] = {}
    for row in folder.epochs():
        for metric, value in row.values.items():
            series.setdefault((row.fold, metric), {})[row.epoch] = value
    for fold in {fold for fold, _ in series}:
        took = [series.get((fold, name), {}) for name in ("time/data_s", "time/compute_s")]
        epochs = sorted(took[0].keys() & took[1].keys())
        if epochs:
            elapsed = accumulate(sum(each[epoch] for each in took) for epoch in epochs)
            series[fold, ELAPSED] = dict(zip(epochs, elapsed, strict=True))
    return [
        Points(fold, metric, tuple(sorted(values)), tuple(values[epoch] for epoch in sorted(values)))
        for (fold, metric), values in sorted(series.items())
    ]


def submission_path(home: Home, submission: Submission) -> Path:
    return home.path / submission.path


def _list_submission(db: Session, journal: Journal, run: Run, path: Path, sha256: str) -> None:
    known = db.exec(select(Submission).where(Submission.run_id == run.id, Submission.sha256 == sha256)).first()
    if known is None:
        db.add(
            Submission(
                challenge_id=run.challenge_id,
                run_id=run.id,
                sha256=sha256,
                path=str(path.relative_to(journal.home.path)),
                origin="system",
                created_at=journal.now(),
            )
        )
