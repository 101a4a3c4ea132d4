"""The end of a run: from the predictions of all folds to OOF, threshold, CV, submission and result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from engine.contract import METRIC_DIRECTIONS, RunResult, RunSpec
from engine.data.balance import left_out
from engine.data.competition import Competition
from engine.data.folds import Folds, counted_labels
from engine.inference.answers import answer, quota_notes, score_by_fold
from engine.inference.metric import METRICS
from engine.inference.predict import each_fold, fold_facts, mean_over_folds, out_of_fold
from engine.inference.record import KEPT, OnTest, Oof, fold_scores, save_oof, save_test, write_threshold
from engine.inference.submission import write_submission
from engine.run_folder import RunFolder, file_sha256, write_json

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
    labels_asked = METRICS[spec.metric].answer == "labels"
    kept = KEPT if labels_asked else len(competition.known_labels)
    oof = out_of_fold(paths, len(folds.image), kept)
    test = mean_over_folds(paths, competition.known_labels, len(competition.test_images), kept)
    by_fold = each_fold(paths) if labels_asked else []
    save_test(folder.test_npz, OnTest(np.array(competition.test_images), test, by_fold))

    unknown = competition.unknown_label
    counted = counted_labels(folds, unknown, left_out(folds.label, spec.minimum_images, unknown))
    against_unknown = spec.unknown_in_training == "class" and unknown in folds.label
    images, labels = np.array(folds.image), np.array(folds.label)
    save_oof(folder.oof_npz, Oof(images, labels, np.array(counted), fold_of, oof, against_unknown))
    singles = np.array([fold.scores[:, 0] for fold in by_fold])
    answered = answer(spec.metric, counted, fold_of, oof, test, singles, unknown, spec.expected_unknown_share)
    cv, scores = score_by_fold(spec.metric, counted, fold_of, answered.valid)
    facts = list(fold_facts(paths))
    write_threshold(folder, answered, unknown, spec.expected_unknown_share)
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
            folder, competition.submission_header, competition.test_images, answered.test, METRICS[spec.metric].places
        ),
        data_sha256=data_sha256,
        folds_sha256=file_sha256(folder.folds_csv),
        train_s=train_s,
        gpu_s=train_s if device != "cpu" else 0.0,
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
