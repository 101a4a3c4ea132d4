"""Images decoded once at target size, and the data sets and the loader that feed them to training.

Decoding costs more than training a small net on a CPU, so every run reads each file once into a uint8 memory map.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from fastai.data.load import DataLoader

from engine.contract import OnehourError
from engine.data.augment import A, draw_seed

log = logging.getLogger(__name__)
cv2.setNumThreads(0)  # its threads fight torch's, and do not survive the fork of loader workers


def decode_images(paths: Sequence[Path], size: tuple[int, int], cache_dir: Path) -> np.ndarray:
    """Decode and resize `paths` to RGB, uint8 (N, height, width, 3), in a memory map that vanishes with the process.

    Raises OnehourError naming the file that cannot be decoded.
    """
    height, width = size
    with tempfile.TemporaryFile(dir=cache_dir) as file:  # unlinked already: a killed run leaves nothing behind
        pixels = np.memmap(file, np.uint8, "w+", shape=(max(1, len(paths)), height, width, 3))[: len(paths)]

    def decode(i: int) -> None:
        image = cv2.imread(str(paths[i]), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise OnehourError("the image cannot be decoded", str(paths[i]), "Fetch the file again or remove its row.")
        pixels[i] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(decode, range(len(paths))):
            pass
    return pixels


class TrainingImages(torch.utils.data.Dataset):
    """Items of training: (3, h, w) uint8 and the target.

    Item i < n is image i; with `mirrored`, item n + i is its mirror image with target + `classes`. All that is random
    is a function of (seed, epoch, item), so that workers, restarts and machines draw the same.
    """

    def __init__(
        self, pixels: np.ndarray, rows: np.ndarray, targets: np.ndarray, classes: int, *, mirrored: bool,
        augment: A.Compose | None, seed: int,
    ) -> None:  # fmt: skip
        self.pixels, self.rows, self.augment, self.seed, self.epoch = pixels, rows, augment, seed, 0
        self.targets = np.concatenate([targets, targets + classes]) if mirrored else targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        item = int(item)
        n = len(self.rows)
        image = self.pixels[self.rows[item % n]]
        if item >= n:
            image = image[:, ::-1]
        if self.augment is not None:
            self.augment.set_random_seed(draw_seed(self.seed, self.epoch, item))
            image = self.augment(image=np.ascontiguousarray(image))["image"]
        return as_tensor(image), torch.tensor(self.targets[item], dtype=torch.int64)


class PlainImages(torch.utils.data.Dataset):
    """Items as they are: (3, h, w) uint8 and the target."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray, targets: np.ndarray) -> None:
        self.pixels, self.rows, self.targets = pixels, rows, targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        return as_tensor(self.pixels[self.rows[int(item)]]), torch.tensor(self.targets[int(item)], dtype=torch.int64)


class EpochLoader(DataLoader):
    """fastai's loader with an order that is a function of (seed, epoch). Set `epoch` before iterating.

    `weights` (one an item) draws as many items as there are, with replacement; without, each item comes once.
    `draws` sets the number of items an epoch (all when None).
    """

    def __init__(self, dataset: TrainingImages, weights: np.ndarray | None, draws: int, seed: int, **kwargs) -> None:
        super().__init__(dataset, n=draws, drop_last=True, **kwargs)
        self.weights, self.seed, self.epoch = weights, seed, 0

    def start(self, epoch: int) -> None:
        self.epoch = self.dataset.epoch = epoch

    def get_idxs(self) -> list[int]:
        random = np.random.default_rng(draw_seed(self.seed, "order", self.epoch))
        if self.weights is None:
            return random.permutation(len(self.dataset))[: self.n].tolist()
        share = np.cumsum(self.weights / self.weights.sum())
        # One draw in each of n equal strips: every item comes about as often as its weight says, not more by luck.
        strips = (np.arange(self.n) + random.random(self.n)) / self.n
        return random.permutation(np.minimum(np.searchsorted(share, strips), len(share) - 1)).tolist()


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """(h, w, 3) → (3, h, w), as a copy of its own."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def batches(pixels: np.ndarray, rows: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    """The images of `rows` in order, as (b, 3, h, w) uint8 tensors."""
    for start in range(0, len(rows), size):
        chunk = pixels[rows[start : start + size]]
        yield torch.from_numpy(np.ascontiguousarray(chunk.transpose(0, 3, 1, 2)))
