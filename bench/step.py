"""What the engine's training costs above the bare minimum, as ratios within one run: `make bench-engine`. A few minutes.

step    seconds of a training step of the engine (Learner, rows, checkpoints, stop) ÷ those of a bare PyTorch loop over the
        same net, loss and batches; without the wait for data. Epochs of both take turns; median over the rounds.
wait    share of an epoch in which the net waits for images that two loader workers prepare, their start included
memory  peak of a process that trains and validates with the engine ÷ that of plain fastai, which reads the original files,
        with the same backbone, size and batch

Net, size and augmentation are those of the preset cpu-transfer; the images are the drawn sample.
Aims: step ≤ 1.05, wait < 5 %, memory ≤ 1.2.

What other processes took of the cores meanwhile is measured, too. The ratio of steps bears some of it, since both take turns;
the wait does not. With more than a twentieth of a core the figures are marked as not to be quoted.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from engine.contract import RunSpec, preset_path, read_spec
from engine.data.sample import draw_sample

ROUNDS = 5
VALIDATED = 64  # images of the sample that are validated; the others are trained on
LONG = 4  # times that an epoch with loader workers sees each image: their start is not the whole story
STEP_AIM, WAIT_AIM, MEMORY_AIM = 1.05, 0.05, 1.2
QUIET = 0.05  # cores that others may take


def main() -> None:
    load_before, others = os.getloadavg()[0], Others()
    # This process stays small and free of torch: what it imports would not be the children's, but its threads would.
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        os.environ |= {"ONEHOUR_CACHE": f"{folder}/pixels", "OMP_WAIT_POLICY": "PASSIVE"}
        draw_sample(Path(folder) / "sample", 0)
        measured = {what: child(what, folder) for what in ("steps", "wait", "ours", "plain")}
    busy = others.cores()
    print(
        f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after (its own work included), {os.cpu_count()} cores;"
        f" others took {busy:.2f} of a core on average"
    )
    if busy > QUIET:
        print(
            f"THIS MACHINE WAS BUSY: others may take {QUIET} of a core. Do not quote the step and the wait; memory holds."
        )
    ours, bare = measured["steps"][::2], measured["steps"][1::2]
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    told("step", statistics.median(ratios), STEP_AIM, f"{min(ratios):.2f} … {max(ratios):.2f} over {ROUNDS} rounds")
    told("wait", measured["wait"][0], WAIT_AIM, "share of an epoch with 2 loader workers")
    memory = measured["ours"][0] / measured["plain"][0]
    told("memory", memory, MEMORY_AIM, f"{measured['ours'][0]:.0f} MB ÷ {measured['plain'][0]:.0f} MB")


class Others:
    """How many cores other processes kept busy since this was made. Linux alone tells."""

    def __init__(self) -> None:
        self.began, self.before = time.monotonic(), self._seconds()

    def cores(self) -> float:
        return max(0.0, self._seconds() - self.before) / (time.monotonic() - self.began)

    @staticmethod
    def _seconds() -> float:
        """Seconds of all cores that were spent, but not by this process and the children that have ended."""
        user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        own = sum(one.ru_utime + one.ru_stime for one in used)
        return (user + nice + system) / os.sysconf("SC_CLK_TCK") - own


def told(name: str, value: float, aim: float, how: str) -> None:
    print(f"{name:<8}{value:>6.2f}  {'within' if value <= aim else 'above'} the aim of {aim:<6}{how}")


def child(what: str, folder: str) -> list[float]:
    command = [sys.executable, "-W", "ignore", __file__, what, folder]
    return [
        float(line) for line in subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    ]


def measure(what: str, folder: Path) -> list[float]:
    """In a process of its own: seconds of a step (ours and bare in turns), share of waiting, or peak MB."""
    workers = 2 if what == "wait" else 0
    spec = read_spec(
        preset_path("cpu-transfer"),
        {
            "data.dir": str(folder / "sample"),
            "stages": [{"epochs": 1, "lr": 0.005}],
            "loader_workers": workers,
            "tracking.wandb": "off",
        },
    )
    if what == "plain":
        plain_fastai(spec)
        return [peak_mb()]
    if what == "ours":
        our_epoch(spec, folder / what)
        return [peak_mb()]
    if what == "wait":
        epoch = our_epoch(spec, folder / what, LONG)
        return [epoch["time/data_s"] / (epoch["time/data_s"] + epoch["time/compute_s"])]
    seconds = []
    for round_ in range(ROUNDS + 1):
        both = our_epoch(spec, folder / f"round{round_}")["time/compute_s"], bare_epoch(spec)
        if round_:  # the first is slow
            seconds += both
    return seconds


def peak_mb() -> float:
    """Of this process alone: ru_maxrss of getrusage would begin with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def our_epoch(spec: RunSpec, path: Path, times: int = 1) -> dict:
    """The row of an epoch that the engine trained and validated."""
    from engine.run_folder import RunFolder
    from engine.training.loop import train_fold
    from engine.training.stop import Stop
    from engine.training.tracking import FoldLog

    folder = RunFolder(path)
    folder.create(spec)
    data = fold_data(spec, times)
    with FoldLog(spec, folder, 0) as rows:
        train_fold(spec, folder, data, lambda _: data.pixels, rows, Stop(None, time.monotonic()))
    return next(row for row in folder.metrics() if row["kind"] == "epoch")


