"""One fold: fastai's Learner around a timm backbone, stage after stage, with our own rows, checkpoints and stop."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
import torch
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.callback.fp16 import MixedPrecision
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import Adam

from engine.contract import OnehourError, RunSpec
from engine.data.augment import compose, draw_seed
from engine.data.images import EpochLoader, PlainImages, TrainingImages
from engine.model.backbone import build_backbone
from engine.model.head import Net, body_and_head, loss_of
from engine.run_folder import RunFolder
from engine.training.resume import Resume, save, seed_everything
from engine.training.schedule import one_cycle, spans
from engine.training.stop import Stop
from engine.training.tracking import FoldLog

log = logging.getLogger(__name__)
ROWS_EVERY = 10  # batches between two rows of kind "batch"


@dataclass(frozen=True)
class FoldData:
    """What one fold sees. `classes`: the labels in the order of the targets; rows point into `pixels`.

    `valid_targets` is -1 for an image whose label the fold did not train on; such images have no loss.
    """

    pixels: np.ndarray
    classes: tuple[str, ...]
    train_rows: np.ndarray
    train_targets: np.ndarray
    valid_rows: np.ndarray
    valid_targets: np.ndarray


@dataclass(frozen=True)
class TrainedFold:
    """`train_s`: seconds of training over all attempts; `wandb`: mode and address of its W&B run."""

    net: Net
    train_s: float
    wandb: tuple[str, str | None]


def device_name() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def build_net(spec: RunSpec, fold: int, classes: int) -> Net:
    """The net of a fold before training: the same for the same (seed, fold)."""
    seed_everything(spec.seed, fold, "weights")
    return Net(build_backbone(spec), classes * (2 if spec.mirrored_identities else 1), spec)


def train_fold(spec: RunSpec, folder: RunFolder, fold: int, data: FoldData, stop: Stop) -> TrainedFold:
    """Train `fold`, or go on from its checkpoint.

    Raises Stopped when it should end early; the checkpoint is then the last whole epoch.
    """
    net = build_net(spec, fold, len(data.classes)).to(device_name())
    loaders = _loaders(spec, fold, data)
    resume = Resume(folder.last_checkpoint(fold), spec.seed, fold, stop)
    if resume.done:
        log.info("fold %d goes on after epoch %d of %d", fold, resume.done, spec.epochs)
        net.load_state_dict(resume.loaded["model"])
    with FoldLog(spec, folder, fold) as rows:
        callbacks = [TrainEvalCallback(), resume, Rows(rows, resume, folder, spec.epochs)]
        if device_name() == "cuda":
            callbacks.append(MixedPrecision())  # on a CPU half precision is many times slower
        learner = Learner(
            loaders, net, loss_of(spec), opt_func=Adam, splitter=body_and_head, default_cbs=False, cbs=callbacks,
            train_bn=False, path=folder.path,
        )  # fmt: skip
        for span in spans(spec):
            if span.first + span.stage.epochs <= resume.done:
                continue
            learner.freeze_to(-1 if span.stage.freeze else 0)
            resume.enter(span)
            learner.fit(span.stage.epochs, cbs=one_cycle(span.stage, spec.weights != "none"))
        wandb = (rows.mirror.mode, rows.mirror.url)
    return TrainedFold(net, resume.train_s, wandb)


def _loaders(spec: RunSpec, fold: int, data: FoldData) -> DataLoaders:
    draws = len(data.train_rows)
    if draws < 2:
        raise OnehourError(f"fold {fold} has {draws} training images", fix="Use fewer folds or more images.")
    training = TrainingImages(
        data.pixels, data.train_rows, data.train_targets, len(data.classes), mirrored=spec.mirrored_identities,
        augment=compose(spec.augment, spec.image_size), seed=draw_seed(spec.seed, fold),
    )  # fmt: skip
    weights = None
    if spec.sampler == "balanced":
        weights = np.bincount(training.targets)[training.targets] ** -0.5
    answerable = data.valid_targets >= 0
    validation = PlainImages(data.pixels, data.valid_rows[answerable], data.valid_targets[answerable])
    workers = {"num_workers": spec.loader_workers, "pin_memory": device_name() == "cuda"}
    return DataLoaders(
        EpochLoader(training, weights, draws, training.seed, bs=min(spec.batch_size, draws), **workers),
        DataLoader(validation, bs=2 * spec.batch_size, **workers),
        device=torch.device(device_name()),
    )


class Rows(Callback):
    """Measures an epoch and writes its rows; keeps the weights that were best on the validation images.

    valid/loss and valid/map5 are over the fold's images of labels it was trained on; the unknown label takes part in
    the CV alone, where its threshold is chosen on other folds.
    """

    order = 70  # before Resume saves: a checkpoint without its row would leave a hole in the curves

    def __init__(self, rows: FoldLog, resume: Resume, folder: RunFolder, epochs: int) -> None:
        self.rows, self.resume, self.epochs = rows, resume, epochs
        self.best_file = folder.best_checkpoint(rows.fold)

    def before_epoch(self) -> None:
        self.losses: list[torch.Tensor] = []
        self.valid_losses: list[torch.Tensor] = []
        self.gains: list[torch.Tensor] = []
        self.images, self.train_s = 0, 0.0

    def before_train(self) -> None:
        self.started = time.monotonic()

    def after_batch(self) -> None:
        images, targets = self.xb[0], self.yb[0]
        if not self.training:
            self.valid_losses.append(self.loss.detach() * len(images))
            self.gains.append(reciprocal_ranks(self.pred.detach(), targets))
            return
        self.losses.append(self.loss.detach())
        self.images += len(images)
        if len(self.losses) % ROWS_EVERY == 0:
            epoch = self.resume.done + len(self.losses) / self.n_iter
            loss = float(torch.stack(self.losses[-ROWS_EVERY:]).mean())
            self._write("batch", round(epoch, 4), self.resume.step + 1, {"train/loss": loss})

    def after_train(self) -> None:
        self.train_s = time.monotonic() - self.started

    def after_epoch(self) -> None:
        if not self.losses:
            return  # skipped: it was done before the restart
        values = {"train/loss": float(torch.stack(self.losses).mean())}
        if self.gains:
            gains = torch.cat(self.gains)
            values["valid/loss"] = float(torch.stack(self.valid_losses).sum()) / len(gains)
            values["valid/map5"] = float(gains.mean())
        values["images/s"] = self.images / max(self.train_s, 1e-9)
        epoch = self.resume.done + 1
        self._write("epoch", epoch, self.resume.step, values)
        log.info(
            "fold %d epoch %d/%d: %s", self.rows.fold, epoch, self.epochs,
            ", ".join(f"{name} {value:.4g}" for name, value in values.items()),
        )  # fmt: skip
        if values.get("valid/map5", -1.0) > self.resume.best:
            self.resume.best = values["valid/map5"]
            save(self.best_file, {"model": self.learn.model.state_dict(), "done": epoch})

    def _write(self, kind: str, epoch: float, step: int, values: dict[str, float]) -> None:
        if not all(np.isfinite(value) for value in values.values()):
            raise OnehourError(
                f"the loss is no longer a number in epoch {epoch:.2f}", f"fold {self.rows.fold}", "Lower stages.lr."
            )
        self.rows.write(kind, epoch, step, **values, lr=float(self.opt.hypers[-1]["lr"]))


def reciprocal_ranks(logits: torch.Tensor, targets: torch.Tensor, k: int = 5) -> torch.Tensor:
    """1 / rank of the target among the top `k` logits of each row, else 0: (b,)."""
    top = logits.topk(min(k, logits.shape[1]), dim=1).indices
    hit = (top == targets[:, None]).float()
    return (hit / torch.arange(1, hit.shape[1] + 1, device=hit.device)).sum(1)
