"""Every file name inside a check's folder, what stands in the files, and how the app reads them.

The engine writes through this module and the app reads through it; nobody else spells these names.
Standard library and pydantic only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.contract import DataSpec, OnehourError, RunSpec
from engine.run_folder import file_sha256

Verdict = Literal["error", "warning", "note", "ok"]  # worst first

SHEETS = {
    "random": "Images drawn by lot",
    "conflicts": "The same picture under different labels",
    "copies": "Copies and near copies, side by side",
    "alike": "Labels that look the same, one pair of images each",
    "text_like": "Most text-like strokes near an edge",
    "blurriest": "Least sharp",
    "smallest": "Fewest pixels",
    "widest": "Farthest from square",
    "greyest": "Least colour",
    "darkest": "Darkest",
}
# albumentations transforms that move pixels or cut the picture. A test compares the list with the library.
# fmt: off
GEOMETRIC = frozenset((
    "Affine", "AtLeastOneBBoxRandomCrop", "BBoxSafeRandomCrop", "CenterCrop", "Crop", "CropAndPad",
    "CropNonEmptyMaskIfExists", "D4", "ElasticTransform", "GridDistortion", "GridElasticDeform",
    "HorizontalFlip", "LongestMaxSize", "Morphological", "OpticalDistortion", "Pad", "PadIfNeeded",
    "Perspective", "PiecewiseAffine", "RandomCrop", "RandomCropFromBorders", "RandomCropNearBBox",
    "RandomGridShuffle", "RandomResizedCrop", "RandomRotate90", "RandomScale", "RandomSizedBBoxSafeCrop",
    "RandomSizedCrop", "Resize", "Rotate", "SafeRotate", "ShiftScaleRotate", "SmallestMaxSize",
    "SquareSymmetry", "ThinPlateSpline", "Transpose", "VerticalFlip",
))
# fmt: on


class Check(BaseModel):
    """One thing that was looked at. `examples` are names of images or files, or pairs of them, the worst first."""

    model_config = ConfigDict(frozen=True)

    name: str
    verdict: Verdict
    count: int
    sentence: str
    examples: tuple[str, ...] = ()
    sheet: str | None = None  # key of SHEETS on which the examples can be seen

    def first_examples(self, most: int = 6) -> str:
        """`a.jpg, b.jpg and 43 more`."""
        more = self.count - len(self.examples[:most])
        return ", ".join(self.examples[:most]) + (f" and {more} more" if more > 0 else "")


class Checks(BaseModel):
    """checks.json: the checks, worst first, and what a histogram needs."""

    model_config = ConfigDict(frozen=True)

    data_dir: str
    train_images: int
    test_images: int
    labels: int  # known labels, the unknown one not counted
    unknown_images: int
    images_per_label: dict[int, int]  # number of images → number of known labels that have so many
    numbers: tuple[
        tuple[float, int], ...
    ] = ()  # where labels are measured: (lower edge of a bar, images), and no labels
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()  # of a run: what it says about its data and folds

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return self.checks[0].verdict if self.checks else "ok"


class AugmentedSheet(BaseModel):
    """augmented.json: what augmentation invents beyond the border of an image, as shares of its area, 0…1."""

    model_config = ConfigDict(frozen=True)

    key: str  # augmentation_key of the spec
    border_share_mean: float
    border_share_max: float
    images: int  # different images
    draws: int  # augmented images measured
    seed: int
    image_size: tuple[int, int]  # height, width
    geometric: tuple[str, ...]  # names of the geometric transforms, in order
    data: str = ""  # data_stamp when it was drawn


def augmentation_key(spec: RunSpec) -> str:
    """A hash over the crop and the geometric transforms of `spec`: another key means that the pictures must be looked at.

    The crop is what stands in the file of data.boxes, and its margin. Raises OnehourError when the file cannot be read.
    """
    crop: list[object] = []
    if spec.data.boxes is not None:
        path = Path(spec.data.dir).expanduser() / spec.data.boxes
        with _as_sentence(path, "the boxes cannot be read"):
            crop = [file_sha256(path), spec.data.box_margin]
    moved = [one.model_dump(mode="json") for one in spec.augment if one.name in GEOMETRIC]
    text = json.dumps([crop, moved], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_stamp(data: DataSpec) -> str:
    """Other than before when label file or training folders were changed, or only touched: whether a sheet is of this data.

    A few dates are asked of the disk and nothing is read. Raises OnehourError when there is no such data.
    """
    root = Path(data.dir).expanduser()
    train = root / data.train_images
    with _as_sentence(root, "the data cannot be read"):
        seen = [train.stat().st_mtime_ns]
        if data.labels is None:
            with os.scandir(train) as below:
                seen += sorted(entry.stat().st_mtime_ns for entry in below if entry.is_dir())
        else:
            labels = (root / data.labels).stat()
            seen += [labels.st_size, labels.st_mtime_ns]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


LEAST_CERTAIN = "_least_certain.jpg"


def least_certain_jpg(table: Path) -> Path:
    """The sheet of what is least certain in a CSV of found boxes or proposed sightings, beside it."""
    return table.with_name(f"{table.stem}{LEAST_CERTAIN}")


def found_boxes_json(table: Path) -> Path:
    """What the model that found the boxes in `table` is worth, beside it; FoundBoxes."""
    return table.with_name(f"{table.stem}_report.json")


class FoundBoxes(BaseModel):
    """How far boxes that a model found can be trusted."""

    model_config = ConfigDict(frozen=True)

    boxes: int
    learnt: dict[str, int]  # by part: images whose box the model was trained on
    note: str
    skipped: tuple[str, ...]  # a sentence for each file without a box


def least_certain(data_dir: Path) -> list[tuple[str, str, Path]]:
    """(caption, note, sheet) of the boxes and sightings whose tables lie in `data_dir`; a note is "" where there is none.

    Raises OnehourError when the folder or a report cannot be read.
    """
    shown = []
    with _as_sentence(data_dir, "the folder cannot be read"):
        sheets = sorted(data_dir.expanduser().glob(f"*{LEAST_CERTAIN}"))
    for sheet in sheets:
        table = sheet.with_name(sheet.name.removesuffix(LEAST_CERTAIN) + ".csv")
        report = found_boxes_json(table)
        if not report.is_file():
            shown.append((f"Least certain pairs of {table.name}", "", sheet))
            continue
        with _as_sentence(report, "the report of the boxes cannot be read"):
            note = FoundBoxes.model_validate_json(report.read_text(encoding="utf-8")).note
        shown.append((f"Least certain crops of {table.name}", note, sheet))
    return shown


@dataclass(frozen=True)
class CheckFolder:
    """The paths of one check. `path` need not exist yet."""

    path: Path

    @classmethod
    def of_data(cls, data_dir: Path, runs_dir: Path) -> CheckFolder:
        """The folder in which the data in `data_dir` is checked for the runs below `runs_dir`."""
        whole = data_dir.expanduser().resolve()
        return cls(runs_dir / ".checks" / f"{whole.name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}")

    @property
    def checks_json(self) -> Path:
        """Appears last: all other files of the check are there when it is."""
        return self.path / "checks.json"

    @property
    def facts_csv(self) -> Path:
        """One row an image: what was seen when it was decoded. Grows while a check runs; see `rows_of_facts`."""
        return self.path / "facts.csv"

    @property
    def facts_lock(self) -> Path:
        """Locked while facts.csv grows. The folder itself is locked by who starts a check."""
        return self.path / "facts.lock"

    @property
    def quarantine_csv(self) -> Path:
        """part,image,label,reason: the images that cannot be decoded. Absent when there is none."""
        return self.path / "quarantine.csv"

    def sheet(self, name: str) -> Path:
        """A contact sheet, by its key in SHEETS."""
        return self.path / "sheets" / f"{name}.jpg"

    def sheets(self) -> list[tuple[str, Path]]:
        """(caption, path) of the sheets that are there, in the order of SHEETS."""
        return [(caption, self.sheet(name)) for name, caption in SHEETS.items() if self.sheet(name).is_file()]

    @property
    def augmented_jpg(self) -> Path:
        """Originals beside augmented images, what was invented outlined."""
        return self.path / "augmented.jpg"

    @property
    def augmented_json(self) -> Path:
        """Appears after augmented.jpg."""
        return self.path / "augmented.json"

    def read_checks(self) -> Checks | None:
        """The checks, or None while there are none. Raises OnehourError when they cannot be read."""
        with _as_sentence(self.checks_json, "the checks cannot be read"):
            try:
                return Checks.model_validate_json(self.checks_json.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None

    def read_augmented(self) -> AugmentedSheet | None:
        """What was measured on the augmented sheet, or None while there is none. Raises OnehourError as above."""
        with _as_sentence(self.augmented_json, "the augmented sheet's numbers cannot be read"):
            try:
                return AugmentedSheet.model_validate_json(self.augmented_json.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None

    def rows_of_facts(self, columns: Sequence[str] = ()) -> Iterator[dict[str, str]]:
        """The rows of facts.csv as text, only `columns` of them where some are named; none while there is no file.

        A half-written last line (a killed check) is left out. Raises OnehourError when the file cannot be read.
        """
        with _as_sentence(self.facts_csv, "the facts cannot be read"):
            try:
                text = self.facts_csv.read_bytes().decode("utf-8", "replace")
            except FileNotFoundError:
                return
        lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        header = next(lines, [])
        wanted = [(name, header.index(name)) for name in columns or header if name in header]
        for cells in lines:
            if len(cells) == len(header):
                yield {name: cells[place] for name, place in wanted}


@contextmanager
def _as_sentence(path: Path, what: str) -> Iterator[None]:
    """Say what the disk or a file's contents refuse as an OnehourError."""
    try:
        yield
    except OSError as error:
        raise OnehourError(f"{what} ({error.strerror or error})", where=str(path)) from None
    except ValidationError as error:
        raise OnehourError(f"{what} ({error.errors()[0]['msg']})", where=str(path)) from None
