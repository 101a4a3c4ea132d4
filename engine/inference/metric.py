"""The metrics by name: what each takes as the answer to an image, and how it scores. Directions stand in the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.contract import METRIC_DIRECTIONS, OnehourError, nearest
from engine.data.measured import as_numbers

TINY = 1e-15  # the smallest probability that log_loss counts with
Lists = Sequence[Sequence[str]]  # predicted labels of each image, best first


@dataclass(frozen=True)
class Probabilities:
    """`values` (N, C): how likely each image has each of the `classes`, which are in the order of `in_order`."""

    classes: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True)
class Metric:
    """`answer` is what an image is answered with; `places` the labels of a list that count (0 where no list is asked)."""

    answer: Literal["labels", "probabilities", "number"]
    places: int = 0


METRICS: Mapping[str, Metric] = {
    "map1": Metric("labels", 1),
    "map3": Metric("labels", 3),
    "map5": Metric("labels", 5),
    "map10": Metric("labels", 10),
    "accuracy": Metric("labels", 1),
    "macro_f1": Metric("labels", 1),
    "log_loss": Metric("probabilities"),
    "auc": Metric("probabilities"),
    "qwk": Metric("number"),
    "rmse": Metric("number"),
}


def metric_named(metric: str) -> Metric:
    """Raises OnehourError with the nearest name for a metric that does not exist."""
    if metric not in METRICS:
        raise OnehourError(f"there is no metric {metric!r}", fix=nearest(metric, METRICS))
    return METRICS[metric]


def score(metric: str, truths: Sequence[str], answers: Lists | Probabilities | np.ndarray) -> float:
    """The metric over all images: `answers` are what `METRICS[metric].answer` says (numbers as an array (N,)).

    Raises OnehourError for an unknown metric and where the truths cannot be scored (auc over one label, rmse over
    words); ValueError for lengths that differ and for no image at all.
    """
    kind = metric_named(metric).answer
    count = len(answers.values) if isinstance(answers, Probabilities) else len(answers)
    if count != len(truths):
        raise ValueError(f"{len(truths)} truths, but {count} answers: one list is shorter than the other")
    if not count:
        raise ValueError("a metric needs at least one image")
    if isinstance(answers, Probabilities):
        assert kind == "probabilities"
        return (_log_loss if metric == "log_loss" else _auc)(truths, answers)
    if isinstance(answers, np.ndarray):
        assert kind == "number"
        return (_quadratic_kappa if metric == "qwk" else _rmse)(as_numbers(truths), answers.astype(np.float64))
    if metric == "macro_f1":
        return _macro_f1(truths, [answer[0] if answer else "" for answer in answers])
    return float(np.mean(image_scores(metric, truths, answers)))


def better(metric: str, one: float, other: float) -> bool:
    """Whether `one` is a better score than `other`."""
    return one > other if METRIC_DIRECTIONS[metric] == "max" else one < other


def image_scores(metric: str, truths: Sequence[str], predictions: Lists) -> list[float]:
    """The score of each image under a metric that is a mean over images: mapK and accuracy."""
    places = metric_named(metric).places
    return [_reciprocal_place(truth, one[:places]) for truth, one in zip(truths, predictions, strict=True)]


def in_order(labels: Sequence[str]) -> tuple[str, ...]:
    """The different labels, as numbers where all are, else as words: the last of two is the positive one."""
    different = sorted(set(labels))
    try:
        return tuple(sorted(different, key=float))
    except ValueError:
        return tuple(different)


def map5(truths: Sequence[str], predictions: Lists) -> float:
    """MAP@5 with one true label an image."""
    return score("map5", truths, predictions)


def _reciprocal_place(truth: str, predicted: Sequence[str]) -> float:
    """1 / place of the first hit, else 0. A short list is no penalty; a wrong label named twice uses two places."""
    return next((1 / place for place, label in enumerate(predicted, start=1) if label == truth), 0.0)


def _macro_f1(truths: Sequence[str], predicted: Sequence[str]) -> float:
    """The mean of each label's F1 over all labels that are true or predicted somewhere."""
    _, codes = np.unique([*truths, *predicted], return_inverse=True)
    true, answered = codes[: len(truths)], codes[len(truths) :]
    size = int(codes.max()) + 1
    hits = np.bincount(true[true == answered], minlength=size)
    return float(np.mean(2 * hits / (np.bincount(true, minlength=size) + np.bincount(answered, minlength=size))))


def _log_loss(truths: Sequence[str], answers: Probabilities) -> float:
    """The mean of -log p(truth), after each row is brought to the sum 1; no p counts as less than TINY."""
    values = np.clip(answers.values.astype(np.float64), 0, 1)
    chosen = values[np.arange(len(values)), _columns(truths, answers)] / np.maximum(values.sum(axis=1), TINY)
    return float(-np.log(np.clip(chosen, TINY, 1)).mean())


def _auc(truths: Sequence[str], answers: Probabilities) -> float:
    """The area under the ROC curve of each label against the rest; the mean over the labels that are there."""
    columns = _columns(truths, answers)
    areas = [_area(answers.values[:, column], columns == column) for column in np.unique(columns)]
    if len(areas) < 2:
        raise OnehourError(f"all images have the label {truths[0]!r}", fix="auc needs images of two labels or more.")
    return float(np.mean(areas))


def _area(values: np.ndarray, positive: np.ndarray) -> float:
    """The share of pairs (positive, other) in which the positive has the higher value; equal ones count half."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    here, rest = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - here * (here + 1) / 2) / (here * rest)) if rest else 1.0


def _quadratic_kappa(truths: np.ndarray, answers: np.ndarray) -> float:
    """1 - the mean squared difference, over that of all pairs of any truth with any answer."""
    by_chance = truths.var() + answers.var() + (truths.mean() - answers.mean()) ** 2
    return float(1 - ((truths - answers) ** 2).mean() / by_chance) if by_chance > 0 else 1.0


def _rmse(truths: np.ndarray, answers: np.ndarray) -> float:
    return float(np.sqrt(((truths - answers) ** 2).mean()))


def _columns(truths: Sequence[str], answers: Probabilities) -> np.ndarray:
    """The column of each truth. Raises OnehourError for a truth without one."""
    column = {label: i for i, label in enumerate(answers.classes)}
    missing = sorted(set(truths) - set(column))
    if missing:
        raise OnehourError(f"there is no probability for the label {missing[0]!r}", fix=nearest(missing[0], column))
    return np.array([column[truth] for truth in truths])
