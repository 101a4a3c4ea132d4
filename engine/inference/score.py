"""A file of predictions scored against a file of truths, the way a leaderboard does: public, private and all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.contract import METRIC_DIRECTIONS, OnehourError
from engine.data.csv_table import read_csv_table
from engine.inference.metric import refuse_unknown_metric, score
from engine.inference.submission import Truth, read_predictions, read_truth, refuse_other_images


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
    _refuse_other_columns(truth, predictions_path)
    predictions = read_predictions(predictions_path, truth.columns)
    refuse_other_images(predictions, truth.labels, truth_path)

    def over(images: list[str]) -> float:
        return score(metric, [truth.labels[one] for one in images], [predictions.labels[one] for one in images])

    split: dict[str, float | None] = {"public": None, "private": None}
    for part in split:
        images = [image for image, usage in (truth.usage or {}).items() if usage == part]
        split[part] = over(images) if images else None
    return Scores(metric, METRIC_DIRECTIONS[metric], split["public"], split["private"], over(list(truth.labels)))


def _refuse_other_columns(truth: Truth, predictions_path: Path) -> None:
    """Two columns under other names: nobody knows which file is wrong, so both are named."""
    found = read_csv_table(predictions_path).columns
    if len(found) == 2 and set(found) != set(truth.columns):
        raise OnehourError(
            f"the truth has the columns {truth.columns[0]!r} and {truth.columns[1]!r},"
            f" the predictions have {found[0]!r} and {found[1]!r}",
            f"{truth.path}, line 1, and {predictions_path}, line 1",
            "Both need the same two.",
        )
