"""A finished run's numbers, whoever computed them: what its row, its folds and its submission are filled with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract import FoldScore, OnehourError, RunResult
from engine.run_folder import RunFolder, file_sha256

COLUMNS = ("cv", "threshold", "images", "classes", "train_s", "device", "metric", "direction")
ORIGINS = ("data_sha256", "folds_sha256", "wandb_mode", "wandb_url", "started_at", "finished_at")


@dataclass(frozen=True)
class Finished:
    """`columns` of the run's row; `submission`: the file that is listed as the run's own, with its hash."""

    columns: Mapping[str, Any]
    fold_scores: tuple[FoldScore, ...] = ()
    submission: Path | None = None
    submission_sha256: str | None = None
    remarks: tuple[str, ...] = ()


def of_engine(result: RunResult, run_key: str, folder: RunFolder) -> Finished:
    """What the engine wrote. A submission that was changed since is not listed. Raises OnehourError for another run's result."""
    if result.run_id != run_key:
        raise OnehourError(
            f"this is the result of {result.run_id!r}, not of {run_key!r}", where=str(folder.result_json)
        )
    sha256 = file_sha256(folder.submission_csv) if folder.submission_csv.is_file() else None
    listed = sha256 == result.submission_sha256
    changed = "submission.csv is not the file that this run wrote, so it is not listed as its submission."
    return Finished(
        {name: getattr(result, name) for name in (*COLUMNS, *ORIGINS)},
        result.fold_scores,
        folder.submission_csv if listed else None,
        sha256 if listed else None,
        result.notes if listed else (*result.notes, changed),
    )
