"""A small competition of drawn whale flukes, to try everything on before the real download is there.

Its shape is that of the humpback competition: a few whales seen often, many seldom, some once, and photographs of
whales nobody has named (new_whale), a different one each time. As there, some photographs are frames of one sighting, two
are in the training part twice, and boxes.csv tells where the fluke is.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.contract import DataSpec, OnehourError
from engine.data.boxes import COLUMNS as BOX_COLUMNS
from engine.data.fluke import individual, sighting

TRAIN_SIZES = (32, 27, 23, 20, 17, 15, 13, 11, 9, 8, 7, 6, 5, 4, 3, 2, 2, 1, 1, 1)  # photographs of each named whale
TEST_SHARE = 0.45  # photographs of a named whale in the test part to one in training, at least one: CV and LB compare
UNNAMED_TRAIN, UNNAMED_TEST = 54, 22
BURST_SHARE = 0.12  # of the sightings of a whale with five photographs or more: two to four frames instead of one


@dataclass(frozen=True)
class Drawn:
    ids: int
    train: int
    test: int


@dataclass(frozen=True)
class _Sighting:
    """Files below `part` that show one whale within a second; with `copied`, the last is a copy of the first."""

    whale: int
    label: str
    part: str
    files: tuple[str, ...]
    copied: bool = False


def draw_sample(folder: Path, seed: int) -> Drawn:
    """Draw train/, test/, train.csv, sample_submission.csv, boxes.csv and truth.csv (with Usage) into `folder`.

    The same seed draws the same bytes. Drawn beside `folder` and moved there whole, so that it is complete or absent.
    Raises OnehourError when the folder is not empty or cannot be written.
    """
    folder = folder.expanduser()
    if seed < 0:
        raise OnehourError(f"a seed cannot be {seed}", "--seed", "Take 0 or more.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OnehourError("this is not an empty folder", str(folder), "Name a folder that does not exist yet.")
    if folder.resolve() == Path.cwd():
        raise OnehourError("the folder you stand in cannot be replaced", str(folder), "Name a folder below it.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        try:
            drawn = _draw(part, seed)
            part.chmod(0o755)
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise OnehourError(
            f"the folder cannot be written ({error.strerror})", str(folder), "Choose a place you may write to."
        ) from None
    return drawn


def _draw(folder: Path, seed: int) -> Drawn:
    rng = np.random.default_rng([seed, 0])
    unknown = DataSpec(dir=".").unknown_label or ""
    whales = len(TRAIN_SIZES)
    names = [f"w_{number:07x}" for number in rng.choice(16**7, whales, replace=False)]
    named = list(zip(range(whales), names, TRAIN_SIZES, strict=True))
    tests = [(whale, name, max(1, round(TEST_SHARE * size))) for whale, name, size in named]
    # The whale seen most often and one without a name have a photograph twice.
    plan = [(0, names[0], "train", 2, True), (whales, unknown, "train", 2, True)]
    plan += [
        (whale, name, "train", frames, False)
        for whale, name, size in named
        for frames in _bursts(size - 2 * (whale == 0), rng)
    ]
    plan += [(whales + 1 + i, unknown, "train", 1, False) for i in range(UNNAMED_TRAIN - 2)]
    plan += [(whale, name, "test", frames, False) for whale, name, size in tests for frames in _bursts(size, rng)]
    plan += [(whales + UNNAMED_TRAIN + i, unknown, "test", 1, False) for i in range(UNNAMED_TEST)]
    # File names are lots, and rows stand in their order: neither tells which whale it is.
    lots = iter(rng.choice(16**8, sum(frames for *_, frames, _ in plan), replace=False))
    sightings = [
        _Sighting(whale, label, part, tuple(f"{next(lots):08x}.jpg" for _ in range(frames)), copied)
        for whale, label, part, frames, copied in plan
    ]
    boxes = _photograph_all(folder, sightings, seed)
    train_part, test_part = (
        sorted((file, one.label) for one in sightings if one.part == part for file in one.files)
        for part in ("train", "test")
    )

    _write_csv(folder / "train.csv", ("Image", "Id"), train_part)
    constant = " ".join([unknown, *names[:4]])
    _write_csv(folder / "sample_submission.csv", ("Image", "Id"), [(file, constant) for file, _ in test_part])
    _write_csv(folder / "boxes.csv", BOX_COLUMNS, sorted(boxes))
    # Two of five images of each label are public, so that both parts of this small leaderboard mean the same.
    order = rng.permutation(len(test_part))
    by_label = sorted(range(len(test_part)), key=lambda place: (test_part[place][1], order[place]))
    public = {place for turn, place in enumerate(by_label) if turn % 5 in (0, 2)}
    usage = ["public" if place in public else "private" for place in range(len(test_part))]
    truth = [(*row, part) for row, part in zip(test_part, usage, strict=True)]
    _write_csv(folder / "truth.csv", ("Image", "Id", "Usage"), truth)
    return Drawn(whales, len(train_part), len(test_part))


def _bursts(photographs: int, rng: np.random.Generator) -> list[int]:
    """The frames of each sighting, `photographs` in all."""
    frames: list[int] = []
    while (left := photographs - sum(frames)) > 0:
        burst = photographs >= 5 and rng.random() < BURST_SHARE
        frames.append(min(left, int(rng.integers(2, 5))) if burst else 1)
    return frames


def _photograph_all(folder: Path, sightings: Sequence[_Sighting], seed: int) -> list[tuple[str, ...]]:
    """Draw every file, and return a row of boxes.csv for each.

    A picture is a function of (seed, whale, number of the sighting) alone, so threads may draw in any order.
    """
    by_whale: dict[int, list[tuple[int, _Sighting]]] = {}
    for number, one in enumerate(sightings):
        (folder / one.part).mkdir(exist_ok=True)
        by_whale.setdefault(one.whale, []).append((number, one))

    def draw(whale: int) -> list[tuple[str, ...]]:
        fluke = individual(np.random.default_rng([seed, 1, whale]))
        rows = []
        for number, one in by_whale[whale]:
            taken = sighting(fluke, np.random.default_rng([seed, 2, number]), len(one.files) - one.copied)
            for file, photograph in zip(one.files, taken + taken[:1] * one.copied, strict=True):
                jpeg = cv2.imencode(".jpg", photograph.picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
                (folder / one.part / file).write_bytes(jpeg.tobytes())
                rows.append((file, one.part, *map(str, photograph.box)))
        return rows

    with ThreadPoolExecutor() as pool:
        return [row for rows in pool.map(draw, by_whale) for row in rows]


def _write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
