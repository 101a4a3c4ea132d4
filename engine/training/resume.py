"""Checkpoints, and the exact way back: a resumed fold ends with the same weights, bit for bit.

Each epoch begins by seeding every generator from (seed, fold, epoch), and all that is random in an image is a function
of (seed, epoch, item). So a checkpoint between two epochs is the weights, the optimizer's state and a count; one inside
an epoch also holds the generators' states and what has been measured so far, and the batches done are skipped unread.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback, CancelEpochException

from engine.contract import OnehourError
from engine.data.augment import draw_seed
from engine.run_folder import atomic_file
from engine.training.schedule import StageSpan, ends_step
from engine.training.stop import RESERVE_S, Stop, Stopped

log = logging.getLogger(__name__)


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


def generator_states() -> dict[str, Any]:
    """The states of python's, numpy's and torch's generators, as values that a checkpoint may hold."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_generators(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


class Resume(Callback):
    """Skips what is done, restores what was left, saves after each epoch and now and then inside one; stops in time.

    One object a fold; `enter` is told of each stage before its fit. After mixed precision (10), so that its scaler is
    there to be restored. `done` counts epochs of the fold, `batch` the batches of the epoch under way, `step` all batches.
    `carried` gives what other callbacks want in a checkpoint, by name; they find it again in `loaded`. It raises
    OnehourError when the present state is not worth keeping: the last good checkpoint then stays. Without `keeps` nothing is
    saved.
    """

    order = 80

    def __init__(
        self, file: Path, seed: int, fold: int, stop: Stop, *, every_s: float = 0.0, accumulate: int = 1,
        keeps: bool = True,
    ) -> None:  # fmt: skip
        self.file, self.seed, self.fold, self.stop = file, seed, fold, stop
        self.every_s, self.accumulate, self.keeps = every_s, accumulate, keeps
        self.loaded = load(file) or {}
        before = {"done": 0, "batch": 0, "step": 0, "train_s": 0.0, "best": -math.inf} | self.loaded
        self.done, self.batch, self.step = before["done"], before["batch"], before["step"]
        self.train_s, self.best = before["train_s"], before["best"]
        self.saved_step = self.step
        self.inside = self.batch > 0  # the epoch under way is one that was interrupted, and not restored yet
        self.carried: dict[str, Callable[[], Any]] = {}
        self.longest_wait_s = self.longest_save_s = 0.0

    def place(self) -> str:
        """Where the checkpoint stands, in words."""
        return f"batch {self.batch} of epoch {self.done + 1}" if self.batch else f"epoch {self.done}"

    def enter(self, span: StageSpan) -> None:
        self.span = span

    def before_fit(self) -> None:
        if (self.done, self.batch) <= (self.span.first, 0):
            return  # the weights are there already, and a new stage begins with a fresh optimizer
        self.opt.load_state_dict({"state": self.loaded["optimizer"], "hypers": [dict(h) for h in self.opt.hypers]})
        for parameter, state in self.opt.state.items():
            state.update({k: v.to(parameter.device) for k, v in state.items() if isinstance(v, torch.Tensor)})
        if (scaler := getattr(self.learn, "scaler", None)) is not None and self.loaded["scaler"]:
            scaler.load_state_dict(self.loaded["scaler"])

    def before_epoch(self) -> None:
        if self.span.first + self.epoch < self.done:
            raise CancelEpochException
        self.stop.check(ahead_s=self._reserve_s())
        seed_everything(self.seed, self.fold, "epoch", self.done)
        self.dls.train.start(self.done, self.batch)
        self.epoch_started = self.saved_at = self.looked_at = time.monotonic()

    def before_train(self) -> None:
        if self.span.stage.freeze:
            self.learn.averaging.net.body.eval()  # the running statistics of its norms stay as they are, too
        if self.inside:
            self.learn.train_iter, self.learn.pct_train = self.loaded["train_iter"], self.loaded["pct_train"]

    def restore_generators_once(self) -> None:
        if self.inside:
            self.inside = False
            restore_generators(self.loaded["generators"])

    def seed_step(self, rank: int) -> None:
        """Seed the generators from the step and the rank: a crew's other processes leave no states in a checkpoint."""
        seed_everything(self.seed, self.fold, "step", self.step, rank)

    def after_batch(self) -> None:
        now = time.monotonic()
        self.longest_wait_s, self.looked_at = max(self.longest_wait_s, now - self.looked_at), now
        if self.training:
            self.step += 1
            self.batch += 1
            if not ends_step(self.batch, self.accumulate, self.n_iter):
                return  # a gradient is under way that no checkpoint holds
            if self.every_s and now - self.saved_at >= self.every_s and self.batch < self.n_iter:
                self._save_inside()
        try:
            self.stop.check(ahead_s=self.accumulate * self.longest_wait_s + self._reserve_s())
        except Stopped:
            self._save_inside()
            raise

    def after_train(self) -> None:
        self.inside = False  # also where the interruption left nothing but the validation to do

    def after_epoch(self) -> None:
        if self.span.first + self.epoch < self.done:
            return
        self.train_s += time.monotonic() - self.epoch_started
        self.done, self.batch = self.done + 1, 0
        self._save(self.train_s)

    def _save_inside(self) -> None:
        if not self.keeps or self.step == self.saved_step:
            return
        self._save(
            self.train_s + time.monotonic() - self.epoch_started,
            train_iter=self.learn.train_iter, pct_train=self.learn.pct_train, generators=generator_states(),
        )  # fmt: skip
        self.learn.rows.checkpoint()

    def _save(self, train_s: float, **inside: Any) -> None:
        if not self.keeps:
            return
        started = time.monotonic()
        carried = {name: state() for name, state in self.carried.items()}
        scaler = getattr(self.learn, "scaler", None)
        save(
            self.file,
            {
                "done": self.done,
                "batch": self.batch,
                "step": self.step,
                "train_s": train_s,
                "best": self.best,
                "optimizer": [dict(state) for state in self.opt.state_dict()["state"]],
                "scaler": scaler.state_dict() if scaler is not None else {},
                **carried,
                **inside,
            },
        )
        self.saved_at, self.saved_step = time.monotonic(), self.step
        self.longest_save_s = max(self.longest_save_s, self.saved_at - started)

    def _reserve_s(self) -> float:
        return self.longest_save_s + RESERVE_S


class Rewind(Callback):
    """Gives the generators of an interrupted epoch their states back: before anything in a batch draws from them."""

    order, run_valid = -1000, False

    def before_batch(self) -> None:
        self.learn.resume.restore_generators_once()
