"""What a test image is answered with that cannot be decoded: what is best without having seen it.

A submission must answer every image, so a broken one is neither left out nor guessed at from a grey picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from engine.data.measured import as_numbers
from engine.inference.answers import Answers
from engine.inference.metric import METRICS, Probabilities, in_order


def to_all(
    answers: Answers, seen: np.ndarray, metric: str, labels: Sequence[str], unknown_label: str | None
) -> Answers:  # fmt: skip
    """The `answers` to the test images that are `seen` (M,) bool, and among them the same prior answer to all others.

    `labels`: those of the training images.
    """
    if seen.all():
        return answers
    if isinstance(answers, Probabilities):
        share = Counter(labels)
        values = np.tile([share[label] / len(labels) for label in answers.classes], (len(seen), 1))
        values[seen] = answers.values
        return Probabilities(answers.classes, values)
    if isinstance(answers, np.ndarray):
        numbers = np.full(len(seen), prior_number(metric, labels))
        numbers[seen] = answers
        return numbers
    known, prior = iter(answers), prior_labels(labels, unknown_label, METRICS[metric].places)
    return [next(known) if one else prior for one in seen.tolist()]


def prior_labels(labels: Sequence[str], unknown_label: str | None, k: int) -> tuple[str, ...]:
    """The unknown label where there is one, then the most frequent ones; of equally frequent ones the earlier name."""
    frequent = sorted(Counter(labels).items(), key=lambda one: (one[0] != unknown_label, -one[1], one[0]))
    return tuple(label for label, _ in frequent[:k])


def prior_number(metric: str, labels: Sequence[str]) -> float:
    """The mean, or for qwk the label nearest to it: grades are whole."""
    mean = float(as_numbers(labels).mean())
    grades = as_numbers(in_order(labels))
    return float(grades[np.abs(grades - mean).argmin()]) if metric == "qwk" else mean
