"""The validation images that a finished fold got worst, for metrics.jsonl and W&B."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.training.fold import FoldData
from engine.training.tracking import Sample

SAMPLES = 5  # of each fold


def worst_images(predictions: Path, data: FoldData, count: int = SAMPLES) -> list[Sample]:
    """The validation images whose own label has the lowest score, among those whose label the fold was trained on.

    Where numbers are predicted: those that are farthest off.
    """
    if not data.classes:
        return _farthest_off(predictions, data, count)
    with np.load(predictions) as found:
        columns, scores = found["valid_top"], found["valid_scores"]
    own = np.where(columns == data.valid_targets[:, None], scores, 0).max(axis=1)
    asked = np.flatnonzero(data.valid_targets >= 0)
    worst = asked[np.argsort(own[asked], kind="stable")[:count]]
    return [
        Sample(
            data.names[data.valid_rows[row]],
            data.classes[data.valid_targets[row]],
            round(float(own[row]), 6),
            tuple(
                (data.classes[column], round(float(score), 6))
                for column, score in zip(columns[row][:3], scores[row][:3], strict=True)
            ),
        )
        for row in worst
    ]


def _farthest_off(predictions: Path, data: FoldData, count: int) -> list[Sample]:
    with np.load(predictions) as found:
        numbers = found["valid_numbers"]
    worst = np.argsort(-np.abs(numbers - data.valid_targets), kind="stable")[:count]
    return [
        Sample(data.names[data.valid_rows[row]], f"{data.valid_targets[row]:g}", round(float(numbers[row]), 6), ())
        for row in worst
    ]
