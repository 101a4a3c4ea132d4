"""A contact sheet of boxes: the answer to "how do I know that the cropping is right?" for the images it knows least about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.checks import sheets
from engine.checks.facts import Entry
from engine.data.boxes import Box, crop_of
from engine.data.decode import read_image, upright_size

_FOUND, _TRUE = (230, 120, 0), (255, 255, 255)  # RGB


@dataclass(frozen=True)
class Shown:
    """An image with the box that was found, the true one where it is known, in pixels, and what stands below."""

    picture: Entry
    found: Box
    words: str
    true: Box | None = None


def write_sheet(path: Path, shown: Sequence[Shown], margin: float) -> None:
    """Write a JPEG: of each image the whole with its box (orange; the true one white), and the crop with `margin`."""
    across = min(sheets.PAIRS_ACROSS, max(1, len(shown)))
    sheet = sheets.blank(2 * across, -(-len(shown) // across), pairs=True)
    for place, one in enumerate(shown):
        column, row = 2 * (place % across), place // across
        size = upright_size(one.picture.path)
        whole = _with_boxes(read_image(one.picture.path), one, size)
        name = f"{one.picture.part}/{one.picture.image}"
        sheets.paste(sheet, column, row, whole, name, one.words, pairs=True)
        crop = read_image(one.picture.path, crop_of(one.found, *size, margin))
        sheets.paste(sheet, column + 1, row, crop, "", "", pairs=True)
    sheets.write_jpeg(path, sheet)


def _with_boxes(image: np.ndarray, one: Shown, size: tuple[int, int]) -> np.ndarray:
    """The picture as small as on the sheet, with its boxes, which are in pixels of the original of `size` (width, height)."""
    height, width = image.shape[:2]
    shrink = min(1.0, sheets.TILE[0] / width, sheets.TILE[1] / height)
    across, down = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = np.ascontiguousarray(cv2.resize(image, (across, down), interpolation=cv2.INTER_AREA))
    scale = across / size[0], down / size[1]
    for box, colour in ((one.true, _TRUE), (one.found, _FOUND)):
        if box is not None:
            x0, y0, x1, y1 = (round(edge * scale[i % 2]) for i, edge in enumerate(box))
            cv2.rectangle(small, (x0, y0), (x1 - 1, y1 - 1), colour, 2)
    return small
