"""What an image is answered with: from its best labels and their scores to what the metric takes, and scored fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.contract import OnehourError
from engine.data.measured import as_numbers
from engine.inference.metric import METRICS, Lists, Probabilities, in_order, score
from engine.inference.quota import Quota, quota_of
from engine.inference.unknown import (
    Curve,
    carried_over,
    insert_unknown,
    nested_thresholds,
    row_weights,
    threshold_curve,
)

Answers = Lists | Probabilities | np.ndarray  # labels, probabilities, or numbers (N,)


@dataclass(frozen=True)
class Ranked:
    """The best labels of images and their scores, falling along a row: (N, k) each, filled up with "" and -inf."""

    labels: np.ndarray
    scores: np.ndarray

    def of(self, rows: np.ndarray) -> Ranked:
        return Ranked(self.labels[rows], self.scores[rows])

    def among(self, seen: np.ndarray) -> Ranked:
        """For all images, of which these are the ones that were `seen` (N,) bool: the others have no label."""
        labels = np.full((len(seen), self.labels.shape[1]), "", self.labels.dtype)
        scores = np.full(labels.shape, -np.inf, self.scores.dtype)
        labels[seen], scores[seen] = self.labels, self.scores
        return Ranked(labels, scores)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: which images have a label."""
        return self.labels[:, 0] != ""


@dataclass(frozen=True)
class Numbers:
    """What was predicted for images in the unit of the labels: (N,) float32, NaN for one that could not be seen."""

    values: np.ndarray

    def of(self, rows: np.ndarray) -> Numbers:
        return Numbers(self.values[rows])

    def among(self, seen: np.ndarray) -> Numbers:
        """As of Ranked: the others have no number."""
        values = np.full(len(seen), np.nan, np.float32)
        values[seen] = self.values
        return Numbers(values)

    @property
    def seen(self) -> np.ndarray:
        return np.isfinite(self.values)


Predicted = Ranked | Numbers


@dataclass(frozen=True)
class Answered:
    """`valid`, one answer a training image, none with a threshold that the image helped to choose, and `test`.

    `thresholds`: that of each fold, `chosen`: that of all OOF rows, `for_test`: the same carried over to the scores of the
    test images; empty and None without an unknown label. `first_share`: the share of the OOF rows for which unknown comes
    first at `chosen`. `curve`: pairs of threshold and score over all OOF rows.
    """

    valid: Answers
    test: Answers
    thresholds: Mapping[int, float] = field(default_factory=dict)
    chosen: float | None = None
    for_test: float | None = None
    first_share: float = 0.0
    curve: Sequence[tuple[float, float]] = ()
    quota: Quota | None = None


def answer(
    metric: str, labels: Sequence[str], folds: np.ndarray, valid: Predicted, test: Predicted, singles: np.ndarray,
    unknown_label: str | None, expected_share: float | None,
) -> Answered:  # fmt: skip
    """The answers to all images. `labels` (N,) and `folds` (N,) belong to `valid`.

    `singles` (F, M): the best score of each test image by the net of each fold, whose mean `test` is.
    """
    if isinstance(valid, Numbers) or isinstance(test, Numbers):
        assert isinstance(valid, Numbers)
        assert isinstance(test, Numbers)
        return Answered(to_grades(metric, valid.values, labels), to_grades(metric, test.values, labels))
    if METRICS[metric].answer != "labels":
        classes = in_order(labels)
        return Answered(
            as_asked(metric, spread(valid, classes), classes), as_asked(metric, spread(test, classes), classes)
        )
    k = METRICS[metric].places
    if unknown_label is None or unknown_label not in labels:
        return Answered(without_unknown(valid, k), without_unknown(test, k))
    by_fold, chosen = nested_thresholds(
        labels, folds.tolist(), valid.labels, valid.scores, unknown_label, expected_share, k
    )
    each = np.array([by_fold[fold].value for fold in folds.tolist()])
    for_test = carried_over(chosen.value, singles, test.scores[:, 0])
    curve = curve_of(labels, valid, unknown_label, expected_share, k)
    return Answered(
        insert_unknown(valid.labels, valid.scores, each, unknown_label, k),
        insert_unknown(test.labels, test.scores, for_test, unknown_label, k),
        {fold: threshold.value for fold, threshold in by_fold.items()},
        chosen.value,
        for_test,
        float((valid.scores[:, 0] < chosen.value).mean()),
        curve.points(),
        None if expected_share is None else quota_of(curve, chosen.value, expected_share, singles, test.scores[:, 0]),
    )


