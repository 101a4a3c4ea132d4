"""The end of a run: from the predictions of all folds to OOF, threshold, CV, submission and result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract import METRIC_DIRECTIONS, FoldScore, RunResult, RunSpec
from engine.data.balance import left_out
from engine.data.competition import Competition
from engine.data.folds import Folds, counted_labels
from engine.inference.answers import Answered, Ranked, answer, quota_notes, score_by_fold, unknown_first_share
from engine.inference.metric import METRICS
from engine.inference.predict import KEPT, each_fold, fold_facts, mean_over_folds, out_of_fold
from engine.inference.submission import write_submission
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
    labels_asked = METRICS[spec.metric].answer == "labels"
    kept = KEPT if labels_asked else len(competition.known_labels)
    oof = out_of_fold(paths, len(folds.image), kept)
    test = mean_over_folds(paths, competition.known_labels, len(competition.test_images), kept)
    by_fold = each_fold(paths) if labels_asked else []
    save_test(folder.test_npz, competition.test_images, test, by_fold)

    unknown = competition.unknown_label
    counted = counted_labels(folds, unknown, left_out(folds.label, spec.minimum_images, unknown))
    save_oof(folder.oof_npz, folds, counted, oof)
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
        fold_scores=fold_scores(scores, fold_of, answered, [fact.train_s for fact in facts]),
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


def fold_scores(
    scores: Sequence[float], fold_of: np.ndarray, answered: Answered, train_s: Sequence[float]
) -> tuple[FoldScore, ...]:
    return tuple(
        FoldScore(
            fold=fold,
            score=score,
            images=int((fold_of == fold).sum()),
            threshold=answered.thresholds.get(fold),
            train_s=train_s[fold],
        )
        for fold, score in enumerate(scores)
    )


def write_threshold(
    folder: RunFolder, answered: Answered, unknown_label: str | None, expected_share: float | None
) -> None:
    """threshold.json. `oof` is chosen on all OOF rows, `test` the same carried over to the scores of the test images."""
    with_unknown = answered.for_test is not None
    write_json(
        folder.threshold_json,
        {
            "unknown_label": unknown_label,
            "expected_unknown_share": expected_share,
            "oof": answered.chosen,
            "test": answered.for_test,
            "folds": {str(fold): value for fold, value in answered.thresholds.items()},
            "unknown_first_share": unknown_first_share(answered.test, unknown_label) if with_unknown else None,
            "unknown_first_share_oof": unknown_first_share(answered.valid, unknown_label) if with_unknown else None,
            "curve": [list(point) for point in answered.curve],
        },
    )


def save_oof(path: Path, folds: Folds, scored_as: Sequence[str], oof: Ranked) -> None:
    """`scored_as` (N,): the label that counts as right in the CV, see folds.counted_labels."""
    _save(path, image=np.array(folds.image), label=np.array(folds.label), scored_as=np.array(scored_as),
          fold=np.array(folds.fold), top_labels=oof.labels, top_scores=oof.scores)  # fmt: skip


def save_test(path: Path, images: Sequence[str], test: Ranked, by_fold: Sequence[Ranked]) -> None:
    """`by_fold`: the best labels by the net of each fold, which a blend needs to carry its threshold over."""
    arrays: dict[str, np.ndarray] = {}
    for fold, ranked in enumerate(by_fold):
        arrays |= {f"fold{fold}_labels": ranked.labels, f"fold{fold}_scores": ranked.scores}
    _save(path, image=np.array(images), top_labels=test.labels, top_scores=test.scores, **arrays)


def _save(path: Path, **arrays: Any) -> None:
    with atomic_file(path) as file:
        np.savez_compressed(file, **arrays)
