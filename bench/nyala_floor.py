"""The floor: plain fastai with the same packaged weights, image size and minutes as the preset cpu-transfer.

    .venv/bin/python bench/nyala_floor.py --data ../shared/data/nyala --out floor.csv --minutes 12

All labels are classes, the unknown one too; one net on all training images; the five likeliest labels are the answer.
Prints the epochs that fitted into the minutes; score the CSV like any submission.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import pandas as pd
import torch
from fastai.vision.all import (
    CrossEntropyLossFlat,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    ResizeMethod,
    aug_transforms,
    set_seed,
)
from torch import nn

from engine.contract import preset_path, read_spec
from engine.model.backbone import build_backbone

warnings.simplefilter("ignore")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the competition's data")
    parser.add_argument("--out", type=Path, required=True, help="submission to write")
    parser.add_argument("--minutes", type=float, default=12.0, help="time for training")
    asked = parser.parse_args()
    spec = read_spec(preset_path("cpu-transfer"), {"data.dir": str(asked.data)})

    set_seed(spec.seed)
    backbone = build_backbone(spec)
    loaders = ImageDataLoaders.from_df(
        pd.read_csv(asked.data / spec.data.labels),
        path=asked.data,
        folder=spec.data.train_images,
        valid_pct=0.0,
        seed=spec.seed,
        bs=spec.batch_size,
        num_workers=0,
        item_tfms=Resize(spec.image_size, method=ResizeMethod.Squish),
        batch_tfms=[*aug_transforms(do_flip=False), Normalize.from_stats(backbone.mean, backbone.std)],
    )
    net = nn.Sequential(backbone.net, nn.Dropout(0.2), nn.Linear(backbone.features, loaders.c))
    learner = Learner(
        loaders,
        net,
        loss_func=CrossEntropyLossFlat(),
        splitter=lambda whole: [list(whole[0].parameters()), list(whole[2].parameters())],
    )
    with learner.no_bar(), learner.no_logging():
        epochs = max(2, int(asked.minutes * 60 / seconds_of_an_epoch(learner)))
        started = time.monotonic()
        learner.fine_tune(epochs - 1, 3e-3, freeze_epochs=1)
        print(f"{epochs} epochs in {(time.monotonic() - started) / 60:.1f} minutes")
        sample = pd.read_csv(asked.data / spec.data.sample_submission)
        tests = [asked.data / spec.data.test_images / name for name in sample[spec.data.image_col]]
        scores, _ = learner.get_preds(dl=loaders.test_dl(tests, num_workers=0))
    top = scores.topk(5, dim=1).indices
    label_col = next(name for name in sample.columns if name != spec.data.image_col)
    sample[label_col] = [" ".join(loaders.vocab[i] for i in row.tolist()) for row in top]
    sample.to_csv(asked.out, index=False)
    print(asked.out)


def seconds_of_an_epoch(learner: Learner, batches: int = 8) -> float:
    """Measured on a few training steps of a copy, so that the net itself is untouched."""
    net, loss = copy.deepcopy(learner.model).to(learner.dls.device).train(), learner.loss_func
    steps = iter(learner.dls.train)
    next(steps)  # the first is slow
    started = time.monotonic()
    for _, (images, targets) in zip(range(batches), steps, strict=False):
        loss(net(images), targets).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.monotonic() - started) / batches * len(learner.dls.train)


if __name__ == "__main__":
    main()
