"""What lies below a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def files_below(folder: Path) -> list[str]:
    """Names of the visible files below `folder`, relative to it, with forward slashes, sorted; none where it is not there."""
    found: list[str] = []
    for here, _, names in os.walk(folder, followlinks=True):
        below = os.path.relpath(here, folder).replace(os.sep, "/")
        prefix = "" if below == "." else f"{below}/"
        found += [prefix + name for name in names if not name.startswith(".")]
    return sorted(found)


def files_named(names: Iterable[str], files: Iterable[str]) -> tuple[str, ...]:
    """The file that each name stands for: the one called so, else the only image called so but for its ending.

    A name that stands for none, or for several, is given back as it is.
    """
    there = frozenset(files)
    by_stem: dict[str, list[str]] = {}
    for file in filter(is_image, there):
        by_stem.setdefault(file[: -len(Path(file).suffix)], []).append(file)

    def file_of(name: str) -> str:
        called = by_stem.get(name, [])
        return called[0] if name not in there and len(called) == 1 else name

    return tuple(file_of(name) for name in names)


def is_image(name: str) -> bool:
    """Whether a file is an image by the ending of its name."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
