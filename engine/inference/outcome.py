"""The end of a run: from the predictions of all folds to OOF, threshold, CV, submission and result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract import METRIC_DIRECTIONS, FoldScore, RunResult, RunSpec
from engine.data.competition import Competition
from engine.data.folds import Folds
from engine.inference.metric import image_scores
from engine.inference.predict import fold_facts, mean_over_folds, out_of_fold
from engine.inference.submission import write_submission
from engine.inference.unknown import Threshold, insert_unknown, nested_thresholds
from engine.run_folder import RunFolder, atomic_file, file_sha256, write_json

PACKAGES = ("torch", "fastai", "timm", "albumentations", "numpy", "wandb")


def write_outcome(
    spec: RunSpec, folder: RunFolder, competition: Competition, folds: Folds, *, data_sha256: str, device: str,
    notes: Sequence[str], started_at: int, finished_at: int,
) -> RunResult:  # fmt: skip
    """Write oof.npz, test.npz, threshold.json, submission.csv and, last and by rename, result.json.

    No validation image is scored with a threshold that it helped to choose.
    """
    paths = [folder.fold_predictions(fold) for fold in range(spec.folds)]
    fold_of = np.array(folds.fold)
    top_labels, top_scores = out_of_fold(paths, len(folds.image))
    test_labels, test_scores = mean_over_folds(paths, competition.known_labels, len(competition.test_images))
    _save(folder.oof_npz, image=np.array(folds.image), label=np.array(folds.label), fold=fold_of,
          top_labels=top_labels, top_scores=top_scores)  # fmt: skip
    _save(folder.test_npz, image=np.array(competition.test_images), top_labels=test_labels, top_scores=test_scores)

    unknown = competition.unknown_label
    by_fold: dict[int, Threshold] = {}
    chosen: Threshold | None = None
    if unknown is not None and unknown in folds.label:
        by_fold, chosen = nested_thresholds(
            folds.label, folds.fold, top_labels, top_scores, unknown, spec.expected_unknown_share
        )
        each = np.array([by_fold[fold].value for fold in folds.fold])
        validated = insert_unknown(top_labels, top_scores, each, unknown)
        predicted = insert_unknown(test_labels, test_scores, chosen.value, unknown)
    else:
        validated, predicted = _known_only(top_labels), _known_only(test_labels)
    gains = np.array(image_scores(spec.metric, folds.label, validated))

    facts = list(fold_facts(paths))
    fold_scores = tuple(
        FoldScore(
            fold=fold,
            score=float(gains[fold_of == fold].mean()),
            images=int((fold_of == fold).sum()),
            threshold=by_fold[fold].value if fold in by_fold else None,
            train_s=fact.train_s,
        )
        for fold, fact in enumerate(facts)
    )
    write_json(
        folder.threshold_json,
        {
            "unknown_label": unknown,
            "expected_unknown_share": spec.expected_unknown_share,
            "test": chosen.value if chosen else None,
            "folds": {str(score.fold): score.threshold for score in fold_scores},
            "unknown_first_share": float(np.mean([row[0] == unknown for row in predicted])) if chosen else None,
        },
    )
    train_s = sum(fact.train_s for fact in facts)
    result = RunResult(
        run_id=folder.run_id,
        metric=spec.metric,
        direction=METRIC_DIRECTIONS[spec.metric],
        cv=float(gains.mean()),
        fold_scores=fold_scores,
        threshold=chosen.value if chosen else None,
        images=len(folds.image),
        classes=len({label for fact in facts for label in fact.classes}),
        unknown_images=sum(label == unknown for label in folds.label),
        test_images=len(competition.test_images),
        submission_sha256=write_submission(folder, competition, predicted),
        data_sha256=data_sha256,
        folds_sha256=file_sha256(folder.folds_csv),
        train_s=train_s,
        gpu_s=train_s if device != "cpu" else 0.0,
        device=device,
        wandb_mode=facts[-1].wandb_mode,
        wandb_url=facts[-1].wandb_url or None,
        notes=tuple(notes),
        started_at=started_at,
        finished_at=finished_at,
        versions={name: version(name) for name in PACKAGES},
    )
    write_json(folder.result_json, result.model_dump(mode="json"))
    return result


def _known_only(top_labels: np.ndarray, k: int = 5) -> list[tuple[str, ...]]:
    return [tuple(label for label in row[:k] if label) for row in top_labels.tolist()]


def _save(path: Path, **arrays: Any) -> None:
    with atomic_file(path) as file:
        np.savez_compressed(file, **arrays)
