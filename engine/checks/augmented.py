"""What augmentation does to the pictures: a sheet to look at, and the share of an image that it invents.

Two weeks of the story behind this project went into padding that nobody had looked at. A picture full of mirrored border
looks whole, so the share is measured on a mask: ones go through the same draws, with everything beyond the border zero.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engine.check_folder import GEOMETRIC, AugmentedSheet, CheckFolder, augmentation_key, data_stamp
from engine.checks import sheets
from engine.contract import OnehourError, RunSpec, Transform
from engine.data import competition as competitions
from engine.data.augment import KNOWN, compose, draw_seed
from engine.data.boxes import Box
from engine.data.decode import read_image
from engine.data.given_boxes import given_boxes
from engine.run_folder import write_json

IMAGES = 64  # different images, by lot
DRAWS = 8  # of each
SHOWN = sheets.PAIRS_ACROSS * sheets.PAIRS_DOWN
OUTLINE = (213, 94, 0)


def augmented_sheet(spec: RunSpec, folder: CheckFolder) -> AugmentedSheet:
    """Augment a sample of the training images as `spec` says; write augmented.jpg and augmented.json into `folder`.

    The sheet shows half the draws that invent most and half by lot. The same spec and data give the same sheet.
    Raises OnehourError for bad input, and when `folder` cannot be written.
    """
    competition = competitions.load(spec.data)
    boxes = given_boxes(spec.data, competition).boxes
    lots = np.random.default_rng(spec.seed).permutation(len(competition.images))
    originals: list[tuple[str, str, np.ndarray]] = []
    for place in lots.tolist():
        name = competition.images[place]
        try:
            image = _as_trained(competition.train_dir / name, boxes[place], spec)
        except OnehourError:
            continue  # the check tells; this sheet is about the others
        originals.append((f"train/{name}", competition.labels[place], image))
        if len(originals) == IMAGES:
            break
    if not originals:
        raise OnehourError("no training image can be decoded", str(competition.train_dir), "Check the data first.")
    augment = Augmentation(spec.augment, spec.stage_sizes[-1], random_grey=spec.grey == "random")
    drawn = [
        (place, *augment(image, draw_seed(spec.seed, "sheet", turn, place)))
        for turn in range(DRAWS)
        for place, (_, _, image) in enumerate(originals)
    ]
    shares = np.array([invented.mean() for _, _, invented in drawn])
    made = AugmentedSheet(
        key=augmentation_key(spec),
        border_share_mean=round(float(shares.mean()), 4),
        border_share_max=round(float(shares.max()), 4),
        images=len(originals),
        draws=len(drawn),
        seed=spec.seed,
        image_size=spec.stage_sizes[-1],
        geometric=tuple(one.name for one in spec.augment if one.name in GEOMETRIC),
        data=data_stamp(spec.data),
    )
    worst = np.argsort(-shares, kind="stable")[: min(SHOWN, len(originals)) // 2].tolist()
    others = [i for i in range(len(drawn)) if i not in set(worst)][: min(SHOWN, len(originals)) - len(worst)]
    try:
        sheets.write_jpeg(folder.augmented_jpg, _sheet(originals, [drawn[i] for i in worst + others]))
        write_json(folder.augmented_json, made.model_dump(mode="json"))
    except OSError as error:
        raise OnehourError(
            f"the check's folder cannot be written ({error.strerror or error})",
            str(folder.path),
            "Choose a place you may write to.",
        ) from None
    return made


class Augmentation:
    """The transforms of a spec for images of (height, width), with what they invent."""

    def __init__(self, transforms: Sequence[Transform], image_size: tuple[int, int], random_grey: bool = False) -> None:
        self._as_asked, self._forced = (compose(t, image_size, random_grey) for t in (transforms, _forced(transforms)))

    def __call__(self, image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """An augmented image of an RGB uint8 one (h, w, 3), and where it was invented: (h, w) bool."""
        if self._as_asked is None or self._forced is None:
            return image, np.zeros(image.shape[:2], bool)
        self._as_asked.set_random_seed(seed)
        self._forced.set_random_seed(seed)
        mask = np.ones(image.shape[:2], np.uint8)
        augmented = self._as_asked(image=image.copy())["image"]
        return augmented, self._forced(image=image.copy(), mask=mask)["mask"] == 0


def _forced(transforms: Sequence[Transform]) -> list[Transform]:
    """The same transforms, beyond the border constant: mirrored or repeated pixels are invented too."""
    forced = []
    for one in transforms:
        args = dict(one.args)
        if one.name in GEOMETRIC and one.name in KNOWN:
            known = inspect.signature(KNOWN[one.name].__init__).parameters
            args |= {key: value for key, value in (("border_mode", 0), ("fill_mask", 0)) if key in known}
        else:
            args.pop("fill_mask", None)  # what a dropout hides is no border
        forced.append(Transform(name=one.name, args=args))
    return forced


def _as_trained(path: Path, box: Box | None, spec: RunSpec) -> np.ndarray:
    height, width = spec.stage_sizes[-1]
    image = read_image(path, box, spec.data.box_margin)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if spec.grey == "all" else image


def _sheet(
    originals: Sequence[tuple[str, str, np.ndarray]], drawn: Sequence[tuple[int, np.ndarray, np.ndarray]]
) -> Image.Image:
    across = min(sheets.PAIRS_ACROSS, max(1, len(drawn)))
    sheet = sheets.blank(2 * across, -(-len(drawn) // across), pairs=True)
    for number, (place, image, invented) in enumerate(drawn):
        name, label, original = originals[place]
        column, row = 2 * (number % across), number // across
        sheets.paste(sheet, column, row, original, name, label, pairs=True)
        words = f"{invented.mean():.0%} invented" if invented.any() else "nothing invented"
        sheets.paste(sheet, column + 1, row, _outlined(image, invented), words, "", pairs=True)
    return sheet


def _outlined(image: np.ndarray, invented: np.ndarray) -> np.ndarray:
    """The image at twice its size with a line around what was invented."""
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(invented.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(double, lines, -1, OUTLINE, 2)
