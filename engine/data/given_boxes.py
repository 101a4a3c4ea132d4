"""data.boxes laid beside the images of a competition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.contract import DataSpec, OnehourError
from engine.data.boxes import Box, read_boxes
from engine.data.competition import Competition
from engine.data.csv_table import counted
from engine.data.files import files_named


@dataclass(frozen=True)
class GivenBoxes:
    """One box an image, training images first, in the order of the competition; None: the whole picture."""

    boxes: tuple[Box | None, ...]
    notes: tuple[str, ...]  # what is odd but no error


def _beside(boxes: Mapping[str, Box], images: Sequence[str]) -> list[Box | None]:
    """Of each image; its name may stand there without the ending."""
    of = dict(zip(files_named(boxes, images), boxes.values(), strict=True))
    return [of.get(image) for image in images]


def given_boxes(data: DataSpec, competition: Competition) -> GivenBoxes:
    """The boxes that `data.boxes` gives to training and test images; without such a file no image has one.

    Raises OnehourError for what is no box, and for a file that names none of the images.
    """
    count = len(competition.images) + len(competition.test_images)
    if data.boxes is None:
        return GivenBoxes((None,) * count, ())
    path = competition.root / data.boxes
    by_part = read_boxes(path)
    boxes = (
        *_beside(by_part["train"], competition.images),
        *_beside(by_part["test"], competition.test_images),
    )
    without = boxes.count(None)
    if without == count:
        raise OnehourError("it names no image of the competition", str(path), "The column image holds file names.")
    if not without:
        return GivenBoxes(boxes, ())
    have, are = ("image has", "is") if without == 1 else ("images have", "are")
    return GivenBoxes(boxes, (f"{counted(without, have, have)} no box in {data.boxes} and {are} used whole.",))
