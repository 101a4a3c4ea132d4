"""A box for every image of a competition, training and test images by the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine.boxes.model import find, load
from engine.boxes.pictures import decode, pictures_below
from engine.boxes.sheet import Shown, write_sheet
from engine.boxes.train import MARGIN, SHOWN, Say
from engine.checks.facts import Entry
from engine.contract import OnehourError
from engine.data.boxes import FoundBox, crop_of, write_found
from engine.data.csv_table import read_csv_table

_AT_ONCE = 256  # pictures in memory


def apply_boxes(data_dir: Path, model: Path, out: Path, say: Say = lambda line: None) -> tuple[list[FoundBox], Path]:
    """Write a box for each image to `out`, and the least certain crops beside it; returns the boxes and that sheet's path.

    Raises OnehourError for what cannot be read, and rather than replace a file of boxes that no model found.
    """
    _refuse_given_boxes(out)
    net = load(model).to("cuda" if torch.cuda.is_available() else "cpu")
    pictures = pictures_below(data_dir)
    found: list[FoundBox] = []
    for start in range(0, len(pictures), _AT_ONCE):
        some = pictures[start : start + _AT_ONCE]
        pixels, originals = decode(some, net.size)
        boxes, certainty = find(net, pixels)
        found += [_found(*one) for one in zip(some, boxes, certainty, originals, strict=True)]
        say(f"{len(found)} of {len(pictures)} images")
    order = sorted(range(len(found)), key=lambda place: found[place].certainty)[:SHOWN]
    shown = [
        Shown(pictures[i], found[i].box, f"{found[i].part}/{found[i].image}  certainty {found[i].certainty:.2f}")
        for i in order
    ]
    sheet = out.with_name(f"{out.stem}_least_certain.jpg")
    write_sheet(sheet, shown, MARGIN)
    write_found(out, found)
    return found, sheet


def _found(picture: Entry, box: np.ndarray, certainty: np.ndarray, original: np.ndarray) -> FoundBox:
    width, height = (int(side) for side in original)
    x0, y0, x1, y1 = (float(edge) for edge in box * np.tile(original, 2))
    return FoundBox(picture.image, picture.part, crop_of((x0, y0, x1, y1), width, height, 0), float(certainty))


def _refuse_given_boxes(out: Path) -> None:
    if out.exists() and "certainty" not in read_csv_table(out).columns:
        raise OnehourError(
            "there is a file that no box model wrote", str(out), "Choose another name: drawn boxes are not replaced."
        )
