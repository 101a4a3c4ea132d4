"""Points of interest: does the same mark, stripe or notch appear in two pictures?

A net of an hour's training knows what kind of animal it sees better than which one. SIFT points need no training and
find the same marks again; on animals with patterns they are well ahead of such a net, which is heard beside them. Only
points near the centre count: those of the background find the same place and hour again, which looks splendid in
validation where pictures of one encounter lie in different folds, and is worth nothing on pictures of other encounters.

The scoring is that of local naive Bayes nearest neighbour (McCann and Lowe, 2012): a point votes for the classes of its
nearest neighbours by how much nearer they are than the next one. Neighbours are looked for in randomised k-d trees (Muja
and Lowe, 2009), which find most of the nearest ones in a fraction of the time that looking at all of them takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.data.boxes import Box
from engine.data.cache import digest_of
from engine.data.cache_arrays import cached_array
from engine.data.decode import read_image
from engine.data.points import near_centre, points_of
from engine.data.progress import progress

FORMAT = 2  # to be raised when points are described or matched in another way
NEIGHBOURS = 3
TREES, LEAVES = 4, 512  # trees of the index, and how many of their leaves a search looks at
BLOCK = 4096  # points that are looked for at a time
WEIGHT = 1.5  # of the evidence
MANY = 170  # classes: with more of them a chance match would stand out by ever more deviations, over any net
NET_WEIGHT = 0.5  # of the logarithm of a net's probability: nets are surer than they are right


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
        places, descriptors = points_of(read_image(path, box, margin))
        return descriptors[near_centre(places)]

    found: list[np.ndarray] = []
    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        progress("looking for points of interest, image by image", len(paths)) as advance,
    ):
        for descriptors in pool.map(one, paths, boxes):
            found.append(descriptors)
            advance()
    return Points(np.concatenate(found), np.repeat(np.arange(len(found)), [len(one) for one in found]))


class Landmarks:
    """The points of a run's images, found when they are first needed; `paths` and `boxes` as the net sees the images."""

    def __init__(self, paths: Sequence[Path], boxes: Sequence[Box | None], margin: float) -> None:
        self.paths, self.boxes, self.margin = paths, boxes, margin
        self._points: Points | None = None

    def points(self, check: Callable[[], None]) -> Points:
        if self._points is None:
            self._points = find_points(self.paths, self.boxes, self.margin, check)
        return self._points

    def key(self, asked: object, rows: np.ndarray) -> str:
        """A name in the cache for what is `asked` of the images `rows`."""
        found = FORMAT, cv2.__version__, self.margin if any(self.boxes) else 0.0
        paths, boxes = [self.paths[row] for row in rows], [self.boxes[row] for row in rows]
        return digest_of((found, asked), paths, boxes)


class Matcher:
    """How far each class stands out in an image, by the points that it shares with the class's known images.

    `known_rows` (m,) are rows of `landmarks`, `targets` (m,) the class of each. The same rows asked again, by another run
    too, are answered from the cache.
    """

    def __init__(self, landmarks: Landmarks, known_rows: np.ndarray, targets: np.ndarray, classes: int) -> None:
        self.landmarks, self.known_rows, self.targets, self.classes = landmarks, known_rows, targets, classes
        self._index: _Index | None = None

    def evidence(self, rows: np.ndarray, check: Callable[[], None]) -> np.ndarray:
        """For the images `rows` (n,): (n, classes) float32, in deviations from the row's mean over the classes.

        Where there are more than MANY classes, as many deviations as there would be with MANY. Rows without any match are 0.
        `check` is asked before each image and each block of points.
        """
        asked = len(rows), self.classes, self.targets.tolist()
        key = self.landmarks.key(asked, np.concatenate([rows, self.known_rows]))
        return cached_array(key, lambda: self._matched(rows, check), check)

    def _matched(self, rows: np.ndarray, check: Callable[[], None]) -> np.ndarray:
        points = self.landmarks.points(check)
        if self._index is None:
            self._index = _Index(points.of(self.known_rows))
        known, queries = self._index.known, points.of(rows)
        votes = np.zeros((len(rows), self.classes), np.float32)
        if len(known.image) > NEIGHBOURS:
            nearest, distance = self._index.nearest(queries.descriptors, check)
            gain = distance[:, -1:] - distance[:, :-1]
            voted = self.targets[known.image[nearest[:, :-1]]]
            np.add.at(votes, (np.repeat(queries.image, NEIGHBOURS), voted.ravel()), gain.ravel())
        deviation = votes.std(axis=1, keepdims=True) * max(1.0, self.classes / MANY) ** 0.5
        return (votes - votes.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-9)


class _Index:
    """Known points, in trees that are the same each time."""

    def __init__(self, known: Points) -> None:
        self.known = known
        if len(known.image) > NEIGHBOURS:
            cv2.setRNGSeed(0)
            self._trees = cv2.flann.Index(known.descriptors, {"algorithm": 1, "trees": TREES})  # 1: k-d trees

    def nearest(self, descriptors: np.ndarray, check: Callable[[], None]) -> tuple[np.ndarray, np.ndarray]:
        """The NEIGHBOURS + 1 nearest known points of each, nearest first: places (n, k) and distances (n, k)."""

        def block(start: int) -> tuple[np.ndarray, np.ndarray]:
            check()
            found = self._trees.knnSearch(descriptors[start : start + BLOCK], NEIGHBOURS + 1, params={"checks": LEAVES})
            return found[0], np.sqrt(found[1])

        starts = range(0, len(descriptors), BLOCK)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        with (
            ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
            progress(f"matching points, {BLOCK} at a time", len(starts)) as advance,
        ):
            for one in pool.map(block, starts):
                found.append(one)
                advance()
        places, distances = zip(*found, strict=True)
        return np.concatenate(places), np.concatenate(distances)


def with_evidence(probabilities: np.ndarray, stands_out: np.ndarray) -> np.ndarray:
    """Each probability to the power of NET_WEIGHT times exp(WEIGHT · evidence), rows that sum to 1 again: (n, classes) each."""
    logits = NET_WEIGHT * np.log(probabilities + 1e-5) + WEIGHT * stands_out
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
