"""The floor: plain fastai with the same packaged weights, image size and folds as the preset cpu-transfer.

    .venv/bin/python bench/nyala_floor.py --data ../shared/data/nyala --folds FOLDS.csv --epochs 7 --seed 0 --out RUN_DIR

What somebody writes with fastai's documentation open: all labels are classes, the unknown one too; `aug_transforms`,
`fine_tune`, one epoch of it with the body frozen. One net a fold, trained on the other folds' images, answers the fold's
images and the test images. From there on it is scored as every run: RUN_DIR is a run's folder, with a threshold for the
unknown label that is never scored on the rows it was chosen on. Started again, it goes on with the next fold.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
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

from engine.contract import RunSpec, preset_path, read_spec
from engine.data.competition import data_sha256
from engine.data.folds import write_folds
from engine.inference.outcome import write_outcome
from engine.inference.predict import KEPT_PER_FOLD
from engine.model.backbone import build_backbone
from engine.run_folder import RunFolder, atomic_file
from engine.training.loop import device_name
from engine.training.prepare import Prepared, prepare
from engine.training.resume import weights_sha256
from engine.training.tracking import now_ms

warnings.simplefilter("ignore")
PLAIN = {
    "head": "linear", "mirrored_identities": False, "sampler": "shuffle", "retrieval_share": 0.0, "local_features": False,
    "augment": [], "unknown_in_training": "class", "tracking.wandb": "off",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the competition's data")
    parser.add_argument("--folds", type=Path, required=True, help="folds.csv of an earlier run")
    parser.add_argument("--epochs", type=int, default=7, help="over the other folds' images, the frozen one included")
    parser.add_argument("--size", type=int, nargs=2, default=[128, 192], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="run folder to write; the same again goes on")
    asked = parser.parse_args()
    number = len(set(pd.read_csv(asked.folds)["fold"]))
    over = {"data.dir": str(asked.data), "folds_from": str(asked.folds), "folds": number, "seed": asked.seed}
    over |= {"image_size": asked.size, "stages": [{"epochs": asked.epochs, "lr": 3e-3}]}
    plain_fastai(read_spec(preset_path("cpu-transfer"), {**PLAIN, **over}), RunFolder(asked.out))


def plain_fastai(spec: RunSpec, folder: RunFolder) -> None:
    """Train what is missing of all folds and write the outcome. Epochs: two or more."""
    folder.create(spec)
    if folder.read_result() is not None:
        return
    prepared = prepare(spec, folder.path.resolve().parent)
    write_folds(folder.folds_csv, prepared.folds)
    started_at = now_ms()
    for fold in range(spec.folds):
        if not folder.fold_predictions(fold).exists():
            train_fold(spec, folder, prepared, fold)
    result = write_outcome(
        spec, folder, prepared.competition, prepared.folds, test_seen=prepared.seen.test_whole,
        data_sha256=data_sha256(prepared.competition), device=device_name(), gpus=1, notes=prepared.notes,
        started_at=started_at, finished_at=now_ms(),
    )  # fmt: skip
    print(f"CV {result.metric} {result.cv:.4f} over {result.images} images; {folder.submission_csv}")


def train_fold(spec: RunSpec, folder: RunFolder, prepared: Prepared, fold: int) -> None:
    """Train on the other folds' images with fastai as it comes, and write the fold's predictions."""
    competition, fold_of = prepared.competition, np.array(prepared.folds.fold)
    set_seed(1000 * spec.seed + fold)
    backbone = build_backbone(spec)
    table = pd.DataFrame({"image": [str(path) for path in prepared.paths[: len(fold_of)]], "label": competition.labels})
    loaders = ImageDataLoaders.from_df(
        table[fold_of != fold],
        path="/",
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
    classes = [str(label) for label in loaders.vocab]
    rows = {"valid": np.flatnonzero(fold_of == fold), "test": np.arange(len(fold_of), len(prepared.paths))}
    arrays = {"classes": np.array(classes), "valid_rows": rows["valid"]}
    with learner.no_bar(), learner.no_logging():
        started = time.monotonic()
        learner.fine_tune(spec.epochs - 1, spec.stages[0].lr, freeze_epochs=1)
        train_s = time.monotonic() - started
        for part, places in rows.items():
            asked = loaders.test_dl([prepared.paths[place] for place in places], num_workers=0)
            arrays |= ranked(part, learner.get_preds(dl=asked)[0], classes, competition.unknown_label)
    arrays |= {
        "train_s": np.array(train_s),
        "weights_sha256": np.array(weights_sha256(net)),
        "wandb": np.array(["off", ""]),
    }
    with atomic_file(folder.fold_predictions(fold)) as file:
        np.savez(file, **arrays)
    print(f"fold {fold}: {spec.epochs} epochs in {train_s / 60:.1f} minutes", flush=True)


def ranked(part: str, scores: torch.Tensor, classes: list[str], unknown: str | None) -> dict[str, np.ndarray]:
    """The best known labels of each image and the score of the unknown one, as a run's fold predictions hold them."""
    column = classes.index(unknown)
    of_unknown = scores[:, column].clone()
    scores[:, column] = -1
    top_scores, top = scores.topk(min(KEPT_PER_FOLD, len(classes) - 1), dim=1)
    return {
        f"{part}_top": top.int().numpy(),
        f"{part}_scores": top_scores.numpy(),
        f"{part}_unknown": of_unknown.numpy(),
    }


if __name__ == "__main__":
    main()