def curve_of(labels: Sequence[str], ranked: Ranked, unknown_label: str, expected_share: float | None, k: int) -> Curve:
    """The score over the threshold on all rows."""
    weights = row_weights(labels, unknown_label, expected_share)
    return threshold_curve(labels, ranked.labels, ranked.scores, unknown_label, weights, k)


def without_unknown(ranked: Ranked, k: int) -> list[tuple[str, ...]]:
    return [tuple(label for label in row[:k] if label) for row in ranked.labels.tolist()]


def refuse_folds_of_one_label(metric: str, labels: Sequence[str], folds: Sequence[int]) -> None:
    """Raise OnehourError, before anything is trained, where a fold's images could not be scored at the end."""
    found: dict[int, set[str]] = {}
    for label, fold in zip(labels, folds, strict=True):
        found.setdefault(fold, set()).add(label)
    alone = [fold for fold, kinds in sorted(found.items()) if len(kinds) == 1]
    if metric == "auc" and alone:
        raise OnehourError(
            f"all images of fold {alone[0]} have the label {min(found[alone[0]])!r}, and auc compares two",
            "folds",
            "Use fewer folds or another metric.",
        )


def as_asked(metric: str, values: np.ndarray, classes: tuple[str, ...]) -> Probabilities | np.ndarray:
    """Scores (N, C) of all `classes` as probabilities, or as a number: the likeliest for qwk, for rmse the expected one.

    The expected number of a net that is seldom sure lies near the middle: rounded, it would be the same label for all.
    """
    values = values / np.maximum(values.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    if METRICS[metric].answer == "probabilities":
        return Probabilities(classes, values)
    numbers = as_numbers(classes)
    return values @ numbers if metric == "rmse" else numbers[values.argmax(axis=1)]


def to_grades(metric: str, numbers: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Predicted `numbers` (N,) as the metric takes them: for qwk the nearest of the grades that `labels` hold."""
    if metric != "qwk":
        return numbers.astype(np.float64)
    grades = np.unique(as_numbers(labels))
    return grades[np.abs(numbers[:, None] - grades).argmin(axis=1)]


def spread(ranked: Ranked, classes: tuple[str, ...]) -> np.ndarray:
    """The scores (N, C) of all `classes`; 0 for one that is not among an image's best."""
    codes = {label: i for i, label in enumerate(classes)}
    column = np.array([[codes.get(label, -1) for label in row] for row in ranked.labels.tolist()])
    values = np.zeros((len(column), len(classes)))
    row, place = np.nonzero(column >= 0)
    values[row, column[row, place]] = ranked.scores[row, place]
    return values


def score_by_fold(metric: str, labels: Sequence[str], folds: np.ndarray, answers: Answers) -> tuple[float, list[float]]:
    """The metric over all images, and over those of each fold 0…F-1."""
    truths = np.asarray(labels, dtype=object)

    def over(rows: np.ndarray) -> float:
        return score(metric, truths[rows].tolist(), taken(answers, rows))

    return over(np.arange(len(truths))), [over(np.flatnonzero(folds == fold)) for fold in range(int(folds.max()) + 1)]


def taken(answers: Answers, rows: np.ndarray) -> Answers:
    """The answers to the images `rows`."""
    if isinstance(answers, Probabilities):
        return Probabilities(answers.classes, answers.values[rows])
    if isinstance(answers, np.ndarray):
        return answers[rows]
    return [answers[row] for row in rows.tolist()]


def unknown_first_share(answers: Answers, unknown_label: str | None) -> float:
    """The share of images to which unknown is the first answer; 0 where answers are no labels."""
    if isinstance(answers, Probabilities | np.ndarray) or not len(answers):
        return 0.0
    return sum(bool(one) and one[0] == unknown_label for one in answers) / len(answers)
