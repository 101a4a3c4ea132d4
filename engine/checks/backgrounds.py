"""What stands around the animal of a picture, and whether another picture shows the same stones and branches.

A match is a point beyond the animal that is found again, with its neighbours, at the same place of a picture that was
only moved and resized.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engine.checks.facts import Entry
from engine.data.boxes import Box
from engine.data.decode import read_image, upright_size
from engine.data.points import near_centre, points_of

MATCHES = 6  # that make two backgrounds the same
_RATIO = 0.85  # of the distances to the nearest and the second nearest point
_OFF = 5.0 / 320  # of the picture's longest side: how far a match may lie off
_SCALE, _TURN = 3.0, 15.0  # most by which a picture may be larger, or turned (degrees)


@dataclass(frozen=True)
class Background:
    """Points beyond the animal: `places` (n, 2) in longest sides of the picture, `descriptors` (n, 128)."""

    places: np.ndarray
    descriptors: np.ndarray


NOTHING = Background(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))


def background_of(picture: Entry, box: Box | None) -> Background:
    """The points of a picture outside its box, or where it has none, off the centre."""
    places, descriptors = points_of(read_image(picture.path))
    size = np.array(upright_size(picture.path), np.float32)
    if box is None:
        beyond = ~near_centre(places)
    else:
        x, y = (places * size).T
        beyond = (x < box[0]) | (x >= box[2]) | (y < box[1]) | (y >= box[3])
    return Background((places * (size / size.max()))[beyond], descriptors[beyond])


def matches(one: Background, other: Background) -> int:
    """How many points of two backgrounds are found again where a picture that was moved and resized would have them."""
    if min(len(one.places), len(other.places)) < MATCHES:
        return 0
    cosines = one.descriptors @ other.descriptors.T
    nearest = cosines.argmax(axis=1)
    best, second = -np.sort(-np.partition(cosines, -2, axis=1)[:, -2:], axis=1).T
    mutual = cosines.argmax(axis=0)[nearest] == np.arange(len(nearest))
    clear = np.sqrt(np.maximum(2 - 2 * best, 0)) < _RATIO * np.sqrt(np.maximum(2 - 2 * second, 0))
    pairs = np.flatnonzero(mutual & clear)
    if len(pairs) < MATCHES:
        return 0
    moved, kept = cv2.estimateAffinePartial2D(
        one.places[pairs], other.places[nearest[pairs]], ransacReprojThreshold=_OFF, maxIters=500
    )
    if moved is None:
        return 0
    scale, turn = np.hypot(*moved[:, 0]), np.degrees(np.arctan2(moved[1, 0], moved[0, 0]))
    return int(kept.sum()) if 1 / _SCALE < scale < _SCALE and abs(turn) < _TURN else 0
