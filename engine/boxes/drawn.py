"""The boxes that a person drew: matched with their pictures, and parted into those to learn from and those held out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.boxes.pictures import pictures_below
from engine.checks.copies import near_pairs
from engine.checks.facts import Entry
from engine.checks.picture import look_at
from engine.contract import DataSpec, OnehourError
from engine.data.boxes import read_boxes
from engine.data.csv_table import counted
from engine.data.folds import assign_folds
from engine.data.groups import group

ONE_IN = 5  # boxes held out
FEWEST = 10  # boxes, of different pictures: with fewer nothing can be held out that tells anything


@dataclass(frozen=True)
class DrawnBoxes:
    """Pictures with their boxes in pixels (N, 4); `unnamed`: boxes that name no picture."""

    pictures: tuple[Entry, ...]
    boxes: np.ndarray
    unnamed: int

    def of(self, pictures: Sequence[Entry]) -> DrawnBoxes:
        """Those of `pictures` alone, which are some of them in their order."""
        wanted = set(pictures)
        kept = [place for place, one in enumerate(self.pictures) if one in wanted]
        return DrawnBoxes(tuple(pictures), self.boxes[kept], self.unnamed)


def matched(data: DataSpec, boxes_csv: Path) -> DrawnBoxes:
    """The pictures below the folders of `data` that have a box. Raises OnehourError where none has."""
    given = read_boxes(boxes_csv)
    everything = pictures_below(data)
    with_box = [one for one in everything if one.image in given[one.part]]
    named = {one.image for one in with_box}
    unnamed = {image for part in given.values() for image in part} - named
    if not with_box:
        first = next(iter(unnamed), "")
        raise OnehourError(
            f"no box belongs to an image below {data.dir}" + (f"; the first is for {first!r}" if first else ""),
            str(boxes_csv),
            f"The column image holds file names below {data.train_images}/ or {data.test_images}/, ending included.",
        )
    boxes = np.array([given[one.part][one.image] for one in with_box], np.float64)
    return DrawnBoxes(tuple(with_box), boxes, len(unnamed))


def refuse_outside(given: DrawnBoxes, originals: np.ndarray) -> None:
    """Raise OnehourError where a box lies outside its picture; `originals` (N, 2): width and height of each."""
    pictures, boxes = given.pictures, given.boxes
    outside = (boxes[:, :2] >= originals).any(1) | (boxes[:, 2:] <= 0).any(1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        width, height = originals[first]
        raise OnehourError(
            f"the box {', '.join(f'{edge:g}' for edge in boxes[first])} lies outside its picture of {width} × {height} pixels",
            f"{pictures[first].part}/{pictures[first].image}",
            "Boxes are in pixels of the upright picture.",
        )


def held_out(pictures: Sequence[Entry]) -> np.ndarray:
    """Which boxes are held out, (N,) bool: about one in five, copies and near copies on one side."""
    with ThreadPoolExecutor() as pool:
        seen = list(pool.map(look_at, [one.path for one in pictures]))
    names = [f"{one.part}/{one.image}" for one in pictures]
    numbers = group(names, [""] * len(names), [one.content for one in seen], near_pairs(seen).pairs()).number
    if (different := len(set(numbers))) < FEWEST:
        raise OnehourError(
            f"only {counted(different, 'different picture has', 'different pictures have')} a box",
            fix=f"Draw boxes for at least {FEWEST}, better for a few hundred.",
        )
    return np.array(assign_folds([""] * len(names), numbers, ONE_IN, seed=0)) == 0
