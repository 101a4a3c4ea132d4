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
# What may stand before the name itself: where, how or over what it was measured.
WHERE = r"(?:oof|cv|valid|validation|val|eval|evaluation|dev|holdout|test|mean|best|final|score|scores|metric|metrics|fold|epoch|avg|\d)+"


def score_of(summary: Mapping[str, Any], metric: str) -> tuple[str, float] | None:
    """Its name in the summary and its value: for map5 `valid/map5`, `val_MAP@5` or `map5`. None where nothing goes by that name."""
    wanted = tuple(_plain(name) for name in (metric, *OTHER_NAMES.get(metric, ())))
    found = [
        (name, value)
        for name, value in numbers(summary)
        if isfinite(value) and _goes_by(name, wanted) and "train" not in name.lower()
    ]
    return min(found, key=lambda one: (_rank(one[0]), len(one[0]), one[0]), default=None)


def _goes_by(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether a name ends in one of `wanted`, and what stands before it says at most where it was measured."""
    plain = _plain(name)
    before = [plain.removesuffix(one) for one in wanted if plain.endswith(one)]
    return any(not rest or re.fullmatch(WHERE, rest) for rest in before)


def _rank(name: str) -> int:
    words = re.split(r"[^a-z]+", name.lower())
    return next((place for place, word in enumerate(HELD_OUT) if word in words), len(HELD_OUT))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
