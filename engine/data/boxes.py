"""A box for an image: the CSV that holds them, and the crop that a box and a margin make of a picture.

image,x0,y0,x1,y1 in pixels of the upright picture, the far edges excluded. A column `part` (train or test) says in which
folder `image` lies; without it a row holds for the image of that name in either. A column `certainty` is for people.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError
from engine.data.csv_table import CsvTable, read_csv_table, refuse_found
from engine.run_folder import atomic_file

PARTS = ("train", "test")
COLUMNS = ("image", "part", "x0", "y0", "x1", "y1")

Box = tuple[float, float, float, float]  # x0, y0, x1, y1


@dataclass(frozen=True)
class FoundBox:
    """A box that a model found, and how certain it is (0…1)."""

    image: str
    part: str
    box: tuple[int, int, int, int]
    certainty: float


def read_boxes(path: Path) -> Mapping[str, Mapping[str, Box]]:
    """The boxes by part (train, test) and image name. Raises OnehourError naming the line that is wrong."""
    table = read_csv_table(path)
    optional = tuple(name for name in ("part", "certainty") if name in table.columns)
    table.refuse_columns(("image", "x0", "y0", "x1", "y1", *optional))
    parts = table.column("part") if "part" in optional else ("",) * len(table.rows)
    boxes: dict[str, dict[str, Box]] = {part: {} for part in PARTS}
    twice = []
    edges = zip(*(table.column(name) for name in ("x0", "y0", "x1", "y1")), strict=True)
    for line, image, part, cells in zip(table.lines, table.column("image"), parts, edges, strict=True):
        if part not in ("", *PARTS):
            raise OnehourError(f"the part {part!r} is not known", f"{path}, line {line}", "Known: train, test.")
        for one in (part,) if part else PARTS:
            if image in boxes[one]:
                twice.append(f"{image!r} in line {line}")
            boxes[one][image] = _box(table, line, cells)
    refuse_found(twice, "an image has two boxes", str(path), "Keep one row an image.")
    return boxes


def write_found(path: Path, found: Iterable[FoundBox]) -> None:
    """Write image,part,x0,y0,x1,y1,certainty, whole or not at all."""
    with atomic_file(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, "certainty"))
        writer.writerows((one.image, one.part, *one.box, f"{one.certainty:.4f}") for one in found)


def crop_of(box: Box, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """The crop (x0, y0, x1, y1) in whole pixels of a picture `width` × `height`: `box` and on each side `margin` of its size.

    What lies beyond the picture is left out; at least one pixel remains.
    """
    x0, y0, x1, y1 = box
    across, down = margin * (x1 - x0), margin * (y1 - y0)
    left = min(max(math.floor(x0 - across), 0), width - 1)
    top = min(max(math.floor(y0 - down), 0), height - 1)
    right = max(min(math.ceil(x1 + across), width), left + 1)
    bottom = max(min(math.ceil(y1 + down), height), top + 1)
    return left, top, right, bottom


def _box(table: CsvTable, line: int, cells: tuple[str, ...]) -> Box:
    where = f"{table.path}, line {line}"
    try:
        x0, y0, x1, y1 = (float(cell) for cell in cells)
    except ValueError:
        raise OnehourError(f"{', '.join(cells)!r} are not four numbers", where) from None
    if not (math.isfinite(x0 + y0 + x1 + y1) and x0 < x1 and y0 < y1):
        raise OnehourError(f"the box {', '.join(cells)} is empty", where, "x0 < x1 and y0 < y1, in pixels.")
    return x0, y0, x1, y1
