"""Points of interest: does the same mark, stripe or notch appear in two pictures?

A net of an hour's training knows what kind of animal it sees better than which one. SIFT points need no training and
find the same marks again; on animals with patterns the two together are well ahead of either. Only points near the
centre count: those of the background find the same place and hour again, which looks splendid in validation where
pictures of one encounter lie in different folds, and is worth nothing on pictures of other encounters.

The scoring is that of local naive Bayes nearest neighbour (McCann and Lowe, 2012): a point votes for the images of its
nearest neighbours by how much nearer they are than the next one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from engine.data.boxes import Box
from engine.data.decode import read_image

SIDE = 320  # pixels of the longest side, at which points are looked for
POINTS = 400  # strongest points of an image, before those off the centre are dropped
CENTRE = (0.36, 0.32)  # half axes of the ellipse that counts, as shares of width and height
NEIGHBOURS = 5
CELLS = 2**26  # similarities held at a time (256 MB)


@dataclass(frozen=True)
class Points:
    """`descriptors` (n, 128) float32 of length 1; `image` (n,): the row of the image that each belongs to."""

    descriptors: np.ndarray
    image: np.ndarray

    def of(self, rows: np.ndarray) -> Points:
        """The points of the images `rows`, renumbered 0…len(rows)-1 in that order."""
        place = np.full(int(max(self.image.max(initial=0), rows.max(initial=0))) + 1, -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.image] >= 0
        return Points(self.descriptors[kept], place[self.image[kept]])


def find_points(paths: Sequence[Path], boxes: Sequence[Box | None], margin: float, check: Callable[[], None]) -> Points:
    """The points of all images near their centre, each cut to its box with `margin` where it has one, as for the net.

    Asks `check` before each image, so that it may end the search. Raises OnehourError naming a file that cannot be decoded.
    """

    def one(path: Path, box: Box | None) -> np.ndarray:
        check()
        return _points_of(read_image(path, box, margin))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(one, paths, boxes))
    return Points(np.concatenate(found), np.repeat(np.arange(len(found)), [len(one) for one in found]))


def evidence(
    queries: Points, images: int, known: Points, targets: np.ndarray, classes: int, check: Callable[[], None]
) -> np.ndarray:  # fmt: skip
    """How far each class stands out for each of `images` query images: (images, classes) float32.

    In deviations from the row's mean over the classes; a class counts by its best image. `targets` (m,): the class of
    each known image. Rows without any match are 0. `check` is asked before each block of points.
    """
    votes = np.zeros((images, len(targets)), np.float32)
    if len(queries.image) and len(known.image) > NEIGHBOURS:
        table = torch.from_numpy(known.descriptors).T.contiguous()
        step = max(1, CELLS // len(known.image))
        for start in range(0, len(queries.image), step):
            check()
            chunk = torch.from_numpy(queries.descriptors[start : start + step])
            cosines, nearest = (chunk @ table).topk(NEIGHBOURS + 1, dim=1)
            distance = (2 - 2 * cosines).clamp(min=0).sqrt().numpy()
            gain = distance[:, -1:] - distance[:, :-1]
            seen_in = np.repeat(queries.image[start : start + step], NEIGHBOURS)
            np.add.at(votes, (seen_in, known.image[nearest[:, :-1].numpy()].ravel()), gain.ravel())
    best = torch.zeros(images, classes).scatter_reduce_(
        1, torch.from_numpy(targets).expand(images, -1), torch.from_numpy(votes), "amax"
    )
    deviation, mean = torch.std_mean(best, dim=1, keepdim=True, correction=0)
    return ((best - mean) / deviation.clamp(min=1e-9)).numpy()


def with_evidence(probabilities: np.ndarray, stands_out: np.ndarray) -> np.ndarray:
    """Multiply each probability by exp(evidence) and make the rows sum to 1 again: (n, classes) each."""
    logits = torch.from_numpy(np.log(probabilities + 1e-5) + stands_out)
    return torch.softmax(logits, dim=1).numpy()


def _points_of(image: np.ndarray) -> np.ndarray:
    """RootSIFT descriptors (n, 128) float32 of one image, RGB (h, w, 3)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = SIDE / max(grey.shape)
    size = (max(16, round(grey.shape[1] * scale)), max(16, round(grey.shape[0] * scale)))
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    grey = cv2.createCLAHE(2.0, (4, 4)).apply(grey)
    points, descriptors = cv2.SIFT.create(nfeatures=POINTS, contrastThreshold=0.01).detectAndCompute(grey, None)
    if not points:
        return np.zeros((0, 128), np.float32)
    off_centre = (np.array([point.pt for point in points]) / size - 0.5) / CENTRE
    descriptors = descriptors[(off_centre**2).sum(axis=1) < 1]
    return np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-7))
