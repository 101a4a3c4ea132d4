"""The pictures below a competition's folders, as a box model sees them: whole, at one small size, in no memory to speak of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from engine.checks.facts import Entry
from engine.contract import DataSpec, OnehourError
from engine.data.boxes import PARTS
from engine.data.competition import IMAGE_SUFFIXES
from engine.data.decode import read_image, upright_size


def pictures_below(data_dir: Path) -> list[Entry]:
    """All images of both parts, in order. Raises OnehourError where a folder is missing or there is no image at all."""
    data = DataSpec(dir=str(data_dir.expanduser()))
    found = []
    for part, name in zip(PARTS, (data.train_images, data.test_images), strict=True):
        folder = Path(data.dir) / name
        if not folder.is_dir():
            raise OnehourError("there is no such folder", str(folder), "DATA_DIR holds train/ and test/.")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith("."):
                found.append(Entry(part, path.relative_to(folder).as_posix(), path))
    if not found:
        raise OnehourError("there is no image in train/ or test/", data.dir)
    return found


def decode(pictures: Sequence[Entry], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """RGB uint8 (N, height, width, 3) of `size`, and the (width, height) of each upright original, (N, 2).

    Raises OnehourError naming the file that cannot be decoded.
    """

    def one(picture: Entry) -> tuple[np.ndarray, tuple[int, int]]:
        image = read_image(picture.path)
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), upright_size(picture.path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = list(pool.map(one, pictures))
    return np.stack([image for image, _ in seen]), np.array([original for _, original in seen])
