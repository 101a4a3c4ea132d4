"""The scores of the folds that are finished while others still train."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.contract import RunSpec
from engine.data.balance import left_out
from engine.data.competition import Competition
from engine.data.folds import Folds, counted_labels
from engine.inference.answers import Answers, Ranked, as_asked, spread, taken, to_grades, without_unknown
from engine.inference.fold_predictions import numbers_out_of_fold, out_of_fold
from engine.inference.metric import METRICS, in_order, score
from engine.inference.record import KEPT
from engine.inference.unknown import best_threshold, insert_unknown, nested_thresholds, row_weights
from engine.run_folder import RunFolder


def scores_so_far(spec: RunSpec, folder: RunFolder, competition: Competition, folds: Folds) -> dict[int, float]:
    """The score of each finished fold on its validation images, as the result would give it if there were no more folds.

    With one fold finished no other images are there to choose the threshold of the unknown label on: it is chosen on the fold
    itself, which flatters its score. Whoever stops a run for a low one errs towards letting it go on.
    """
    finished = [fold for fold in range(spec.folds) if folder.fold_predictions(fold).exists()]
    if not finished:
        return {}
    fold_of = np.array(folds.fold)
    rows = np.flatnonzero(np.isin(fold_of, finished))
    unknown = competition.unknown_label
    counted = counted_labels(folds, unknown, left_out(folds.label, spec.minimum_images, unknown))
    truths, of_row = np.array(counted, dtype=object)[rows], fold_of[rows]
    answers = _answers(spec, [folder.fold_predictions(fold) for fold in finished], counted, rows, of_row, unknown)
    found = {}
    for fold in finished:
        here = np.flatnonzero(of_row == fold)
        found[fold] = score(spec.metric, truths[here].tolist(), taken(answers, here))
    return found


def _answers(
    spec: RunSpec, paths: list[Path], counted: tuple[str, ...], rows: np.ndarray, of_row: np.ndarray, unknown: str | None
) -> Answers:  # fmt: skip
    """The answers to the images `rows`, whose folds are `of_row`; `counted` are the labels of all images."""
    if spec.head == "number":
        return to_grades(spec.metric, numbers_out_of_fold(paths, len(counted)).values[rows], counted)
    asked, classes = METRICS[spec.metric], in_order(counted)
    kept = KEPT if asked.answer == "labels" else len(classes)
    oof = out_of_fold(paths, len(counted), kept).of(rows)
    if asked.answer != "labels":
        return as_asked(spec.metric, spread(oof, classes), classes)
    if unknown is None or unknown not in counted:
        return without_unknown(oof, asked.places)
    truths = [counted[row] for row in rows.tolist()]
    thresholds = _thresholds(spec, truths, of_row, oof, unknown, asked.places)
    return insert_unknown(oof.labels, oof.scores, thresholds, unknown, asked.places)


def _thresholds(
    spec: RunSpec, truths: list[str], of_row: np.ndarray, oof: Ranked, unknown: str, places: int
) -> np.ndarray:
    """The threshold of each row: chosen on the other finished folds, with one alone on itself."""
    share = spec.expected_unknown_share
    if len(np.unique(of_row)) == 1:
        weights = row_weights(truths, unknown, share)
        return np.full(len(of_row), best_threshold(truths, oof.labels, oof.scores, unknown, weights, places).value)
    by_fold, _ = nested_thresholds(truths, of_row.tolist(), oof.labels, oof.scores, unknown, share, places)
    return np.array([by_fold[fold].value for fold in of_row.tolist()])
