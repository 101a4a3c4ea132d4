"""What a finished run says of itself, taken from its folder into the journal."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, delete, select

from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Curve, FoldScore, Run, Submission
from engine.contract import OnehourError, RunResult
from engine.run_folder import RunFolder, file_sha256

NOT_METRICS = {"kind", "fold", "epoch", "step", "at"}


@dataclass(frozen=True)
class Points:
    """One metric of one fold: `values[i]` after `epochs[i]` epochs."""

    fold: int
    metric: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def take_in(journal: Journal, run: Run, folder: RunFolder) -> RunResult:
    """Store CV, fold scores, curves and submission of a finished run; doing it again changes nothing.

    Raises OnehourError as `read_result` does, and when the journal cannot be written.
    """
    result = read_result(run, folder)
    sha256 = file_sha256(folder.submission_csv) if folder.submission_csv.is_file() else None
    remarks = list(result.notes)
    if sha256 != result.submission_sha256:
        remarks.append("submission.csv is not the file that this run wrote, so it is not listed as its submission.")
    found = points(folder)
    with journal.writing() as db:
        row = db.get(Run, run.id)
        assert row is not None
        assert row.id is not None
        for name in ("cv", "threshold", "images", "classes", "train_s", "gpu_s", "device", "metric", "direction"):
            setattr(row, name, getattr(result, name))
        for name in ("data_sha256", "folds_sha256", "wandb_mode", "wandb_url", "started_at", "finished_at"):
            setattr(row, name, getattr(result, name))
        row.remarks = json.dumps(remarks, ensure_ascii=False)
        db.add(row)
        db.exec(delete(FoldScore).where(col(FoldScore.run_id) == row.id))
        db.exec(delete(Curve).where(col(Curve.run_id) == row.id))
        for one in result.fold_scores:
            db.add(FoldScore(run_id=row.id, fold=one.fold, score=one.score, images=one.images))
        for curve in found:
            db.add(
                Curve(
                    run_id=row.id,
                    fold=curve.fold,
                    metric=curve.metric,
                    epochs=array("f", curve.epochs).tobytes(),
                    points=array("f", curve.values).tobytes(),
                )
            )
        if sha256 == result.submission_sha256:
            _list_submission(db, journal, row, folder.submission_csv, sha256)
    return result


def read_result(run: Run, folder: RunFolder) -> RunResult:
    """The result of a finished run. Raises OnehourError when there is none, it cannot be read or belongs to another run."""
    result = folder.read_result()
    if result is None:
        raise OnehourError("the run ended without a result", where=str(folder.path))
    if result.run_id != run.key:
        raise OnehourError(
            f"this is the result of {result.run_id!r}, not of {run.key!r}", where=str(folder.result_json)
        )
    return result


def points(folder: RunFolder) -> list[Points]:
    """The epoch rows of metrics.jsonl as curves. A resumed fold repeats epochs: the last row of an epoch counts."""
    series: dict[tuple[int, str], dict[float, float]] = {}
    for row in folder.metrics():
        if row.get("kind") != "epoch":
            continue
        for metric, value in row.items():
            if metric not in NOT_METRICS and isinstance(value, int | float):
                series.setdefault((row["fold"], metric), {})[row["epoch"]] = value
    return [
        Points(fold, metric, tuple(sorted(values)), tuple(values[epoch] for epoch in sorted(values)))
        for (fold, metric), values in sorted(series.items())
    ]


def curves(db: Session, run_id: int) -> list[Points]:
    """The stored curves of a run, by fold and metric."""
    rows = db.exec(select(Curve).where(Curve.run_id == run_id).order_by(col(Curve.fold), col(Curve.metric))).all()
    return [Points(row.fold, row.metric, _floats(row.epochs), _floats(row.points)) for row in rows]


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


def _floats(blob: bytes) -> tuple[float, ...]:
    read = array("f")
    read.frombytes(blob)
    return tuple(read)
