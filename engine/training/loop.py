"""One fold: fastai's Learner around a timm backbone, stage after stage, with our own rows, checkpoints and stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import Adam
from torch import nn

from engine.contract import OnehourError, RunSpec
from engine.data.augment import compose, draw_seed
from engine.data.balance import draws_of
from engine.data.cache import Pixels
from engine.data.csv_table import counted
from engine.data.images import EpochLoader, PlainImages, TrainingImages
from engine.model.backbone import build_backbone
from engine.model.head import Net, Number, body_and_head
from engine.run_folder import RunFolder
from engine.training.averaging import Averaging
from engine.training.crew import ALONE, Crew, Together
from engine.training.fold import FoldData
from engine.training.losses import NumberLoss, loss_of
from engine.training.mixing import mixing
from engine.training.resume import Resume, Rewind, seed_everything
from engine.training.rows import Rows
from engine.training.schedule import Accumulate, schedule, spans
from engine.training.stop import Stop
from engine.training.tracking import FoldLog

log = logging.getLogger(__name__)
PixelsAt = Callable[[tuple[int, int]], Pixels]  # (height, width) → all images of the competition at that size


@dataclass(frozen=True)
class TrainedFold:
    """`net` has the weights that predict; `train_s`: seconds of training over all attempts; `step`: batches; `trained` has the
    weights of the last step.
    """

    net: Net
    train_s: float
    step: int
    trained: Net


def device_name() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def build_net(spec: RunSpec, fold: int, outputs: int) -> Net:
    """The net of a fold before training: the same for the same (seed, fold)."""
    seed_everything(spec.seed, fold, "weights")
    return Net(build_backbone(spec), outputs * (2 if spec.mirrored_identities else 1), spec)


def train_fold(
    spec: RunSpec, folder: RunFolder, data: FoldData, pixels_at: PixelsAt, rows: FoldLog, stop: Stop, crew: Crew = ALONE
) -> TrainedFold:
    """Train the fold of `rows`, or go on from its checkpoint. `pixels_at` is asked for the images of each stage.

    `crew`: the processes that train along (see engine.training.crew). Raises Stopped when it should end early; a checkpoint
    then holds all but the batches of an unfinished step.
    """
    return _through_stages(spec, folder, rows.fold, data, pixels_at, stop, crew, rows)


def follow_fold(
    spec: RunSpec, folder: RunFolder, fold: int, data: FoldData, pixels_at: PixelsAt, crew: Crew
) -> Net:  # fmt: skip
    """Train along with the process that leads the crew, from the same checkpoint, and write nothing. → the net in training."""
    never = Stop(None, time.monotonic())
    return _through_stages(spec, folder, fold, data, pixels_at, never, crew, None).trained


def _through_stages(
    spec: RunSpec, folder: RunFolder, fold: int, data: FoldData, pixels_at: PixelsAt, stop: Stop, crew: Crew,
    rows: FoldLog | None,
) -> TrainedFold:  # fmt: skip
    net = build_net(spec, fold, data.outputs).to(device_name())
    if isinstance(net.head, Number):
        net.head.measure(data.train_targets)
    resume = Resume(
        folder.last_checkpoint(fold), spec.seed, fold, stop,
        every_s=spec.checkpoint_every_s, accumulate=spec.accumulate, keeps=crew.leads,
    )  # fmt: skip
    if resume.loaded:
        log.info("fold %d goes on after %s of %d", fold, resume.place(), spec.epochs)
        net.load_state_dict(resume.loaded["model"])
    averaging = Averaging(spec, net)
    if resume.loaded.get("averaging"):  # a finished fold's checkpoint holds the weights that predict alone
        averaging.restore(resume.loaded["averaging"])
    callbacks: list[Callback] = [averaging, resume]
    if crew.ranks > 1:
        callbacks.append(Together(crew))
    if rows is not None:
        measured = Rows(rows, resume, averaging, folder, data, spec, crew.ranks)
        resume.carried = {"model": measured.weights, "averaging": averaging.state, "rows": measured.state}
        callbacks.append(measured)
    learner: Learner | None = None
    for span in spans(spec):
        if span.first + span.stage.epochs <= resume.done:
            continue
        loaders = stage_loaders(spec, fold, data, pixels_at(span.size), span.size, crew)
        if learner is None:
            mixed = mixing(spec, fold, lambda: resume.step)
            learner = build_learner(spec, net, loaders, data, [Rewind(), *callbacks, *mixed])
        learner.dls = loaders
        learner.freeze_to(-1 if span.stage.freeze else 0)
        resume.enter(span)
        learner.fit(span.stage.epochs, cbs=schedule(span.stage, spec.weights != "none"))
    return TrainedFold(averaging.chosen, resume.train_s, resume.step, net)


def build_learner(spec: RunSpec, net: Net, loaders: DataLoaders, data: FoldData, callbacks: list[Callback]) -> Learner:
    """fastai's Learner with the spec's loss and steps, on the device there is."""
    callbacks = [TrainEvalCallback(), *callbacks]
    if device_name() == "cuda":
        callbacks.append(MixedPrecision())  # on a CPU half precision is many times slower
    if spec.accumulate > 1:
        callbacks.append(Accumulate(spec.accumulate))
    if spec.clip_norm is not None:
        callbacks.append(GradientClip(spec.clip_norm))
    if isinstance(net.head, Number):
        loss: nn.Module = NumberLoss(spec.loss, float(net.head.sd))
    else:
        loss = loss_of(spec, np.bincount(data.train_targets[data.train_targets >= 0], minlength=len(data.classes)))
    return Learner(
        loaders, net, loss, opt_func=Adam, splitter=body_and_head, default_cbs=False, cbs=callbacks,
        train_bn=False,
    )  # fmt: skip


def stage_loaders(
    spec: RunSpec, fold: int, data: FoldData, pixels: Pixels, size: tuple[int, int], crew: Crew = ALONE
) -> DataLoaders:
    """The loaders of a stage: training images from `pixels` (of `size`), validation images as the fold has them.

    Of a training batch each process of a `crew` has its piece.
    """
    if len(data.train_rows) < 2:
        raise OnehourError(
            f"fold {fold} has {counted(len(data.train_rows), 'training image')}", fix="Use fewer folds or more images."
        )
    training = TrainingImages(
        pixels, data.train_rows, data.train_targets, len(data.classes), mirrored=spec.mirrored_identities,
        augment=compose(spec.augment, size, spec.grey == "random"), seed=draw_seed(spec.seed, fold),
    )  # fmt: skip
    draws = draws_of(spec, training.targets)
    validation = PlainImages(data.pixels, data.valid_rows[data.answerable], data.valid_targets[data.answerable])
    size_of_batch = min(spec.batch_size, draws.number) // crew.ranks * crew.ranks
    workers = {"num_workers": spec.loader_workers, "pin_memory": device_name() == "cuda"}
    return DataLoaders(
        EpochLoader(training, draws, training.seed, bs=size_of_batch, rank=crew.rank, ranks=crew.ranks, **workers),
        DataLoader(validation, bs=2 * spec.batch_size, **workers),
        device=torch.device(device_name()),
    )
