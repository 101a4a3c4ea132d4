"""Stages in order: where an epoch of the whole fold lies, and the one-cycle schedule inside a stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from fastai.callback.schedule import ParamScheduler, combined_cos

from engine.contract import RunSpec, Stage

PRETRAINED_BODY_LR = 0.2  # of the head's: pretrained layers should move less than new ones


class StageSpan(NamedTuple):
    """A stage and the epochs of the fold that it covers: first … first + stage.epochs (exclusive)."""

    stage: Stage
    first: int


def spans(spec: RunSpec) -> Iterator[StageSpan]:
    first = 0
    for stage in spec.stages:
        yield StageSpan(stage, first)
        first += stage.epochs


def one_cycle(stage: Stage, pretrained: bool) -> ParamScheduler:
    """Up to `stage.lr` in the first quarter of the stage and down to almost nothing, for body and head."""
    peak = np.array([stage.lr * (PRETRAINED_BODY_LR if pretrained else 1.0), stage.lr])
    return ParamScheduler(
        {"lr": combined_cos(0.25, peak / 25, peak, peak / 1e5), "mom": combined_cos(0.25, 0.95, 0.85, 0.95)}
    )
