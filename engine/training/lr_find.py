"""Which learning rate to try: the first stage is trained for a hundred batches with a rate that grows, and the loss watched.

fastai's finder after Smith 2015, "Cyclical learning rates for training neural networks"; nothing of the training is kept.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

# Before torch is loaded, as for a run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import LRFinder, valley
from fastai.learner import Recorder
from matplotlib.figure import Figure

from engine.contract import OnehourError, RunSpec
from engine.model.head import Number
from engine.run_folder import atomic_file, write_json
from engine.training.fold import FoldData
from engine.training.loop import PixelsAt, build_learner, build_net, device_name, stage_loaders
from engine.training.prepare import Images, fold_data, prepare
from engine.training.resume import seed_everything
from engine.training.schedule import peak_rates, spans

log = logging.getLogger(__name__)
LEAST, MOST, BATCHES = 1e-7, 10.0, 100
FEWEST = 20  # points of the curve below which it says nothing


@dataclass(frozen=True)
class RateCurve:
    """`loss[i]`: the smoothed training loss at the head's rate `lr[i]`; `suggested`: where the longest fall is steep."""

    suggested: float
    lr: tuple[float, ...]
    loss: tuple[float, ...]


def lr_find(spec: RunSpec, out: Path, runs_dir: Path) -> RateCurve:
    """Measure the curve on the first fold and stage; write it as a plot to `out` (PNG) and as JSON beside it.

    `runs_dir`: where the data's checks are kept. Raises OnehourError for bad input, and when the loss is lost before there is a curve.
    """
    if out.suffix.lower() != ".png":
        raise OnehourError(
            f"the plot is a PNG, not {out.suffix or 'a file without an ending'}", "--out", "Example: lr.png"
        )
    prepared = prepare(spec, runs_dir)
    images = Images(spec, prepared)
    curve = measure(spec, fold_data(spec, prepared, 0, images), images.at)
    write_json(out.with_suffix(".json"), asdict(curve))
    with atomic_file(out) as file:
        _plot(curve).savefig(file, format="png", dpi=120)
    return curve


def measure(spec: RunSpec, data: FoldData, pixels_at: PixelsAt) -> RateCurve:
    """The curve of the first stage on a fold."""
    span = next(spans(spec))
    net = build_net(spec, 0, data.outputs).to(device_name())
    if isinstance(net.head, Number):
        net.head.measure(data.train_targets)
    loaders = stage_loaders(spec, 0, data, pixels_at(span.size), span.size)
    if not len(loaders.train):
        raise OnehourError("the first fold has less than one batch of training images", fix="Set batch_size lower.")
    recorder = Recorder(add_time=False)
    learner = build_learner(spec, net, loaders, data, [recorder, _Epochs(span.stage.freeze)])
    learner.freeze_to(-1 if span.stage.freeze else 0)
    share = peak_rates(span.stage, spec.weights != "none") / span.stage.lr
    seed_everything(spec.seed, 0, "lr-find")
    with tempfile.TemporaryDirectory() as place, learner.no_logging():  # the finder puts the first weights aside there
        learner.path = Path(place)
        finder = LRFinder(LEAST * share, MOST * share, BATCHES)
        learner.fit(BATCHES // len(loaders.train) + 1, cbs=finder)
    return curve_of(np.array(recorder.lrs), torch.stack([*map(torch.as_tensor, recorder.losses)]).cpu().numpy())


def curve_of(rates: np.ndarray, losses: np.ndarray) -> RateCurve:
    """The curve up to where the loss is lost, and the rate that fastai's valley suggests.

    The first tenth, where the smoothed loss is still settling, and the last points, where it flies off, are not asked.
    """
    lost = np.flatnonzero(~np.isfinite(losses))
    end = int(lost[0]) if len(lost) else len(losses)
    rates, losses = rates[:end], losses[:end]
    if len(rates) < FEWEST:
        raise OnehourError(
            f"the loss was lost after {len(rates)} batches, at a rate of {rates[-1] if len(rates) else LEAST:.1e}",
            fix="Look at the images and the head: a rate this small can spoil nothing.",
        )
    asked = slice(BATCHES // 10, -5)
    suggested, _ = valley(rates[asked], losses[asked], BATCHES)
    return RateCurve(suggested, tuple(map(float, rates)), tuple(map(float, losses)))


class _Epochs(Callback):
    """What Resume does for a run: the order and augmentation of each epoch, and a frozen body that stays as it is."""

    order = 80

    def __init__(self, frozen: bool) -> None:
        self.frozen = frozen

    def before_epoch(self) -> None:
        self.dls.train.start(self.epoch)

    def before_train(self) -> None:
        if self.frozen:
            self.learn.model.body.eval()


def _plot(curve: RateCurve) -> Figure:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(curve.lr, curve.loss)
    axes.axvline(curve.suggested, color="grey", linestyle="--")
    axes.annotate(
        f" {curve.suggested:.1e}",
        (curve.suggested, 0.97),
        xycoords=("data", "axes fraction"),
        va="top",
        color="dimgrey",
    )
    least = min(curve.loss)
    axes.set_ylim(least - 0.1 * (curve.loss[0] - least), max(curve.loss[:10]) + 0.5 * abs(curve.loss[0] - least))
    axes.set_xlabel("learning rate of the head")
    axes.set_ylabel("training loss, smoothed")
    return figure
