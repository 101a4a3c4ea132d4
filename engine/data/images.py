"""The data sets and the loader that feed decoded images (engine.data.cache) to training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from fastai.data.load import DataLoader

from engine.data.augment import A, draw_seed
from engine.data.balance import Draws
from engine.data.cache import Pixels


class TrainingImages(torch.utils.data.Dataset):
    """Items of training: (3, h, w) uint8 and the target, int64 for a class, float32 for a number.

    Item i < n is image i; with `mirrored`, item n + i is its mirror image with target + `classes`. All that is random
    is a function of (seed, epoch, item), so that workers, restarts and machines draw the same. Item i + k × len is item i
    too, drawn for the k-th time again and augmented anew.
    """

    def __init__(
        self, pixels: Pixels, rows: np.ndarray, targets: np.ndarray, classes: int, *, mirrored: bool,
        augment: A.Compose | None, seed: int,
    ) -> None:  # fmt: skip
        self.pixels, self.rows, self.augment, self.seed, self.epoch = pixels, rows, augment, seed, 0
        self.targets = targets
        if mirrored:  # a negative is one in the mirror, too
            self.targets = np.concatenate([targets, np.where(targets < 0, -1, targets + classes)])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        item, n = int(item), len(self.rows)
        place = item % len(self.targets)
        # A copy of its own: some transforms write into what they are given.
        image = np.array(self.pixels[self.rows[place % n]])
        if place >= n:
            image = image[:, ::-1]
        if self.augment is not None:
            self.augment.set_random_seed(draw_seed(self.seed, self.epoch, item))
            image = self.augment(image=np.ascontiguousarray(image))["image"]
        return as_tensor(image), torch.tensor(self.targets[place])


class PlainImages(torch.utils.data.Dataset):
    """Items as they are: (3, h, w) uint8 and the target."""

    def __init__(self, pixels: Pixels, rows: np.ndarray, targets: np.ndarray) -> None:
        self.pixels, self.rows, self.targets = pixels, rows, targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        return as_tensor(self.pixels[self.rows[int(item)]]), torch.tensor(self.targets[int(item)])


class EpochLoader(DataLoader):
    """fastai's loader with an order that is a function of (seed, epoch). `start` comes before iterating.

    `draws`: the number of items an epoch, and a function that draws as many with a random generator (see
    engine.data.balance). An epoch ends with its last whole batch of `bs`, of which this loader gives the piece `rank` of
    `ranks` equal ones.
    """

    def __init__(
        self, dataset: TrainingImages, draws: Draws, seed: int, *, bs: int, rank: int = 0, ranks: int = 1, **kwargs
    ) -> None:
        super().__init__(dataset, n=draws.number // ranks, bs=bs // ranks, drop_last=True, **kwargs)
        self.draw, self.seed, self.epoch, self.skipped = draws.draw, seed, 0, 0
        self.whole, self.rank, self.ranks = bs, rank, ranks

    def start(self, epoch: int, batch: int = 0) -> None:
        """Make ready for `epoch` from its `batch` on: the images of the batches before are not even looked at."""
        self.epoch, self.skipped = epoch, batch
        self.dataset.epoch = epoch

    def get_idxs(self) -> list[int]:
        order = self.order()[self.skipped * self.whole :]
        if self.ranks == 1:
            return order
        batches = np.array(order[: len(order) // self.whole * self.whole], int).reshape(-1, self.ranks, self.bs)
        return batches[:, self.rank].ravel().tolist()

    def items_of(self, batch: int) -> list[int]:
        """The items of a batch of the epoch, all pieces of it."""
        return self.order()[batch * self.whole : (batch + 1) * self.whole]

    def order(self) -> list[int]:
        """All items of the epoch in the order in which they are drawn."""
        return self.draw(np.random.default_rng(draw_seed(self.seed, "order", self.epoch))).tolist()


class GreyImages:
    """`pixels` without colour, three equal channels: what an RGB net sees of a grey photograph."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        image = self.pixels[rows]
        rows_of_pixels = image.reshape(-1, image.shape[-2], 3)
        if not rows_of_pixels.size:
            return image
        return cv2.cvtColor(cv2.cvtColor(rows_of_pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).reshape(image.shape)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """(h, w, 3) → (3, h, w), as a copy of its own."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def batches(pixels: Pixels, rows: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    """The images of `rows` in order, as (b, 3, h, w) uint8 tensors."""
    for start in range(0, len(rows), size):
        chunk = pixels[rows[start : start + size]]
        yield torch.from_numpy(np.ascontiguousarray(chunk.transpose(0, 3, 1, 2)))
