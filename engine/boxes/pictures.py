"""The pictures below a competition's folders, as a box model sees them: whole, at one small size, in no memory to speak of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engine.contract import DataSpec, OnehourError
from engine.data.boxes import PARTS
from engine.data.competition import IMAGE_SUFFIXES
from engine.data.decode import read_image


@dataclass(frozen=True)
class Picture:
    """A file of the part train or test; `image` is its name below the part's folder, with forward slashes."""

    part: str
    image: str
    path: Path


def pictures_below(data_dir: Path) -> list[Picture]:
    """All images of both parts, in order. Raises OnehourError where a folder is missing or there is no image at all."""
    data = DataSpec(dir=str(data_dir.expanduser()))
    found = []
    for part, name in zip(PARTS, (data.train_images, data.test_images), strict=True):
        folder = Path(data.dir) / name
        if not folder.is_dir():
            raise OnehourError("there is no such folder", str(folder), "DATA_DIR holds train/ and test/.")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith("."):
                found.append(Picture(part, path.relative_to(folder).as_posix(), path))
    if not found:
        raise OnehourError("there is no image in train/ or test/", data.dir)
    return found


def decode(pictures: Sequence[Picture], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """RGB uint8 (N, height, width, 3) of `size`, and the (width, height) of each upright original, (N, 2).

    Raises OnehourError naming the file that cannot be decoded.
    """

    def one(picture: Picture) -> tuple[np.ndarray, tuple[int, int]]:
        image = read_image(picture.path)
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), _original_size(picture.path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = list(pool.map(one, pictures))
    return np.stack([image for image, _ in seen]), np.array([original for _, original in seen])


def _original_size(path: Path) -> tuple[int, int]:
    """A large picture is decoded at half its size or less; boxes are in pixels of the file as it is seen."""
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) >= 5
        return (image.height, image.width) if turned else (image.width, image.height)
