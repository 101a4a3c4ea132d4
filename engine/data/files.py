"""What lies below a folder of images."""

from __future__ import annotations

import os
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


def is_image(name: str) -> bool:
    """Whether a file is an image by the ending of its name."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
