"""A small competition of drawn whale flukes, to try everything on before the real download is there.

Its shape is that of the humpback competition: a few whales seen often, many seldom, some once, and photographs of
whales nobody has named (new_whale), a different one each time.
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
from engine.data.fluke import individual, photograph

TRAIN_SIZES = (32, 27, 23, 20, 17, 15, 13, 11, 9, 8, 7, 6, 5, 4, 3, 2, 2, 1, 1, 1)  # photographs of each named whale
TEST_SHARE = 0.45  # photographs of a named whale in the test part to one in training, at least one: CV and LB compare
UNNAMED_TRAIN, UNNAMED_TEST = 54, 22


@dataclass(frozen=True)
class Drawn:
    ids: int
    train: int
    test: int


@dataclass(frozen=True)
class _Photograph:
    whale: int
    label: str
    file: str


def draw_sample(folder: Path, seed: int) -> Drawn:
    """Draw train/, test/, train.csv, sample_submission.csv and truth.csv (with Usage) into `folder`.

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
    train = [(whale, names[whale]) for whale, size in enumerate(TRAIN_SIZES) for _ in range(size)]
    train += [(whales + i, unknown) for i in range(UNNAMED_TRAIN)]
    test = [
        (whale, names[whale]) for whale, size in enumerate(TRAIN_SIZES) for _ in range(max(1, round(TEST_SHARE * size)))
    ]
    test += [(whales + UNNAMED_TRAIN + i, unknown) for i in range(UNNAMED_TEST)]
    # File names are lots, and rows stand in their order: neither tells which whale it is.
    files = [f"{number:08x}.jpg" for number in rng.choice(16**8, len(train) + len(test), replace=False)]
    photographs = [_Photograph(*whale, file) for whale, file in zip(train + test, files, strict=True)]
    train_part = sorted(photographs[: len(train)], key=lambda one: one.file)
    test_part = sorted(photographs[len(train) :], key=lambda one: one.file)
    _photograph_all(
        [(folder / "train", one) for one in train_part] + [(folder / "test", one) for one in test_part], seed
    )

    _write_csv(folder / "train.csv", ("Image", "Id"), [(one.file, one.label) for one in train_part])
    constant = " ".join([unknown, *names[:4]])
    _write_csv(folder / "sample_submission.csv", ("Image", "Id"), [(one.file, constant) for one in test_part])
    # Two of five images of each label are public, so that both parts of this small leaderboard mean the same.
    lots = rng.permutation(len(test_part))
    by_label = sorted(range(len(test_part)), key=lambda place: (test_part[place].label, lots[place]))
    public = {place for turn, place in enumerate(by_label) if turn % 5 in (0, 2)}
    usage = ["public" if place in public else "private" for place in range(len(test_part))]
    truth = [(one.file, one.label, part) for one, part in zip(test_part, usage, strict=True)]
    _write_csv(folder / "truth.csv", ("Image", "Id", "Usage"), truth)
    return Drawn(whales, len(train), len(test))


def _photograph_all(wanted: list[tuple[Path, _Photograph]], seed: int) -> None:
    """Each picture is a function of (seed, whale, file) alone, so threads may draw them in any order."""
    whales: dict[int, list[tuple[Path, str]]] = {}
    for place, one in wanted:
        place.mkdir(exist_ok=True)
        whales.setdefault(one.whale, []).append((place / one.file, one.file))

    def draw(whale: int) -> None:
        fluke = individual(np.random.default_rng([seed, 1, whale]))
        for path, file in whales[whale]:
            picture = photograph(fluke, np.random.default_rng([seed, 2, int(Path(file).stem, 16)]))
            path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, whales))


def _write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
