"""A file of predictions scored against a file of truths, the way a leaderboard does: public, private and all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.contract import METRIC_DIRECTIONS
from engine.inference.metric import refuse_unknown_metric, score
from engine.inference.submission import read_predictions, read_truth, refuse_other_images


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
    refuse_unknown_metric(metric)
    truth = read_truth(truth_path)
    predictions = read_predictions(predictions_path, truth.columns)
    refuse_other_images(predictions, truth.labels, truth_path)

    def over(images: list[str]) -> float:
        return score(metric, [truth.labels[one] for one in images], [predictions.labels[one] for one in images])

    split: dict[str, float | None] = {"public": None, "private": None}
    for part in split:
        images = [image for image, usage in (truth.usage or {}).items() if usage == part]
        split[part] = over(images) if images else None
    return Scores(metric, METRIC_DIRECTIONS[metric], split["public"], split["private"], over(list(truth.labels)))
