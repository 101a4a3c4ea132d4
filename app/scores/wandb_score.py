"""Which number of a run's summary is its score: what goes by the name of the challenge's metric, however its script spells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from app.scores.wandb_points import numbers

OTHER_NAMES = {
    "accuracy": ("acc",),
    "macro_f1": ("f1", "f1score", "f1macro"),
    "log_loss": ("logloss",),
    "auc": ("rocauc",),
}
# Where several fit: measured on images that were held out, before what was measured elsewhere.
HELD_OUT = ("oof", "cv", "valid", "val", "eval", "dev")


def score_of(summary: Mapping[str, Any], metric: str) -> tuple[str, float] | None:
    """Its name in the summary and its value: for map5 `valid/map5`, `val_MAP@5` or `map5`. None where nothing goes by that name."""
    wanted = tuple(_plain(name) for name in (metric, *OTHER_NAMES.get(metric, ())))
    found = [
        (name, value)
        for name, value in numbers(summary)
        if isfinite(value) and _plain(name).endswith(wanted) and "train" not in name.lower()
    ]
    return min(found, key=lambda one: (_rank(one[0]), len(one[0]), one[0]), default=None)


def _rank(name: str) -> int:
    words = re.split(r"[^a-z]+", name.lower())
    return next((place for place, word in enumerate(HELD_OUT) if word in words), len(HELD_OUT))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
