"""What is measured of a fold while it trains: losses, metrics, rates, time and memory; and a loss that is lost."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from fastai.callback.core import Callback

from engine.contract import OnehourError, RunSpec
from engine.data.csv_table import first_few
from engine.run_folder import RunFolder
from engine.training.averaging import Averaging
from engine.training.fold import FoldData
from engine.training.resume import Resume, save
from engine.training.tracking import FoldLog

log = logging.getLogger(__name__)
ROWS_EVERY = (
    10  # batches between two rows of kind "batch", and between two looks at the losses: a look waits for the GPU
)


class Rows(Callback):
    """Measures an epoch and writes its rows; keeps the weights that were best on the validation images.

    valid/loss and what `watched` names (valid/map5) are over the fold's images of labels it was trained on; the unknown
    label takes part in the CV alone, where its threshold is chosen on other folds. What `watched` names also chooses
    best.pt: for log_loss, auc and macro_f1 that is the accuracy, not the metric, and for qwk and rmse too unless numbers are
    predicted (head: number): then it is valid/rmse. time/data_s is the time the
    net waited for images, time/compute_s the rest of the epoch's training.
    """

    order = 70  # before Resume saves: a checkpoint without its row would leave a hole in the curves

    def __init__(
        self, rows: FoldLog, resume: Resume, averaging: Averaging, folder: RunFolder, data: FoldData, spec: RunSpec,
        ranks: int = 1,
    ) -> None:  # fmt: skip
        self.rows, self.resume, self.averaging, self.data, self.epochs = rows, resume, averaging, data, spec.epochs
        self.watched, self.ranks = watched(spec), ranks
        self.best_file = folder.best_checkpoint(rows.fold)

    def before_epoch(self) -> None:
        self.number = self.resume.done + 1
        self.losses: list[torch.Tensor] = []
        self.valid_losses: list[torch.Tensor] = []
        self.gains: list[torch.Tensor] = []
        self.images, self.looked, self.train_s, self.data_s = 0, 0, 0.0, 0.0
        if self.resume.inside and self.resume.span.first + self.epoch == self.resume.done:
            before = self.resume.loaded["rows"]
            self.losses = list(before["losses"].to(self.dls.device).unbind())
            self.images, self.train_s, self.data_s = before["images"], before["train_s"], before["data_s"]
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def before_train(self) -> None:
        self.started = self.waits_since = time.monotonic()
        self.train_s_before = self.train_s

    def before_batch(self) -> None:
        if self.training:
            self.data_s += time.monotonic() - self.waits_since

    def after_batch(self) -> None:
        images, targets = self.xb[0], self.yb[0]
        if not self.training:
            self.valid_losses.append(self.loss.detach() * len(images))
            self.gains.append(self.watched.of_images(self.pred.detach(), targets))
            return
        self.losses.append(self.loss.detach())
        self.images += self.ranks * len(images)
        if len(self.losses) % ROWS_EVERY == 0:
            self._refuse_lost_loss()
            loss = float(torch.stack(self.losses[-ROWS_EVERY:]).mean())
            epoch = self.resume.done + len(self.losses) / self.n_iter
            self._write("batch", round(epoch, 4), self.resume.step + 1, {"train/loss": loss})
        self.waits_since = time.monotonic()
        self.train_s = self.train_s_before + self.waits_since - self.started

    def after_train(self) -> None:
        if self.losses:
            self._refuse_lost_loss()
            self.train_s = self.train_s_before + time.monotonic() - self.started

    def after_epoch(self) -> None:
        if not self.losses:
            return  # skipped: it was done before the restart
        values = {"train/loss": float(torch.stack(self.losses).mean())}
        if self.gains:
            self._refuse_lost_validation()
            gains = torch.cat(self.gains)
            values["valid/loss"] = float(torch.stack(self.valid_losses).sum()) / len(gains)
            values[self.watched.name] = self.watched.of_all(gains)
        values["images/s"] = self.images / max(self.train_s, 1e-9)
        values["time/data_s"] = round(self.data_s, 4)
        values["time/compute_s"] = round(self.train_s - self.data_s, 4)
        if torch.cuda.is_available():
            values["gpu/peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        self._write("epoch", self.number, self.resume.step, values)
        log.info(
            "fold %d epoch %d/%d: %s", self.rows.fold, self.number, self.epochs,
            ", ".join(f"{name} {value:.4g}" for name, value in values.items()),
        )  # fmt: skip
        worth = self.watched.sign * values.get(self.watched.name, -math.inf * self.watched.sign)
        if worth > self.resume.best:
            self.resume.best = worth
            save(self.best_file, {"model": self.averaging.chosen.state_dict(), "done": self.number})

    def checkpoint(self) -> None:
        """Say that the epoch under way was saved."""
        self.rows.checkpoint(round(self.resume.done + self.resume.batch / len(self.dls.train), 4), self.resume.step)
        log.info("fold %d checkpoint in epoch %d after batch %d", self.rows.fold, self.number, self.resume.batch)

    def state(self) -> dict[str, Any]:
        """For the checkpoint: what was measured of the epoch under way."""
        losses = torch.stack(self.losses).cpu() if self.losses else torch.zeros(0)
        return {"losses": losses, "images": self.images, "train_s": self.train_s, "data_s": self.data_s}

    def weights(self) -> dict[str, torch.Tensor]:
        """For the checkpoint: the weights in training. Raises OnehourError when they, or the loss, are no longer numbers."""
        self._refuse_lost_loss()
        weights = self.averaging.net.state_dict()
        floats = [tensor for tensor in weights.values() if tensor.is_floating_point()]
        if not bool(torch.stack([tensor.isfinite().all() for tensor in floats]).all()):
            raise self._lost("the weights are no longer numbers after", len(self.losses) - 1)
        return weights

    def _write(self, kind: str, epoch: float, step: int, values: dict[str, float]) -> None:
        rates = {"lr": float(self.opt.hypers[-1]["lr"]), "lr/body": float(self.opt.hypers[0]["lr"])}
        self.rows.write(kind, epoch, step, **values, **rates)

    def _refuse_lost_loss(self) -> None:
        """Look at the losses since the last look. Raises OnehourError naming the first batch whose loss is no number."""
        batch = first_lost(self.losses[self.looked :])
        if batch is not None:
            raise self._lost("the loss is no longer a number in", self.looked + batch)
        self.looked = len(self.losses)

    def _refuse_lost_validation(self) -> None:
        batch = first_lost(self.valid_losses)
        if batch is not None:
            rows = self.data.valid_rows[self.data.answerable]
            size = self.dls.valid.bs
            raise self._lost("the loss is no longer a number in validation", batch, rows[batch * size :][:size])

    def _lost(self, what: str, batch: int, rows: np.ndarray | None = None) -> OnehourError:
        if rows is None:
            training = self.dls.train
            rows = training.dataset.rows[np.array(training.items_of(batch)) % len(training.dataset.rows)]
        return OnehourError(
            f"{what} batch {batch + 1} of epoch {self.number} ({first_few([self.data.names[row] for row in rows])})",
            f"fold {self.rows.fold}",
            "Lower stages.lr, or look at these images; the last good checkpoint is kept.",
        )


def first_lost(losses: list[torch.Tensor]) -> int | None:
    """The first of the losses (0-dimensional) that is NaN or infinite."""
    if not losses:
        return None
    lost = ~torch.isfinite(torch.stack(losses))
    return int(lost.nonzero()[0]) if bool(lost.any()) else None


class Watched(NamedTuple):
    """What is measured after each epoch: `of_images` gives a value an image (b,), `of_all` one for all of them (N,)."""

    name: str
    of_images: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    of_all: Callable[[torch.Tensor], float]
    sign: int = 1  # -1 where lower is better


def watched(spec: RunSpec) -> Watched:
    """The metric itself where it looks at places or numbers are predicted, else accuracy.

    The other metrics need all images at once, in probabilities or numbers; they are computed when the folds are done.
    """
    if spec.head == "number":
        return Watched("valid/rmse", squared_errors, lambda errors: float(errors.mean().sqrt()), -1)
    name = spec.metric if spec.metric.startswith("map") else "accuracy"
    places = int(name.removeprefix("map")) if name.startswith("map") else 1
    return Watched(f"valid/{name}", functools.partial(reciprocal_ranks, k=places), lambda gains: float(gains.mean()))


def squared_errors(predicted: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The square by which each number (b, 1) misses its target (b,)."""
    return (predicted[:, 0] - targets) ** 2


def reciprocal_ranks(logits: torch.Tensor, targets: torch.Tensor, k: int) -> torch.Tensor:
    """1 / rank of the target among the top `k` logits of each row, else 0: (b,)."""
    top = logits.topk(min(k, logits.shape[1]), dim=1).indices
    hit = (top == targets[:, None]).float()
    return (hit / torch.arange(1, hit.shape[1] + 1, device=hit.device)).sum(1)
