"""What a label file alone says: folds, labels with one image, and the cost of balancing. No image is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract import DataSpec
from engine.data.balance import BalancePlan, balance_plan
from engine.data.competition import read_labels
from engine.data.csv_table import counted
from engine.data.folds import assign_folds
from engine.data.measured import as_numbers, binned, measured


@dataclass(frozen=True)
class Outlook:
    """`classes` counts the known labels, `singletons` those with one image, `folds` the images of each fold."""

    images: int
    classes: int
    unknown_images: int
    folds: tuple[int, ...]
    singletons: int
    balance: BalancePlan

    def __str__(self) -> str:
        plan = self.balance
        rows = [
            ("images", str(self.images)),
            ("classes", str(self.classes)),
            ("unknown images", str(self.unknown_images)),
            ("images per fold", " ".join(map(str, self.folds))),
            ("singletons", f"{self.singletons} (classes with one image: their fold's model never saw them)"),
            (
                f"balance to {plan.minimum}",
                f"{plan.before} known images, {plan.to_add} to add for {counted(plan.rare, 'class', 'classes')}, "
                f"{plan.after} after",
            ),
        ]
        return "\n".join(f"{name:<17}{value}" for name, value in rows)


@dataclass(frozen=True)
class NumberOutlook:
    """Of labels that were measured: how they spread, and the images of each fold with the mean of their numbers."""

    images: int
    least: float
    mean: float
    most: float
    deviation: float
    folds: tuple[int, ...]
    fold_means: tuple[float, ...]

    def __str__(self) -> str:
        rows = [
            ("images", str(self.images)),
            (
                "numbers",
                f"{self.least:g} to {self.most:g}, mean {self.mean:.4g}, standard deviation {self.deviation:.4g}",
            ),
            ("images per fold", " ".join(map(str, self.folds))),
            ("mean per fold", " ".join(f"{one:.4g}" for one in self.fold_means)),
        ]
        return "\n".join(f"{name:<17}{value}" for name, value in rows)


def outlook(path: Path, data: DataSpec, folds: int, minimum: int) -> Outlook | NumberOutlook:
    """Read the label file and count. Without images every row is taken for a picture of its own, or for one of its sighting.

    `data` names columns and the unknown label. Raises OnehourError for a bad file and for fewer images than folds.
    """
    read = read_labels(path, data.image_col, data.label_col, data.sightings_col)
    labels = read.labels
    alone = [f" {row}" for row in range(len(labels))]  # a sighting's name begins with no space
    groups = alone if read.sightings is None else [one or row for one, row in zip(read.sightings, alone, strict=True)]
    if measured(labels):
        numbers, fold_of = as_numbers(labels), np.array(assign_folds(binned(labels), groups, folds, seed=0))
        return NumberOutlook(
            images=len(labels),
            least=float(numbers.min()),
            mean=float(numbers.mean()),
            most=float(numbers.max()),
            deviation=float(numbers.std()),
            folds=tuple(np.bincount(fold_of, minlength=folds).tolist()),
            fold_means=tuple(float(numbers[fold_of == fold].mean()) for fold in range(folds)),
        )
    sizes = Counter(labels)
    unknown = sizes.pop(data.unknown_label, 0) if data.unknown_label is not None else 0
    in_fold = Counter(assign_folds(labels, groups, folds, seed=0))
    return Outlook(
        images=len(labels),
        classes=len(sizes),
        unknown_images=unknown,
        folds=tuple(in_fold[fold] for fold in range(folds)),
        singletons=sum(size == 1 for size in sizes.values()),
        balance=balance_plan(labels, minimum, data.unknown_label),
    )
