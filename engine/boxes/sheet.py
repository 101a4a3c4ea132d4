"""A contact sheet of boxes: the answer to "how do I know that the cropping is right?" for the images it knows least about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.checks.facts import Entry
from engine.data.boxes import Box, crop_of
from engine.data.decode import read_image, upright_size
from engine.run_folder import atomic_file

CELL = (120, 200)  # (height, width) of the picture, and of its crop beside it
CAPTION, GAP, COLUMNS = 18, 8, 3
_FOUND, _TRUE, _PAPER, _INK = (230, 120, 0), (255, 255, 255), (245, 245, 245), (30, 30, 30)  # RGB


@dataclass(frozen=True)
class Shown:
    """An image with the box that was found, the true one where it is known, in pixels, and what stands below."""

    picture: Entry
    found: Box
    caption: str
    true: Box | None = None


def write_sheet(path: Path, shown: Sequence[Shown], margin: float) -> None:
    """Write a JPEG: of each image the whole with its box (orange; the true one white), and the crop with `margin`."""
    height, width = CELL[0] + CAPTION + GAP, 2 * CELL[1] + GAP
    rows = -(-len(shown) // COLUMNS)
    sheet = np.full((rows * height + GAP, COLUMNS * (width + GAP) + GAP, 3), _PAPER, np.uint8)
    for place, one in enumerate(shown):
        top, left = (place // COLUMNS) * height + GAP, (place % COLUMNS) * (width + GAP) + GAP
        size = upright_size(one.picture.path)
        whole = _fitted(read_image(one.picture.path), one, size)
        sheet[top : top + whole.shape[0], left : left + whole.shape[1]] = whole
        crop = _shrunk(read_image(one.picture.path, crop_of(one.found, *size, margin)))
        right = left + CELL[1] + GAP // 2
        sheet[top : top + crop.shape[0], right : right + crop.shape[1]] = crop
        where = (left, top + CELL[0] + CAPTION - 5)
        cv2.putText(sheet, one.caption, where, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    with atomic_file(path) as file:
        file.write(cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


def _fitted(image: np.ndarray, one: Shown, size: tuple[int, int]) -> np.ndarray:
    """The picture in a cell with its boxes, which are in pixels of the original of `size` (width, height)."""
    small = _shrunk(image)
    scale = small.shape[1] / size[0], small.shape[0] / size[1]
    for box, colour in ((one.true, _TRUE), (one.found, _FOUND)):
        if box is not None:
            x0, y0, x1, y1 = (round(edge * scale[i % 2]) for i, edge in enumerate(box))
            cv2.rectangle(small, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
    return small


def _shrunk(image: np.ndarray) -> np.ndarray:
    """As large as fits into a cell, of the same shape."""
    scale = min(CELL[0] / image.shape[0], CELL[1] / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
