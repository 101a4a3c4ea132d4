"""Which weights are validated and predict: those of the last step, their moving average, or their mean over epochs."""

from __future__ import annotations

from typing import Any

from fastai.callback.core import Callback
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel

from engine.contract import RunSpec

EMA_DECAY = 0.999  # reached after some ten thousand steps; a short run forgets its beginning sooner


class Averaging(Callback):
    """Follows the weights of `net` (buffers too), and stands in for it while the validation images are looked at.

    `chosen` are the weights to validate and to predict with, `net` is what is trained.
    """

    order = -20  # before fastai puts the net that is validated into its mode

    def __init__(self, spec: RunSpec, net: nn.Module) -> None:
        self.net, self.kind, self.steps = net, spec.averaging, 0
        self.in_training: nn.Module | None = None
        self.last_stage = spec.epochs - spec.stages[-1].epochs  # its first epoch
        self.moving = (
            ModelEmaV3(net, decay=EMA_DECAY, use_warmup=True, warmup_power=3 / 4) if self.kind == "ema" else None
        )
        self.mean = AveragedModel(net, use_buffers=True) if self.kind == "swa" else None

    @property
    def chosen(self) -> nn.Module:
        if self.moving is not None:
            return self.moving.module
        if self.mean is not None and self.mean.n_averaged > 0:
            return self.mean.module
        return self.net

    def after_step(self) -> None:
        self.steps += 1
        if self.moving is not None:
            self.moving.update(self.net, step=self.steps)

    def before_validate(self) -> None:
        epochs = self.learn.resume.done + 1 - self.last_stage
        # A run that was stopped while it validated has this epoch in its mean already.
        if self.mean is not None and epochs > int(self.mean.n_averaged):
            self.mean.update_parameters(self.net)
        self.in_training, self.learn.model = self.learn.model, self.chosen

    def after_validate(self) -> None:
        if self.in_training is not None:
            self.learn.model, self.in_training = self.in_training, None

    def state(self) -> dict[str, Any]:
        """For the checkpoint: the averaged weights, and how much is in them."""
        if self.moving is not None:
            return {"weights": self.moving.module.state_dict(), "steps": self.steps}
        if self.mean is not None:
            return {"weights": self.mean.module.state_dict(), "epochs": int(self.mean.n_averaged)}
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        if self.moving is not None:
            self.moving.module.load_state_dict(state["weights"])
            self.steps = state["steps"]
        elif self.mean is not None:
            self.mean.module.load_state_dict(state["weights"])
            self.mean.n_averaged.fill_(state["epochs"])
