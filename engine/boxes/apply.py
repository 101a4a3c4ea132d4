"""A box for every image of a competition, training and test images by the same model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine.boxes.learning import Say
from engine.boxes.model import find, load
from engine.boxes.pictures import decode, pictures_below
from engine.boxes.sheet import Shown, write_sheet
from engine.boxes.train import MARGIN, SHOWN, held_out_iou
from engine.check_folder import FoundBoxes, found_boxes_json, least_certain_jpg
from engine.checks.facts import Entry
from engine.contract import DataSpec, OnehourError
from engine.data.boxes import PARTS, FoundBox, crop_of, write_found
from engine.data.csv_table import counted, read_csv_table
from engine.run_folder import write_json

_AT_ONCE = 256  # pictures in memory


@dataclass(frozen=True)
class Applied:
    """What was found, and what to know about it."""

    found: tuple[FoundBox, ...]
    learnt: dict[str, int]  # by part: images whose box the model was trained on
    skipped: tuple[str, ...]  # a sentence for each file that cannot be decoded: it has no box
    held_out_iou: float | None  # of the model, as its training told; None where its report is gone
    sheet: Path

    @property
    def note(self) -> str:
        """How far the crops of training and test images are made alike."""
        of = {part: sum(one.part == part for one in self.found) for part in PARTS}
        named = {"train": "training image", "test": "test image"}
        train, test = (f"{self.learnt[part]} of {counted(of[part], named[part])}" for part in PARTS)
        worth = "unknown, its report is gone" if self.held_out_iou is None else f"{self.held_out_iou:.3f}"
        return (
            f"mean IoU on boxes held out of training: {worth}; the model was trained on the boxes of {train} and {test}: there "
            "its boxes are likely truer than that"
        )


def apply_boxes(data: DataSpec, model: Path, out: Path, say: Say = lambda line: None) -> Applied:
    """Write a box for each image to `out`; the least certain crops and a report go beside it.

    An image that cannot be decoded has no box and is named. Raises OnehourError for what else cannot be read, where no
    image can be decoded, and rather than replace a file of boxes that no model found.
    """
    _refuse_given_boxes(out)
    net = load(model).to("cuda" if torch.cuda.is_available() else "cpu")
    pictures = pictures_below(data)
    whole: list[Entry] = []
    found: list[FoundBox] = []
    refused: list[OnehourError] = []
    for start in range(0, len(pictures), _AT_ONCE):
        some = decode(pictures[start : start + _AT_ONCE], net.size)
        refused += some.refused
        if some.pictures:
            boxes, certainty = find(net, some.pixels)
            whole += some.pictures
            found += [_found(*one) for one in zip(some.pictures, boxes, certainty, some.originals, strict=True)]
        say(f"{len(found) + len(refused)} of {len(pictures)} images")
    if not found:
        raise refused[0]
    order = sorted(range(len(found)), key=lambda place: found[place].certainty)[:SHOWN]
    shown = [Shown(whole[i], found[i].box, f"certainty {found[i].certainty:.2f}") for i in order]
    there = {(one.part, one.image) for one in found}
    made = Applied(
        found=tuple(found),
        learnt={part: sum(one[0] == part and one in there for one in net.learnt) for part in PARTS},
        skipped=tuple(str(one) for one in refused),
        held_out_iou=held_out_iou(model),
        sheet=least_certain_jpg(out),
    )
    write_sheet(made.sheet, shown, MARGIN)
    report = FoundBoxes(boxes=len(found), learnt=made.learnt, note=made.note, skipped=made.skipped)
    write_json(found_boxes_json(out), report.model_dump(mode="json"))
    write_found(out, found)
    return made


def _found(picture: Entry, box: np.ndarray, certainty: np.ndarray, original: np.ndarray) -> FoundBox:
    width, height = (int(side) for side in original)
    x0, y0, x1, y1 = (float(edge) for edge in box * np.tile(original, 2))
    return FoundBox(picture.image, picture.part, crop_of((x0, y0, x1, y1), width, height, 0), float(certainty))


def _refuse_given_boxes(out: Path) -> None:
    if out.exists() and "certainty" not in read_csv_table(out).columns:
        raise OnehourError(
            "there is a file that no box model wrote", str(out), "Choose another name: drawn boxes are not replaced."
        )
