"""Points of interest without a net: how much of what cpu-transfer and identify score do their nets add?

    .venv/bin/python bench/nyala_points.py --data ../shared/data/nyala --folds FOLDS.csv --seed 0 --out RUN_DIR

Every class begins with the same probability, and the points of the other folds' images vote (engine.inference.local_features).
From there on it is scored as every run: RUN_DIR is a run's folder. Nothing is drawn by lot, so every seed gives the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from engine.contract import RunSpec, preset_path, read_spec
from engine.data.competition import data_sha256
from engine.data.folds import write_folds
from engine.inference.local_features import Landmarks, Matcher, with_evidence
from engine.inference.outcome import write_outcome
from engine.inference.predict import KEPT_PER_FOLD
from engine.run_folder import RunFolder, atomic_file
from engine.training.prepare import Images, Prepared, fold_data, prepare
from engine.training.tracking import now_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the competition's data")
    parser.add_argument("--folds", type=Path, required=True, help="folds.csv of an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    asked = parser.parse_args()
    number = len(set(pd.read_csv(asked.folds)["fold"]))
    over = {"data.dir": str(asked.data), "folds_from": str(asked.folds), "folds": number, "seed": asked.seed}
    over |= {"retrieval_share": 0.0, "tracking.wandb": "off"}
    spec, folder = read_spec(preset_path("cpu-transfer"), over), RunFolder(asked.out)
    folder.create(spec)
    prepared = prepare(spec, folder.path.resolve().parent)
    write_folds(folder.folds_csv, prepared.folds)
    started_at = now_ms()
    images = Images(spec, prepared)
    landmarks = Landmarks(images.paths, prepared.boxes, spec.data.box_margin)
    for fold in range(number):
        match_fold(spec, folder, prepared, fold, images, landmarks)
    result = write_outcome(
        spec, folder, prepared.competition, prepared.folds, test_seen=prepared.seen.test_whole,
        data_sha256=data_sha256(prepared.competition), device="cpu", gpus=1, notes=prepared.notes,
        started_at=started_at, finished_at=now_ms(),
    )  # fmt: skip
    print(f"CV {result.metric} {result.cv:.4f} over {result.images} images; {folder.submission_csv}")


def match_fold(
    spec: RunSpec, folder: RunFolder, prepared: Prepared, fold: int, images: Images, landmarks: Landmarks
) -> None:  # fmt: skip
    """Write the fold's predictions, as a net's would be."""
    data = fold_data(spec, prepared, fold, images)
    matcher = Matcher(landmarks, data.train_rows, data.train_targets, len(data.classes))
    arrays = {"classes": np.array(data.classes), "valid_rows": data.valid_rows, "train_s": np.array(0.0)}
    arrays |= {"weights_sha256": np.array(""), "wandb": np.array(["off", ""])}
    tested = np.arange(len(prepared.folds.image), len(images.paths))
    for part, rows in (("valid", data.valid_rows), ("test", tested)):
        even = np.full((len(rows), len(data.classes)), 1 / len(data.classes), np.float32)
        scores = with_evidence(even, matcher.evidence(rows, lambda: None))
        top = np.argsort(-scores, axis=1)[:, :KEPT_PER_FOLD]
        arrays |= {f"{part}_top": top.astype(np.int32), f"{part}_scores": np.take_along_axis(scores, top, axis=1)}
        arrays |= {f"{part}_unknown": np.zeros(0, np.float32)}
    with atomic_file(folder.fold_predictions(fold)) as file:
        np.savez(file, **arrays)


if __name__ == "__main__":
    main()
