"""What one fold sees of the competition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.cache import Pixels


@dataclass(frozen=True)
class FoldData:
    """What one fold sees. `classes`: the labels in the order of the targets; rows point into `pixels` and `names`.

    Where numbers are predicted (head: number) there are no `classes`, and the targets are the numbers, float32.
    `pixels`: uint8 (N, h, w, 3) at the size of validation and test images; `names`: the file of each.
    `valid_targets` is -1 for an image whose label the fold did not train on; such images have no loss.
    """

    pixels: Pixels
    names: tuple[str, ...]
    classes: tuple[str, ...]
    train_rows: np.ndarray
    train_targets: np.ndarray
    valid_rows: np.ndarray
    valid_targets: np.ndarray

    @property
    def outputs(self) -> int:
        """What a net of this fold gives an image: a logit a class, or one number."""
        return len(self.classes) or 1

    @property
    def answerable(self) -> np.ndarray:
        """Which of the validation images have a loss: (V,) bool."""
        return self.valid_targets >= 0 if self.classes else np.ones(len(self.valid_targets), bool)
