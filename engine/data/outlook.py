"""What a label file alone says: folds, labels with one image, and the cost of balancing. No image is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engine.data.balance import BalancePlan, balance_plan
from engine.data.competition import read_labels
from engine.data.csv_table import counted
from engine.data.folds import assign_folds


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


def outlook(path: Path, image_col: str, label_col: str, unknown_label: str | None, folds: int, minimum: int) -> Outlook:
    """Read the label file and count. Without images every row is taken for a picture of its own.

    Raises OnehourError for a bad file and for fewer images than folds.
    """
    labels = read_labels(path, image_col, label_col).labels
    sizes = Counter(labels)
    unknown = sizes.pop(unknown_label, 0) if unknown_label is not None else 0
    in_fold = Counter(assign_folds(labels, range(len(labels)), folds, seed=0))
    return Outlook(
        images=len(labels),
        classes=len(sizes),
        unknown_images=unknown,
        folds=tuple(in_fold[fold] for fold in range(folds)),
        singletons=sum(size == 1 for size in sizes.values()),
        balance=balance_plan(labels, minimum, unknown_label),
    )
