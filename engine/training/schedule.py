"""Stages in order: where an epoch of the whole fold lies, the schedule of a stage, and gradients over several batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from fastai.callback.core import Callback, CancelBatchException
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.schedule import ParamScheduler, SchedNo, combined_cos

from engine.contract import RunSpec, Stage

PRETRAINED_BODY_LR = 0.2  # of the head's: pretrained layers should move less than new ones
MOMENTUM = 0.9  # where it does not cycle


class StageSpan(NamedTuple):
    """A stage, the epochs of the fold that it covers: first … first + stage.epochs (exclusive), its images' (h, w)."""

    stage: Stage
    first: int
    size: tuple[int, int]


def spans(spec: RunSpec) -> Iterator[StageSpan]:
    first = 0
    for stage, size in zip(spec.stages, spec.stage_sizes, strict=True):
        yield StageSpan(stage, first, size)
        first += stage.epochs


def peak_rates(stage: Stage, pretrained: bool) -> np.ndarray:
    """The highest learning rates of (body, head)."""
    body = stage.body_lr if stage.body_lr is not None else PRETRAINED_BODY_LR if pretrained else 1.0
    return np.array([stage.lr * body, stage.lr])


def schedule(stage: Stage, pretrained: bool) -> ParamScheduler:
    """The rates of body and head over the stage, and their momentum: always both, lest the stage before leave its own."""
    peak, steady = peak_rates(stage, pretrained), SchedNo(MOMENTUM, MOMENTUM)
    if stage.schedule == "constant":
        return ParamScheduler({"lr": SchedNo(peak, peak), "mom": steady})
    if stage.schedule == "flat_cos":
        return ParamScheduler({"lr": combined_cos(0.75, peak, peak, peak / 1e5), "mom": steady})
    return ParamScheduler(
        {"lr": combined_cos(0.25, peak / 25, peak, peak / 1e5), "mom": combined_cos(0.25, 0.95, 0.85, 0.95)}
    )


class Accumulate(Callback):
    """One step for the mean gradient of `batches` batches, and one at the end of an epoch for those that are left.

    fastai's GradientAccumulation carries what is left into the next epoch, where no checkpoint could hold it.
    """

    order, run_valid = MixedPrecision.order - 4, False

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def _here(self) -> int:
        """The batch of the epoch that is under way, from 0. After a restart the loader begins later, at its skipped one."""
        return self.dls.train.skipped + self.iter

    def after_loss(self) -> None:
        first = self._here() - self._here() % self.batches
        self.learn.loss_grad = self.loss_grad / min(self.batches, self.n_iter - first)

    def before_step(self) -> None:
        if not ends_step(self._here() + 1, self.batches, self.n_iter):
            raise CancelBatchException  # no step yet, and the gradient stays


def ends_step(done: int, accumulate: int, batches: int) -> bool:
    """Whether a step is made after `done` batches of an epoch that has `batches`."""
    return done % accumulate == 0 or done == batches
