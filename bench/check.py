"""How long a check takes: images a second on drawn pictures, and what that means for a whole competition.

    .venv/bin/python bench/check.py [--images 1000] [--width 1050 --height 525]

JPEGs of the humpback competition's median size, no two alike, are looked at on all cores; a second pass shows what it
costs when all is known; near copies are searched among as many made-up pictures as the whole competition has.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.check_folder import CheckFolder
from engine.checks.copies import near_pairs
from engine.checks.picture import THUMBNAIL, Picture
from engine.checks.report import check
from engine.contract import DataSpec

WHOLE = 33_321  # training and test images of the humpback competition
DRAWN = 40  # different scenes; two blended and noised make a picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--width", type=int, default=1050)
    parser.add_argument("--height", type=int, default=525)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as place:
        root = Path(place) / "data"
        size = write_pictures(root, asked.images, (asked.width, asked.height))
        folder = CheckFolder(Path(place) / "check")
        first, first_cpu = timed(lambda: check(DataSpec(dir=str(root)), folder))
        second, second_cpu = timed(lambda: check(DataSpec(dir=str(root)), folder))
    # The second pass draws the sheets, too, and little else.
    rate = asked.images / max(1e-9, first - second)
    each = (first_cpu - second_cpu) / asked.images
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{asked.images} JPEGs of {asked.width} × {asked.height}, {size / asked.images / 1000:.0f} KB each")
    print(
        f"first pass    {first:7.1f} s, {rate:.0f} images/s without the sheets; {1000 * each:.1f} ms of a core an image"
    )
    print(f"second pass   {second:7.1f} s, nothing read again")
    pairs, pairs_cpu = timed(lambda: near_pairs(made_up(WHOLE)))
    print(f"near copies   {pairs:7.1f} s among {WHOLE} pictures ({pairs_cpu:.1f} s of a core)")
    for count in (25_000, WHOLE):
        share = (count / WHOLE) ** 2
        here = count / rate + second + pairs * share
        idle = count * each / 2 + second_cpu + pairs_cpu * share
        print(
            f"{count} images, extrapolated: {here / 60:.1f} minutes at this load, {idle / 60:.1f} on two cores that do nothing else"
        )


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of all cores."""
    began, began_cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - began_cpu


def write_pictures(root: Path, count: int, size: tuple[int, int]) -> int:
    """A competition's folder with `count` images, one in four a test image. Returns the bytes of all."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 255, (12, 24, 3), dtype=np.uint8) for _ in range(DRAWN)]
    scenes = [cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in coarse]
    names: dict[str, list[str]] = {"train": [], "test": []}
    total = 0
    for number in range(count):
        one, other = rng.choice(DRAWN, 2, replace=False)
        picture = cv2.addWeighted(scenes[one], 0.6, np.roll(scenes[other], int(rng.integers(size[0])), axis=1), 0.4, 0)
        picture = cv2.add(picture, rng.integers(0, 16, picture.shape, dtype=np.uint8))
        part = "test" if number % 4 == 3 else "train"
        names[part].append(f"{number:06}.jpg")
        path = root / part / names[part][-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
        total += path.stat().st_size
    rows = "".join(f"{name},w_{i // 3}\n" for i, name in enumerate(names["train"]))
    (root / "train.csv").write_text("Image,Id\n" + rows)
    (root / "sample_submission.csv").write_text("Image,Id\n" + "".join(f"{name},w_0\n" for name in names["test"]))
    return total


def made_up(count: int) -> list[Picture]:
    """Pictures that are near each other by no more than chance."""
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 255, (count, THUMBNAIL**2), dtype=np.uint8)
    return [
        Picture(
            width=99, height=99, contrast=50.0, content=str(i), phash=int(one),
            thumbnail=base64.b64encode(thumbnails[i].tobytes()).decode(),
        )
        for i, one in enumerate(rng.integers(0, 2**64, count, dtype=np.uint64))
    ]  # fmt: skip


if __name__ == "__main__":
    main()
