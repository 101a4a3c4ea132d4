"""Checkpoints after each epoch, and the exact way back: a resumed fold ends with the same weights, bit for bit.

Nothing random is carried over: each epoch begins by seeding every generator from (seed, fold, epoch), so a checkpoint
is the weights, the optimizer's state and the number of epochs done. An epoch that was interrupted is done again.
"""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback, CancelEpochException

from engine.contract import OnehourError
from engine.data.augment import draw_seed
from engine.run_folder import atomic_file
from engine.training.schedule import StageSpan
from engine.training.stop import Stop


def save(path: Path, value: dict[str, Any]) -> None:
    with atomic_file(path) as file:
        torch.save(value, file)


def load(path: Path) -> dict[str, Any] | None:
    """The checkpoint, or None when there is none. Raises OnehourError when the file is damaged."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        raise OnehourError(
            "the checkpoint cannot be read", str(path), "Remove it: the fold then starts from its beginning."
        ) from None


def seed_everything(*parts: object) -> None:
    """Seed python, numpy and torch (CPU and CUDA) from `parts` alone."""
    seed = draw_seed(*parts)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def weights_sha256(net: torch.nn.Module) -> str:
    """SHA-256 over the names and bytes of all weights and buffers that are saved."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Resume(Callback):
    """Skips the epochs that are done, restores what the last one left, saves after each; stops in time.

    One object a fold; `enter` is told of each stage before its fit. After mixed precision (10), so that its scaler is
    there to be restored; `done` and `step` count epochs and batches of the whole fold.
    """

    order = 80

    def __init__(self, file: Path, seed: int, fold: int, stop: Stop) -> None:
        self.file, self.seed, self.fold, self.stop = file, seed, fold, stop
        self.loaded = {"done": 0, "step": 0, "train_s": 0.0, "best": -1.0} | (load(file) or {})
        self.done, self.step = self.loaded["done"], self.loaded["step"]
        self.train_s, self.best = self.loaded["train_s"], self.loaded["best"]

    def enter(self, span: StageSpan) -> None:
        self.span = span

    def before_fit(self) -> None:
        if not self.span.first < self.done:
            return  # the weights are there already, and a new stage begins with a fresh optimizer
        self.opt.load_state_dict({"state": self.loaded["optimizer"], "hypers": [dict(h) for h in self.opt.hypers]})
        for parameter, state in self.opt.state.items():
            state.update({k: v.to(parameter.device) for k, v in state.items() if isinstance(v, torch.Tensor)})
        if (scaler := getattr(self.learn, "scaler", None)) is not None and self.loaded["scaler"]:
            scaler.load_state_dict(self.loaded["scaler"])

    def before_epoch(self) -> None:
        if self.span.first + self.epoch < self.done:
            raise CancelEpochException
        self.stop.check(ahead_s=self.stop.longest_epoch_s)
        seed_everything(self.seed, self.fold, "epoch", self.done)
        self.dls.train.start(self.done)
        self.epoch_started = time.monotonic()

    def before_train(self) -> None:
        if self.span.stage.freeze:
            self.learn.model.body.eval()  # the running statistics of its norms stay as they are, too

    def after_batch(self) -> None:
        if self.training:
            self.step += 1
        self.stop.check()

    def after_epoch(self) -> None:
        if self.span.first + self.epoch < self.done:
            return
        epoch_s = time.monotonic() - self.epoch_started
        self.stop.longest_epoch_s = max(self.stop.longest_epoch_s, epoch_s)
        self.train_s += epoch_s
        self.done += 1
        scaler = getattr(self.learn, "scaler", None)
        save(
            self.file,
            {
                "done": self.done,
                "step": self.step,
                "train_s": self.train_s,
                "best": self.best,
                "model": self.learn.model.state_dict(),
                "optimizer": [dict(state) for state in self.opt.state_dict()["state"]],
                "scaler": scaler.state_dict() if scaler is not None else {},
            },
        )