def fold_data(spec: RunSpec, times: int = 1):
    import numpy as np

    from engine.data.cache import cached_images
    from engine.data.competition import load
    from engine.training.fold import FoldData

    competition = load(spec.data)
    pixels = cached_images([competition.train_dir / name for name in competition.images], spec.image_size)
    classes = tuple(sorted(set(competition.labels)))
    targets = np.array([classes.index(label) for label in competition.labels])
    train, valid = np.arange(VALIDATED, len(targets)), np.arange(VALIDATED)
    train = np.tile(train, times)
    return FoldData(pixels, competition.images, classes, train, targets[train], valid, targets[valid])


def bare_epoch(spec: RunSpec) -> float:
    """Seconds of the steps of an epoch of the same batches, without the wait for them."""
    import numpy as np
    import torch

    from engine.training.loop import build_net, stage_loaders
    from engine.training.losses import loss_of

    data = fold_data(spec)
    net = build_net(spec, 0, len(data.classes)).train()
    loss_func = loss_of(spec, np.bincount(data.train_targets, minlength=len(data.classes)))
    steps = torch.optim.Adam(net.parameters(), lr=spec.stages[0].lr)
    loader = stage_loaders(spec, 0, data, data.pixels, spec.image_size).train
    loader.start(0)
    seconds = 0.0
    for images, targets in loader:
        begun = time.monotonic()
        loss_func(net(images), targets).backward()
        steps.step()
        steps.zero_grad()
        seconds += time.monotonic() - begun
    return seconds


def plain_fastai(spec: RunSpec) -> None:
    """An epoch of fastai as its documentation writes it."""
    import pandas as pd
    from fastai.vision.all import ImageDataLoaders, Learner, Normalize, Resize, ResizeMethod, aug_transforms
    from torch import nn

    from engine.model.backbone import build_backbone

    backbone = build_backbone(spec)
    table = pd.read_csv(Path(spec.data.dir) / spec.data.labels)
    table["validated"] = table.index < VALIDATED
    loaders = ImageDataLoaders.from_df(
        table,
        path=spec.data.dir,
        folder=spec.data.train_images,
        valid_col="validated",
        bs=spec.batch_size,
        num_workers=0,
        item_tfms=Resize(spec.image_size, method=ResizeMethod.Squish),
        batch_tfms=[*aug_transforms(do_flip=False), Normalize.from_stats(backbone.mean, backbone.std)],
    )
    net = nn.Sequential(backbone.net, nn.Dropout(0.2), nn.Linear(backbone.features, loaders.c))
    learner = Learner(loaders, net, loss_func=nn.CrossEntropyLoss())
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1, 5e-3)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        warnings.simplefilter("ignore")
        print(*measure(sys.argv[1], Path(sys.argv[2])))
    else:
        main()
