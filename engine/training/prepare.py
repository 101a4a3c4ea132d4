"""What is read, checked and laid out before anything is trained.

Nothing is written into the run's folder: what was seen in the images (facts and quarantine) goes into the folder of the
data's checks, decoded images into the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np

from engine.check_folder import CheckFolder
from engine.checks.survey import Survey, survey
from engine.contract import OnehourError, RunSpec
from engine.data import competition as competitions
from engine.data import folds as fold_lists
from engine.data.augment import compose
from engine.data.balance import left_out
from engine.data.boxes import Box
from engine.data.cache import Pixels, cached_images
from engine.data.competition import Competition
from engine.data.csv_table import counted
from engine.data.folds import Folds
from engine.data.given_boxes import given_boxes
from engine.data.groups import group
from engine.data.images import GreyImages
from engine.data.measured import as_numbers
from engine.inference.answers import refuse_folds_of_one_label
from engine.inference.submission import refuse_other_answers
from engine.training.fold import FoldData
from engine.training.losses import loss_notes


@dataclass(frozen=True)
class Prepared:
    """The competition of a run, what its images look like, their boxes and folds; `notes`: what a person should know.

    Test images that cannot be decoded are in the competition, but have neither path nor box here.
    """

    competition: Competition
    seen: Survey
    boxes: tuple[Box | None, ...]  # beside paths
    folds: Folds
    notes: tuple[str, ...]

    @functools.cached_property
    def paths(self) -> list[Path]:
        """The file of each image, training images first."""
        return [entry.path for entry, _ in self.seen.seen]


def prepare(spec: RunSpec, beside: Path, check: Callable[[], None] = lambda: None) -> Prepared:
    """Read the competition, look at every image once, make the folds. Raises OnehourError for bad input.

    `beside`: the folder of runs, where the data's checks are kept (see CheckFolder.of_data). `check` is asked after each
    image: what it raises ends the work.
    """
    competition = competitions.load(spec.data)
    for size in set(spec.stage_sizes):
        compose(spec.augment, size, spec.grey == "random")
    refuse_other_answers(spec, competition)
    seen = survey(competition, CheckFolder.of_data(competition.root, beside), check)
    competition = seen.competition
    boxes = given_boxes(spec.data, competition)
    whole = (*(True for _ in competition.images), *seen.test_whole)
    groups = group(
        competition.images,
        competition.labels,
        seen.content.train,
        seen.near_in_training(),
        competition.sightings,
        numbers=spec.head == "number",
    )
    folds = fold_lists.folds_of(spec, competition, groups)
    refuse_folds_of_one_label(spec.metric, folds.label, folds.fold)
    if spec.unknown_in_training == "class":
        refuse_unknown_in_one_fold(folds, competition.unknown_label)
    refuse_thin_folds(spec, folds, competition.unknown_label)
    notes = (
        *competition.notes, *seen.notes, *boxes.notes, *groups.notes, *fold_lists.notes_of(spec, folds), *loss_notes(spec),
    )  # fmt: skip
    return Prepared(competition, seen, tuple(compress(boxes.boxes, whole)), folds, notes)


def refuse_unknown_in_one_fold(folds: Folds, unknown_label: str | None) -> None:
    """Raise OnehourError where a fold's net would not know the unknown label as a class and the others would.

    Their scores are then no longer of one kind, and there is no mean over them.
    """
    where = {fold for label, fold in zip(folds.label, folds.fold, strict=True) if label == unknown_label}
    if len(where) == 1:
        raise OnehourError(
            f"all images of {unknown_label!r} lie in fold {min(where)}, whose net could not learn it as a class",
            "unknown_in_training: class",
            "Set unknown_in_training to drop or negatives.",
        )


def refuse_thin_folds(spec: RunSpec, folds: Folds, unknown_label: str | None) -> None:
    """Raise OnehourError, before the first fold trains for hours, where a later one could not be trained at all."""
    for fold in range(spec.folds):
        trained, classes = _trained(spec, folds, unknown_label, fold)
        if trained.sum() < 2:
            raise OnehourError(
                f"fold {fold} would have {counted(int(trained.sum()), 'image')} to train on",
                f"folds = {spec.folds}",
                f"{counted(len(folds.image), 'image')} are too few: a net needs at least two in each fold.",
            )
        if spec.head == "number":
            refuse_one_number(fold, spec.folds, [folds.label[row] for row in np.flatnonzero(trained)])
        if spec.sampler == "pk" and len(classes) < spec.pk_labels:
            raise OnehourError(
                f"fold {fold} has {counted(len(classes), 'label')} to train on",
                f"pk_labels = {spec.pk_labels}",
                f"Set it to {len(classes)} or less, and batch_size to pk_labels * pk_images.",
            )


def refuse_one_number(fold: int, folds: int, labels: Sequence[str]) -> None:
    """Raise OnehourError where the training numbers of a fold are all the same: their deviation is what it learns in."""
    if as_numbers(labels).std() == 0:
        raise OnehourError(
            f"all images that fold {fold} would train on have the number {labels[0]}",
            f"folds = {folds}",
            "There must be different numbers to learn.",
        )


def _trained(spec: RunSpec, folds: Folds, unknown_label: str | None, fold: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which images `fold` trains on, (N,) bool, and the labels it learns: none where numbers are predicted."""
    labels = np.array(folds.label, dtype=object)
    trained = np.array(folds.fold) != fold
    if spec.unknown_in_training == "drop":
        trained &= labels != unknown_label
    few = left_out(folds.label, spec.minimum_images, unknown_label)
    trained &= np.array([label not in few for label in folds.label])
    if spec.head == "number":
        return trained, ()
    learnt = set(labels[trained].tolist())
    if spec.unknown_in_training == "negatives":
        learnt -= {unknown_label}  # trained on with target -1: no label may claim them
    return trained, tuple(sorted(learnt))


class Images:
    """The images of a run, training images first in the order of the folds, then the test images that can be decoded; `at` a
    size they are decoded when asked for."""

    def __init__(self, spec: RunSpec, prepared: Prepared, check: Callable[[], None] = lambda: None) -> None:
        self.names = tuple(entry.image for entry, _ in prepared.seen.seen)
        self.paths = prepared.paths
        self.at = functools.cache(functools.partial(_decoded, spec, self.paths, prepared.boxes, check))


def _decoded(
    spec: RunSpec, paths: list[Path], boxes: Sequence[Box | None], check: Callable[[], None], size: tuple[int, int]
) -> Pixels:
    pixels = cached_images(paths, size, boxes, spec.data.box_margin, check)
    return GreyImages(pixels) if spec.grey == "all" else pixels


def fold_data(spec: RunSpec, prepared: Prepared, fold: int, images: Images) -> FoldData:
    """What `fold` trains on and validates."""
    folds = prepared.folds
    trained, classes = _trained(spec, folds, prepared.competition.unknown_label, fold)
    if spec.head == "number":
        targets = as_numbers(folds.label).astype(np.float32)
    else:
        target = {label: i for i, label in enumerate(classes)}
        targets = np.array([target.get(label, -1) for label in folds.label], dtype=np.int64)
    train_rows, valid_rows = np.flatnonzero(trained), np.flatnonzero(np.array(folds.fold) == fold)
    return FoldData(
        images.at(spec.stage_sizes[-1]), images.names, classes, train_rows, targets[train_rows], valid_rows, targets[valid_rows],
    )  # fmt: skip
