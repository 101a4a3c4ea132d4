"""The end of a run: from the predictions of all folds to OOF, threshold, CV, submission and result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from engine.contract import METRIC_DIRECTIONS, OnehourError, RunResult, RunSpec
from engine.data.balance import left_out
from engine.data.competition import Competition
from engine.data.folds import Folds, counted_labels
from engine.inference.answers import Predicted, answer, score_by_fold
from engine.inference.fold_predictions import (
    each_fold,
    fold_facts,
    mean_number,
    mean_over_folds,
    numbers_out_of_fold,
    out_of_fold,
)
from engine.inference.metric import METRICS
from engine.inference.prior import to_all
from engine.inference.record import KEPT, OnTest, Oof, fold_scores, save_oof, save_test
from engine.inference.submission import write_submission
from engine.inference.threshold_report import quota_notes, write_threshold
from engine.run_folder import RunFolder, file_sha256, write_json

PACKAGES = ("torch", "fastai", "timm", "albumentations", "numpy", "wandb")


def write_outcome(
    spec: RunSpec, folder: RunFolder, competition: Competition, folds: Folds, *, test_seen: Sequence[bool],
    data_sha256: str, device: str, gpus: int, notes: Sequence[str], started_at: int, finished_at: int,
) -> RunResult:  # fmt: skip
    """Write oof.npz, test.npz, threshold.json, submission.csv and, last and by rename, result.json.

    `test_seen`: which test images could be decoded, and have predictions. No validation image is scored with a threshold
    that it helped to choose. Raises OnehourError when other test images can be decoded than when they were predicted.
    """
    paths = [folder.fold_predictions(fold) for fold in range(spec.folds)]
    fold_of, seen = np.array(folds.fold), np.array(test_seen)
    facts = list(fold_facts(paths))
    for path, fact in zip(paths, facts, strict=True):
        if fact.test_images != seen.sum():
            raise OnehourError(
                f"the data changed since this run began: the fold predicted {fact.test_images} test images, and"
                f" {seen.sum()} can be decoded now",
                str(path),
                "Put the data back, or start a new run.",
            )
    labels_asked = METRICS[spec.metric].answer == "labels"
    if spec.head == "number":
        oof: Predicted = numbers_out_of_fold(paths, len(folds.image))
        test: Predicted = mean_number(paths)
    else:
        kept = KEPT if labels_asked else len(competition.known_labels)
        oof = out_of_fold(paths, len(folds.image), kept)
        test = mean_over_folds(paths, competition.known_labels, int(seen.sum()), kept)
    by_fold = each_fold(paths) if labels_asked else []
    on_test = OnTest(np.array(competition.test_ids), test.among(seen), [one.among(seen) for one in by_fold])
    save_test(folder.test_npz, on_test)

    unknown = competition.unknown_label
    counted = counted_labels(folds, unknown, left_out(folds.label, spec.minimum_images, unknown))
    against_unknown = spec.unknown_in_training == "class" and unknown in folds.label
    images, labels = np.array(folds.image), np.array(folds.label)
    save_oof(folder.oof_npz, Oof(images, labels, np.array(counted), fold_of, oof, against_unknown))
    singles = np.array([fold.scores[:, 0] for fold in by_fold])
    answered = answer(spec.metric, counted, fold_of, oof, test, singles, unknown, spec.expected_unknown_share)
    cv, scores = score_by_fold(spec.metric, counted, fold_of, answered.valid)
    write_threshold(folder, answered, spec.metric, unknown, spec.expected_unknown_share)
    train_s = sum(fact.train_s for fact in facts)
    result = RunResult(
        run_id=folder.run_id,
        metric=spec.metric,
        direction=METRIC_DIRECTIONS[spec.metric],
        cv=cv,
        fold_scores=fold_scores(scores, fold_of, answered.thresholds, [fact.train_s for fact in facts]),
        threshold=answered.for_test,
        images=len(folds.image),
        classes=len({label for fact in facts for label in fact.classes}),
        unknown_images=sum(label == unknown for label in folds.label),
        test_images=len(competition.test_images),
        submission_sha256=write_submission(
            folder,
            competition.submission_header,
            competition.test_ids,
            to_all(answered.test, seen, spec.metric, folds.label, unknown),
            METRICS[spec.metric].places,
        ),
        data_sha256=data_sha256,
        folds_sha256=file_sha256(folder.folds_csv),
        train_s=train_s,
        gpu_s=gpus * train_s if device != "cpu" else 0.0,
        device=device,
        wandb_mode=facts[-1].wandb_mode,
        wandb_url=facts[-1].wandb_url or None,
        notes=(*notes, *quota_notes(answered, unknown, spec.expected_unknown_share)),
        started_at=started_at,
        finished_at=finished_at,
        versions={name: version(name) for name in PACKAGES},
    )
    write_json(folder.result_json, result.model_dump(mode="json"))
    return result
