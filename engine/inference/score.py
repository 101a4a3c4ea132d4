"""A file of predictions scored against a file of truths, the way a leaderboard does: public, private and all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from engine.contract import METRIC_DIRECTIONS, OnehourError
from engine.data.csv_table import read_csv_table
from engine.inference.answers import Answers, taken
from engine.inference.metric import Probabilities, in_order, metric_named, score
from engine.inference.submission import Predictions, Truth, read_predictions, read_truth, refuse_other_images


@dataclass(frozen=True)
class Scores:
    """`public` and `private` are None where the truth has no such split."""

    metric: str
    direction: Literal["max", "min"]
    public: float | None
    private: float | None
    all: float


def score_files(metric: str, truth_path: Path, predictions_path: Path) -> Scores:
    """Score the predictions CSV against the truth CSV; both must name the same images, in any order.

    Raises OnehourError for an unknown metric and for whatever is wrong with either file.
    """
    kind = metric_named(metric).answer
    truth = read_truth(truth_path)
    found = read_csv_table(predictions_path).columns
    columns: tuple[str, ...] = truth.columns
    if kind == "probabilities" and len(found) > 2:
        columns = (truth.columns[0], *in_order(list(truth.labels.values())))
        columns += tuple(name for name in found if name not in columns)  # labels that no image of the truth has
    else:
        _refuse_other_columns(truth, found, predictions_path)
    predictions = read_predictions(predictions_path, columns)
    refuse_other_images(predictions, truth.labels, truth_path)
    images = list(truth.labels)
    answers = _answers(kind, metric, predictions, truth, images)

    def over(part: str | None) -> float | None:
        rows = [row for row, one in enumerate(images) if part is None or (truth.usage or {}).get(one) == part]
        if not rows:
            return None
        return score(metric, [truth.labels[images[row]] for row in rows], taken(answers, np.array(rows)))

    whole = over(None)
    assert whole is not None
    return Scores(metric, METRIC_DIRECTIONS[metric], over("public"), over("private"), whole)


def _answers(kind: str, metric: str, predictions: Predictions, truth: Truth, images: list[str]) -> Answers:
    """The predictions of `images` as the metric takes them."""
    if kind == "labels":
        labels = predictions.labels
        return [labels[image] for image in images]
    values = np.array([_numbers(predictions, image) for image in images])
    if metric == "log_loss" and ((values < 0) | (values > 1)).any():
        raise OnehourError("a probability lies outside 0 to 1", str(predictions.path))
    if kind == "number":
        return values[:, 0]
    if len(predictions.columns) > 2:
        return Probabilities(predictions.columns[1:], values)
    classes = in_order(list(truth.labels.values()))
    if len(classes) > 2:
        raise OnehourError(
            f"it has one column of numbers and the truth has {len(classes)} labels",
            f"{predictions.path}, line 1",
            f"{metric} needs a column for each label, called like it.",
        )
    if len(classes) == 1:
        raise OnehourError(
            f"all images have the label {classes[0]!r}", str(truth.path), f"{metric} on one column needs two labels."
        )
    return Probabilities(classes, np.hstack([1 - values, values]))


def _numbers(predictions: Predictions, image: str) -> list[float]:
    try:
        numbers = [float(cell) for cell in predictions.cells[image]]
    except ValueError as error:
        raise OnehourError(f"{image!r} has no number ({error})", str(predictions.path)) from None
    if not all(map(math.isfinite, numbers)):
        raise OnehourError(f"{image!r} has a number that is not finite", str(predictions.path))
    return numbers


def _refuse_other_columns(truth: Truth, found: tuple[str, ...], predictions_path: Path) -> None:
    """Two columns under other names: nobody knows which file is wrong, so both are named."""
    if len(found) == 2 and set(found) != set(truth.columns):
        raise OnehourError(
            f"the truth has the columns {truth.columns[0]!r} and {truth.columns[1]!r},"
            f" the predictions have {found[0]!r} and {found[1]!r}",
            f"{truth.path}, line 1, and {predictions_path}, line 1",
            "Both need the same two.",
        )
