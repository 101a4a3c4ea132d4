"""The metrics by name. Each is a mean over images, so that one image's score can be looked at alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.contract import METRIC_DIRECTIONS, OnehourError, nearest


def map5_of_image(truth: str, predicted: Sequence[str]) -> float:
    """1 / place of the first hit among the first five predictions, else 0.

    A short list is no penalty, a wrong label named twice uses two places, and a sixth place is worth nothing.
    """
    for place, label in enumerate(predicted[:5], start=1):
        if label == truth:
            return 1 / place
    return 0.0


IMAGE_SCORES: Mapping[str, Callable[[str, Sequence[str]], float]] = {"map5": map5_of_image}


def refuse_unknown_metric(metric: str) -> None:
    """Raise OnehourError with the nearest name for a metric that does not exist."""
    if metric not in METRIC_DIRECTIONS:
        raise OnehourError(f"there is no metric {metric!r}", fix=nearest(metric, METRIC_DIRECTIONS))


def image_scores(metric: str, truths: Sequence[str], predictions: Sequence[Sequence[str]]) -> list[float]:
    """The score of each image. Raises OnehourError for an unknown metric, ValueError for lengths that differ."""
    refuse_unknown_metric(metric)
    of_image = IMAGE_SCORES[metric]
    return [of_image(truth, predicted) for truth, predicted in zip(truths, predictions, strict=True)]


def score(metric: str, truths: Sequence[str], predictions: Sequence[Sequence[str]]) -> float:
    """The metric over all images. Raises OnehourError for an unknown metric, ValueError for no image at all."""
    scores = image_scores(metric, truths, predictions)
    if not scores:
        raise ValueError("a metric needs at least one image")
    return sum(scores) / len(scores)


def map5(truths: Sequence[str], predictions: Sequence[Sequence[str]]) -> float:
    """MAP@5 with one true label an image."""
    return score("map5", truths, predictions)
