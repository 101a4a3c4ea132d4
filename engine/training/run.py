"""A whole run: check everything, train fold after fold, predict, and leave a result.

Started again, a run goes on where it stopped: folds with predictions are done, the fold in progress has a checkpoint.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from pathlib import Path

# Before torch is loaded: its threads wait asleep. Spinning, two runs on one machine slow each other down many times over.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from engine.contract import EXIT_OK, EXIT_REQUEUE, OnehourError, RunSpec
from engine.data import competition as competitions
from engine.data import folds as fold_lists
from engine.data.augment import compose
from engine.data.balance import left_out
from engine.data.cache import Pixels, cached_images
from engine.data.competition import Competition, ContentHashes
from engine.data.folds import Folds
from engine.data.given_boxes import GivenBoxes, given_boxes
from engine.data.groups import group
from engine.data.images import GreyImages
from engine.inference.local_features import find_points
from engine.inference.outcome import write_outcome
from engine.inference.predict import Predictor, save_fold
from engine.inference.submission import refuse_other_answers
from engine.run_folder import RunFolder, write_json, write_text
from engine.training.fold import FoldData
from engine.training.loop import build_net, device_name, train_fold
from engine.training.resume import save, weights_sha256
from engine.training.stop import Stop, Stopped
from engine.training.tracking import FoldLog, Sample, now_ms
from engine.training.workplace import alone, log_handlers, logged_to, refuse_full_disk

log = logging.getLogger(__name__)
SAMPLES = 5  # worst validation images that metrics.jsonl shows of each fold


def train(spec: RunSpec, folder: RunFolder, spec_text: str, time_limit_s: float | None = None) -> int:
    """Train `spec` into `folder`. Returns EXIT_OK when the result is there, EXIT_REQUEUE when it stopped in good order.

    `spec_text` is kept as spec.yaml. Raises OnehourError for bad input, before anything is written.
    """
    started, started_at = time.monotonic(), now_ms()
    if folder.exists():
        folder.create(spec)  # refuses a folder that holds another spec
    if folder.read_result() is not None:
        with logged_to([logging.StreamHandler(sys.stderr)]):
            log.info("%s: this run is finished already", folder.path)
        return EXIT_OK
    competition = competitions.load(spec.data)
    boxes = given_boxes(spec.data, competition)
    for size in set(spec.stage_sizes):
        compose(spec.augment, size, spec.grey == "random")
    refuse_other_answers(spec.metric, competition)
    hashes = competitions.decode_all(competition)
    groups = group(competition.images, competition.labels, hashes.train, (), competition.sightings)
    folds = fold_lists.folds_of(spec, competition, groups)
    net_bytes = 4 * sum(p.numel() for p in build_net(spec, 0, len(competition.known_labels) + 1).parameters())
    refuse_full_disk(spec, folder, competition, net_bytes)

    folder.create(spec)
    stop = Stop(time_limit_s, started)
    with alone(folder), logged_to(log_handlers(folder)), stop.on_signals():
        if not folder.spec_yaml.exists():
            write_text(folder.spec_yaml, spec_text)
        _write_folds(folder, folds)
        notes = (*competition.notes, *boxes.notes, *groups.notes, *fold_lists.notes_of(spec, folds))
        write_json(folder.checks_json, _checks(competition, hashes, notes))
        for note in notes:
            log.info("note: %s", note)
        try:
            _train_folds(spec, folder, competition, boxes, folds, stop)
        except Stopped as reason:
            if not stop.advanced and not stop.signal_name:
                raise OnehourError(
                    f"{reason}, and nothing was done that would be kept",
                    "--time-limit",
                    "Give more time: reading the images and one batch, or the predictions of one fold, must fit in.",
                ) from None
            log.info("stopped: %s; start the run again to go on", reason)
            return EXIT_REQUEUE
        result = write_outcome(
            spec, folder, competition, folds, data_sha256=competitions.data_sha256(competition), device=device_name(),
            notes=notes, started_at=_first_row_at(folder, started_at),
            finished_at=now_ms(),
        )  # fmt: skip
        log.info("CV %s %.4f over %d images; %s", result.metric, result.cv, result.images, folder.submission_csv)
    return EXIT_OK


def _train_folds(
    spec: RunSpec, folder: RunFolder, competition: Competition, boxes: GivenBoxes, folds: Folds, stop: Stop
) -> None:
    """Train every fold that has no predictions yet, and write them."""
    open_folds = [fold for fold in range(spec.folds) if not folder.fold_predictions(fold).exists()]
    if not open_folds:
        return
    paths = [competition.train_dir / name for name in competition.images]
    paths += [competition.test_dir / name for name in competition.test_images]
    names = (*competition.images, *competition.test_images)
    test_rows = np.arange(len(competition.images), len(paths))
    points = find_points(paths) if spec.local_features else None

    @functools.cache
    def pixels_at(size: tuple[int, int]) -> Pixels:
        pixels = cached_images(paths, size, boxes.boxes, spec.data.box_margin)
        return GreyImages(pixels) if spec.grey == "all" else pixels

    for fold in open_folds:
        stop.check()
        data = fold_data(spec, competition, folds, fold, pixels_at(spec.stage_sizes[-1]), names)
        log.info(
            "fold %d: %d images of %d classes to train on, %d to validate",
            fold, len(data.train_rows), len(data.classes), len(data.valid_rows),
        )  # fmt: skip
        with FoldLog(spec, folder, fold) as rows:
            trained = train_fold(spec, folder, data, pixels_at, rows, stop)
            predictor = Predictor(trained.net, spec, data, points, competition.unknown_label, stop)
            save_fold(
                folder.fold_predictions(fold), predictor, test_rows, train_s=trained.train_s,
                weights_sha256=weights_sha256(trained.net), wandb=(rows.mirror.mode, rows.mirror.url),
            )  # fmt: skip
            stop.advanced = True
            rows.samples(spec.epochs, trained.step, worst_images(folder.fold_predictions(fold), data))
        # The fold is done: its weights are kept, the optimizer's state (twice their size) is not.
        save(
            folder.last_checkpoint(fold),
            {"model": trained.net.state_dict(), "done": spec.epochs, "train_s": trained.train_s},
        )


def worst_images(predictions: Path, data: FoldData, count: int = SAMPLES) -> list[Sample]:
    """The validation images whose own label has the lowest score, among those whose label the fold was trained on."""
    with np.load(predictions) as found:
        columns, scores = found["valid_top"], found["valid_scores"]
    own = np.where(columns == data.valid_targets[:, None], scores, 0).max(axis=1)
    asked = np.flatnonzero(data.valid_targets >= 0)
    worst = asked[np.argsort(own[asked], kind="stable")[:count]]
    return [
        Sample(
            data.names[data.valid_rows[row]],
            data.classes[data.valid_targets[row]],
            round(float(own[row]), 6),
            tuple(
                (data.classes[column], round(float(score), 6))
                for column, score in zip(columns[row][:3], scores[row][:3], strict=True)
            ),
        )
        for row in worst
    ]


def fold_data(
    spec: RunSpec, competition: Competition, folds: Folds, fold: int, pixels: Pixels, names: tuple[str, ...]
) -> FoldData:
    """What `fold` trains on and validates. `pixels` and `names` hold the training images first, in the order of `folds`."""
    labels, fold_of = np.array(folds.label, dtype=object), np.array(folds.fold)
    trained = fold_of != fold
    if spec.unknown_in_training == "drop":
        trained &= labels != competition.unknown_label
    few = left_out(folds.label, spec.minimum_images, competition.unknown_label)
    trained &= np.array([label not in few for label in folds.label])
    learnt = set(labels[trained].tolist())
    if spec.unknown_in_training == "negatives":
        learnt -= {competition.unknown_label}  # trained on with target -1: no label may claim them
    classes = tuple(sorted(learnt))
    target = {label: i for i, label in enumerate(classes)}
    targets = np.array([target.get(label, -1) for label in labels], dtype=np.int64)
    train_rows, valid_rows = np.flatnonzero(trained), np.flatnonzero(fold_of == fold)
    return FoldData(pixels, names, classes, train_rows, targets[train_rows], valid_rows, targets[valid_rows])


def _write_folds(folder: RunFolder, folds: Folds) -> None:
    if not folder.folds_csv.exists():
        fold_lists.write_folds(folder.folds_csv, folds)
    elif fold_lists.read_folds(folder.folds_csv) != folds:
        raise OnehourError(
            "the data changed since this run began: its folds are no longer those of the images",
            str(folder.folds_csv),
            "Put the data back, or start a new run.",
        )


def _checks(competition: Competition, hashes: ContentHashes, notes: tuple[str, ...]) -> dict[str, object]:
    """Thin: what was decoded, exact copies, copies with different labels, copies across training and test."""
    labels: dict[str, set[str]] = {}
    for content, label in zip(hashes.train, competition.labels, strict=True):
        labels.setdefault(content, set()).add(label)
    return {
        "train_images": len(hashes.train),
        "test_images": len(hashes.test),
        "exact_copies_in_train": len(hashes.train) - len(labels),
        "copies_with_different_labels": sum(len(found) > 1 for found in labels.values()),
        "test_images_also_in_train": sum(content in labels for content in hashes.test),
        "notes": list(notes),
    }


def _first_row_at(folder: RunFolder, now: int) -> int:
    """When the first attempt began to train (ms UTC): the run may have been stopped and resumed since."""
    return min(now, next((row["at"] for row in folder.metrics()), now))
