"""Which number of a run's summary is its score: what goes by the name of the challenge's metric, however its script spells it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from app.scores.metric_names import goes_by, is_of_training, likeliest, spellings
from app.scores.wandb_points import numbers


def score_of(summary: Mapping[str, Any], metric: str) -> tuple[str, float] | None:
    """Its name in the summary and its value: for map5 `valid/map5`, `val_MAP@5` or `map5`. None where nothing goes by that name."""
    wanted = spellings(metric)
    found = {
        name: value
        for name, value in numbers(summary)
        if isfinite(value) and goes_by(name, wanted) and not is_of_training(name)
    }
    name = likeliest(found)
    return None if name is None else (name, found[name])
