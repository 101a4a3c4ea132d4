"""MixUp and CutMix: fastai's callbacks, with draws that depend on nothing but the place in the run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from fastai.callback.core import Callback
from fastai.callback.mixup import CutMix, MixHandler, MixUp

from engine.contract import RunSpec
from engine.data.augment import draw_seed


def mixing(spec: RunSpec, fold: int, step: Callable[[], int]) -> list[Callback]:
    """The callback that mixes training images, or none. `step()`: batches trained in this fold before the present one.

    A batch is mixed by (seed, fold, step) alone, so that a run that was resumed within an epoch mixes as before.
    """
    if spec.mixup:
        return [RepeatableMixUp(spec.mixup, (spec.seed, fold), step)]
    if spec.cutmix:
        return [RepeatableCutMix(spec.cutmix, (spec.seed, fold), step)]
    return []


class _Repeatable(MixHandler):
    stack_y = False  # asked by fastai after a fit that ended before its first batch

    def __init__(self, alpha: float, seed: tuple[int, int], step: Callable[[], int]) -> None:
        super().__init__(alpha)
        self.seed, self.step = seed, step

    def before_batch(self) -> None:
        # Images come as bytes, which have no weighted mean.
        self.learn.xb = (self.x.float(),)
        # All draws of fastai are from torch's CPU generator. It alone is set, and set back afterwards: dropout on a GPU
        # has a generator of its own, which torch.manual_seed would set back each batch.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw_seed(*self.seed, "mix", self.step()))
            super().before_batch()


class RepeatableMixUp(_Repeatable, MixUp):
    """Each image blended with another one of its batch, each with a share of its own."""


class RepeatableCutMix(_Repeatable, CutMix):
    """A rectangle of each image filled from another one of its batch, the same rectangle for all of a batch."""
