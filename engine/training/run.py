"""A whole run: check everything, train fold after fold, predict, and leave a result.

Started again, a run goes on where it stopped: folds with predictions are done, the fold in progress has a checkpoint. Folds can
be trained by processes of their own, on several machines that share the folder; the run then finds them done and merges them.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import UTC, datetime

# Before torch is loaded: its threads wait asleep. Spinning, two runs on one machine slow each other down many times over.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from engine.checks.report import checks_of_run
from engine.contract import EXIT_OK, EXIT_REQUEUE, OnehourError, RunSpec
from engine.data import competition as competitions
from engine.data import folds as fold_lists
from engine.data.folds import Folds
from engine.inference.local_features import Landmarks
from engine.inference.outcome import write_outcome
from engine.inference.predict import Predictor, save_fold
from engine.run_folder import RunFolder, write_json, write_text
from engine.training.behind import other_folds_note, why_behind
from engine.training.crew import crew_of, refuse_uneven
from engine.training.loop import build_net, device_name, train_fold
from engine.training.prepare import Images, Prepared, fold_data, prepare
from engine.training.resume import save, weights_sha256
from engine.training.samples import worst_images
from engine.training.stop import Stop, Stopped
from engine.training.tracking import FoldLog, now_ms
from engine.training.workplace import alone, done_so_far, log_handlers, logged_to, refuse_full_disk

log = logging.getLogger(__name__)


def train(
    spec: RunSpec, folder: RunFolder, spec_text: str, time_limit_s: float | None = None, ranks: int = 1,
    began: float | None = None, fold: int | None = None,
) -> int:  # fmt: skip
    """Train `spec` into `folder`. Returns EXIT_OK when the result is there, or stopped.json says why there will be none, and
    EXIT_REQUEUE when it stopped in good order.

    `spec_text` is kept as spec.yaml; `ranks` processes train a fold together, on a GPU each; the time limit
    counts from `began` (time.monotonic(); now). With `fold` that one is trained and nothing else done: EXIT_OK when its
    predictions are there. Raises OnehourError for bad input, before the run's folder is made, and later where training itself
    fails.
    """
    started, started_at = time.monotonic() if began is None else began, now_ms()
    if fold is not None and fold >= spec.folds:
        raise OnehourError(
            f"there is no fold {fold}", "--fold", f"The spec has {spec.folds}, from 0 to {spec.folds - 1}."
        )
    if folder.exists():
        folder.create(spec)  # refuses a folder that holds another spec
    if folder.read_result() is not None or (fold is not None and folder.fold_predictions(fold).exists()):
        with logged_to([logging.StreamHandler(sys.stderr)]):
            log.info("%s: this %s is finished already", folder.path, "run" if fold is None else f"run's fold {fold}")
        return EXIT_OK
    if folder.stopped():
        with logged_to([logging.StreamHandler(sys.stderr)]):
            log.info("%s: this run stopped %s; without stop_if_behind it would go on", folder.path, folder.stopped())
        return EXIT_OK
    refuse_uneven(spec, ranks)
    stop, before = Stop(time_limit_s, started), done_so_far(spec, folder, fold)
    with stop.on_signals():
        try:
            _train_in_time(spec, folder, spec_text, stop, started_at, ranks, fold)
        except Stopped as reason:
            if not stop.signal_name and done_so_far(spec, folder, fold) == before:
                raise OnehourError(
                    f"{reason}, and nothing was done that a next start could build on",
                    "--time-limit",
                    "Give more time: the images must be decoded and a step be made, or a fold be predicted, in it.",
                ) from None
            with logged_to(log_handlers(folder, fold) if folder.exists() else [logging.StreamHandler(sys.stderr)]):
                log.info("stopped: %s; start the run again to go on", reason)
            return EXIT_REQUEUE
    return EXIT_OK


def _train_in_time(
    spec: RunSpec, folder: RunFolder, spec_text: str, stop: Stop, started_at: int, ranks: int, only: int | None
) -> None:  # fmt: skip
    """Everything from the images to the result, or to the predictions of the fold `only`. Raises Stopped where it should end
    early."""
    stop.soon()
    with logged_to([logging.StreamHandler(sys.stderr)]):
        prepared = prepare(spec, folder.path.resolve().parent, stop.soon)
    competition, folds, notes = prepared.competition, prepared.folds, prepared.notes
    outputs = 1 if spec.head == "number" else len(competition.known_labels) + 1
    net_bytes = 4 * sum(p.numel() for p in build_net(spec, 0, outputs).parameters())
    refuse_full_disk(spec, folder, prepared.paths, prepared.boxes, net_bytes)

    folder.create(spec)
    with alone(folder, only), logged_to(log_handlers(folder, only)):
        if not folder.spec_yaml.exists():
            write_text(folder.spec_yaml, spec_text)
        _write_folds(folder, folds)
        write_json(
            folder.checks_json, checks_of_run(prepared.seen, notes, spec.head == "number").model_dump(mode="json")
        )
        notes = (*notes, *other_folds_note(spec, folder))
        for note in notes:
            log.info("note: %s", note)
        if not _train_folds(spec, folder, prepared, stop, ranks, only) or only is not None:
            return
        result = write_outcome(
            spec, folder, competition, folds, test_seen=prepared.seen.test_whole,
            data_sha256=competitions.data_sha256(competition), device=device_name(), gpus=ranks, notes=notes,
            started_at=_first_row_at(folder, started_at), finished_at=now_ms(),
        )  # fmt: skip
        log.info("CV %s %.4f over %d images; %s", result.metric, result.cv, result.images, folder.submission_csv)


def _train_folds(
    spec: RunSpec, folder: RunFolder, prepared: Prepared, stop: Stop, ranks: int, only: int | None
) -> bool:  # fmt: skip
    """Train every fold that has no predictions yet, or the fold `only`, and write them.

    False where the run has no hope and stops before one.
    """
    folds = range(spec.folds) if only is None else (only,)
    open_folds = [fold for fold in folds if not folder.fold_predictions(fold).exists()]
    if not open_folds:
        return True
    competition, images = prepared.competition, Images(spec, prepared, stop.soon)
    test_rows = np.arange(len(competition.images), len(images.paths))
    landmarks = Landmarks(images.paths, prepared.boxes, spec.data.box_margin) if spec.local_features else None
    known = _known(folder, competition)
    for fold in open_folds:
        stop.check()
        if reason := why_behind(spec, folder, competition, prepared.folds):
            log.info("stops: %s", reason)
            done = [one for one in range(spec.folds) if folder.fold_predictions(one).exists()]
            write_json(folder.stopped_json, {"reason": reason, "fold": done[-1]})
            return False
        data = fold_data(spec, prepared, fold, images)
        log.info(
            "fold %d: %d images of %s to train on, %d to validate",
            fold, len(data.train_rows), f"{len(data.classes)} classes" if data.classes else "measured numbers",
            len(data.valid_rows),
        )  # fmt: skip
        with FoldLog(spec, folder, fold, known, is_apart=only is not None) as rows:
            with crew_of(folder, fold, ranks) as crew:
                trained = train_fold(spec, folder, data, images.at, rows, stop, crew)
            predictor = Predictor(trained.net, spec, data, landmarks, competition.unknown_label, stop)
            save_fold(
                folder.fold_predictions(fold), predictor, test_rows, train_s=trained.train_s,
                weights_sha256=weights_sha256(trained.net), wandb=(rows.mirror.mode, rows.mirror.url),
            )  # fmt: skip
            rows.samples(spec.epochs, trained.step, worst_images(folder.fold_predictions(fold), data))
        # The fold is done: its weights are kept, the optimizer's state (twice their size) is not.
        save(
            folder.last_checkpoint(fold),
            {"model": trained.net.state_dict(), "done": spec.epochs, "train_s": trained.train_s},
        )
    return True


def _write_folds(folder: RunFolder, folds: Folds) -> None:
    if not folder.folds_csv.exists():
        fold_lists.write_folds(folder.folds_csv, folds)
    elif fold_lists.read_folds(folder.folds_csv) != folds:
        raise OnehourError(
            "the data changed since this run began: its folds are no longer those of the images",
            str(folder.folds_csv),
            "Put the data back, or start a new run.",
        )


def _known(folder: RunFolder, competition: competitions.Competition) -> dict[str, str]:
    """What W&B is told of a run beside its spec."""
    started = datetime.fromtimestamp(_first_row_at(folder, now_ms()) / 1000, UTC)
    return {
        "data_sha256": competitions.data_sha256(competition),
        "started_at": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _first_row_at(folder: RunFolder, now: int) -> int:
    """When the first attempt began to train (ms UTC): the run may have been stopped and resumed since."""
    return min((now, *(row["at"] for row in folder.metrics())))
