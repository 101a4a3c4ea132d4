"""Contact sheets as JPEG: what a person should have seen before the first training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.check_folder import SHEETS, CheckFolder
from engine.checks.copies import NearPairs, alike_labels, exact_copies
from engine.checks.facts import Entry
from engine.checks.picture import Picture
from engine.data.decode import read_image
from engine.run_folder import atomic_file

TILE = (200, 130)  # width and height of a picture on a sheet
CAPTION = 30  # two lines under it
COLUMNS, ROWS = 6, 4
PAIRS_ACROSS, PAIRS_DOWN = 3, 8
GAP = 8
PAPER, INK, FAINT = (255, 255, 255), (30, 30, 30), (110, 110, 110)
_Seen = Sequence[tuple[Entry, Picture]]
# How a grid is ordered, the worst first, and what stands under a picture.
WORST: dict[str, tuple[Callable[[Picture], float], Callable[[Picture], str]]] = {
    "text_like": (lambda one: -one.text_like, lambda one: f"{one.text_like:.1%} text-like"),
    "blurriest": (lambda one: one.sharpness, lambda one: f"sharpness {one.sharpness:.0f}"),
    "smallest": (lambda one: one.width * one.height, lambda one: f"{one.width} × {one.height}"),
    "widest": (
        lambda one: -max(one.width / one.height, one.height / one.width),
        lambda one: f"{one.width} × {one.height}",
    ),
    "greyest": (lambda one: one.colour, lambda one: f"colour {one.colour:.1f}"),
    "darkest": (lambda one: one.brightness, lambda one: f"brightness {one.brightness:.0f}"),
}


def draw(seen: _Seen, near: NearPairs, unknown: str | None, folder: CheckFolder, numbers: bool = False) -> None:
    """Draw all sheets for the readable images `seen`; a sheet with nothing to show is removed.

    `numbers`: labels are measured, so that those of nearly equal pictures may differ.
    """
    made = dict(_sheets(seen, near, unknown, numbers))
    for name in SHEETS:
        if name in made:
            write_jpeg(folder.sheet(name), made[name])
        else:
            folder.sheet(name).unlink(missing_ok=True)


def write_jpeg(path: Path, sheet: Image.Image) -> None:
    with atomic_file(path) as file:
        sheet.save(file, "JPEG", quality=85)


def _sheets(seen: _Seen, near: NearPairs, unknown: str | None, numbers: bool) -> Iterator[tuple[str, Image.Image]]:
    if not seen:
        return
    lots = np.random.default_rng(0).permutation(len(seen))[: COLUMNS * ROWS]
    yield "random", _grid([(seen[i][0], f"{seen[i][1].width} × {seen[i][1].height}") for i in sorted(lots)])
    for name, (order, words) in WORST.items():
        worst = sorted(range(len(seen)), key=lambda i: (order(seen[i][1]), i))[: COLUMNS * ROWS]
        if name == "text_like":
            worst = [i for i in worst if seen[i][1].text_like > 0]
        if worst:
            yield name, _grid([(seen[i][0], words(seen[i][1])) for i in worst])
    pictures = [entry for entry, _ in seen]
    labels = [entry.label for entry in pictures]
    copies = [(g[0], i) for g in exact_copies([one for _, one in seen]) for i in g[1:]]
    pairs = [(*pair, "same pixels") for pair in copies]
    pairs += [
        (*pair, "mirrored" if turned else "nearly equal")
        for pair, turned in zip(near.pairs(), near.mirrored.tolist(), strict=True)
    ]
    same = pairs[: len(copies)] if numbers else pairs
    torn = [one for one in same if labels[one[0]] and labels[one[1]] and labels[one[0]] != labels[one[1]]]
    if torn:
        yield "conflicts", side_by_side(pictures, torn)
    if pairs:
        # Across training and test first: they cost most.
        across = sorted(pairs, key=lambda one: seen[one[0]][0].part == seen[one[1]][0].part)
        yield "copies", side_by_side(pictures, across)
    alike = [] if numbers else alike_labels([(one, other) for one, other, _ in pairs], labels, unknown)
    if alike:
        yield "alike", side_by_side(pictures, [(*found[0], f"{len(found)} pairs") for _, _, found in alike])


def _grid(shown: Sequence[tuple[Entry, str]]) -> Image.Image:
    rows = -(-len(shown) // COLUMNS)
    sheet = blank(COLUMNS, rows)
    for place, (entry, words) in enumerate(shown):
        paste(sheet, place % COLUMNS, place // COLUMNS, read_image(entry.path), *_caption(entry, words))
    return sheet


def side_by_side(pictures: Sequence[Entry], pairs: Sequence[tuple[int, int, str]]) -> Image.Image:
    """The first of the `pairs`, each two places in `pictures` and what stands below them."""
    pairs = pairs[: PAIRS_ACROSS * PAIRS_DOWN]
    across = min(PAIRS_ACROSS, len(pairs))
    sheet = blank(2 * across, -(-len(pairs) // across), pairs=True)
    for place, (one, other, words) in enumerate(pairs):
        for side, which in enumerate((one, other)):
            entry = pictures[which]
            column = 2 * (place % across) + side
            paste(sheet, column, place // across, read_image(entry.path), *_caption(entry, words), pairs=True)
    return sheet


def _caption(entry: Entry, words: str) -> tuple[str, str]:
    return f"{entry.part}/{entry.image}", f"{entry.label}  {words}" if entry.label else words


def blank(columns: int, rows: int, pairs: bool = False) -> Image.Image:
    """Paper for so many tiles; with `pairs` two and two stand close together."""
    width = _left(columns, pairs)
    return Image.new("RGB", (width, GAP + rows * (TILE[1] + CAPTION + GAP)), PAPER)


def paste(
    sheet: Image.Image, column: int, row: int, pixels: np.ndarray, first: str, second: str, pairs: bool = False
) -> None:
    """Put an RGB image (h, w, 3), made as large as its tile allows, and two lines under it."""
    height, width = pixels.shape[:2]
    scale = min(TILE[0] / width, TILE[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    fitted = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    left, top = _left(column, pairs), GAP + row * (TILE[1] + CAPTION + GAP)
    sheet.paste(Image.fromarray(fitted), (left + (TILE[0] - size[0]) // 2, top + (TILE[1] - size[1]) // 2))
    pen = ImageDraw.Draw(sheet)
    font = _font()
    for line, (words, ink) in enumerate(((first, INK), (second, FAINT))):
        pen.text((left, top + TILE[1] + 2 + 13 * line), _shortened(words, pen, font), fill=ink, font=font)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """matplotlib's DejaVu Sans, which comes with fastai: Pillow's own font lacks most letters but the English ones."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 10)


def _left(column: int, pairs: bool) -> int:
    return GAP + column * (TILE[0] + GAP) + (column // 2 * 2 * GAP if pairs else 0)


def _shortened(words: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont) -> str:
    """The end of a long name tells more than its beginning."""
    if pen.textlength(words, font=font) <= TILE[0]:
        return words
    while len(words) > 1 and pen.textlength(f"…{words}", font=font) > TILE[0]:
        words = words[1:]
    return f"…{words}"
