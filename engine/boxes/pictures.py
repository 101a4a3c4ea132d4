"""The pictures below a competition's folders, as a box model sees them: whole, at one small size, in no memory to speak of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.checks.facts import Entry
from engine.contract import DataSpec, OnehourError
from engine.data.boxes import PARTS
from engine.data.decode import read_image, upright_size
from engine.data.files import files_below, is_image


@dataclass(frozen=True)
class Decoded:
    """Pictures that could be decoded, and why the others could not."""

    pictures: tuple[Entry, ...]
    pixels: np.ndarray  # RGB uint8 (N, height, width, 3)
    originals: np.ndarray  # (N, 2): width and height of each upright original
    refused: tuple[OnehourError, ...]  # each names its file


def pictures_below(data: DataSpec) -> list[Entry]:
    """All images of both parts, in order. Raises OnehourError where a folder is missing or there is no image at all."""
    root = Path(data.dir).expanduser()
    found: list[Entry] = []
    for part, name in zip(PARTS, (data.train_images, data.test_images), strict=True):
        folder = root / name
        if not folder.is_dir():
            raise OnehourError(
                "there is no such folder",
                str(folder),
                "--set data.train_images=… and data.test_images=… name other folders.",
            )
        found += [Entry(part, image, folder / image) for image in files_below(folder) if is_image(image)]
    if not found:
        raise OnehourError(f"there is no image in {data.train_images}/ or {data.test_images}/", str(root))
    return found


def decode(pictures: Sequence[Entry], size: tuple[int, int]) -> Decoded:
    """The pictures at `size` (height, width), in order; those that cannot be decoded are left out and named."""

    def one(picture: Entry) -> tuple[np.ndarray, tuple[int, int]] | OnehourError:
        try:
            image = read_image(picture.path)
        except OnehourError as refusal:
            return refusal
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), upright_size(picture.path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = list(zip(pictures, pool.map(one, pictures), strict=True))
    whole = [(picture, *found) for picture, found in seen if not isinstance(found, OnehourError)]
    return Decoded(
        pictures=tuple(picture for picture, _, _ in whole),
        pixels=np.array([image for _, image, _ in whole], np.uint8).reshape(-1, *size, 3),
        originals=np.array([original for _, _, original in whole], np.int64).reshape(-1, 2),
        refused=tuple(found for _, found in seen if isinstance(found, OnehourError)),
    )
