"""Training augmentation: albumentations transforms by name, with randomness that is a function of (seed, epoch, image).

albumentations 2 only warns about arguments it does not know and goes on with its defaults, and forked loader workers
would repeat each other's draws. Both are closed here.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import warnings
from collections.abc import Sequence

from engine.contract import OnehourError, Transform, nearest

os.environ.setdefault(
    "NO_ALBUMENTATIONS_UPDATE", "1"
)  # before the import: it would ask the network for a newer version
import albumentations as A
import numpy as np
from pydantic import ValidationError

_BASES = {A.BasicTransform, A.DualTransform, A.ImageOnlyTransform, A.Transform3D}
KNOWN = {
    name: item
    for name, item in vars(A).items()
    if inspect.isclass(item) and issubclass(item, A.BasicTransform) and item not in _BASES
}


def draw_seed(*parts: object) -> int:
    """A 32-bit seed that depends on `parts` alone, equal in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest(), "little")


def compose(
    transforms: Sequence[Transform], image_size: tuple[int, int], random_grey: bool = False
) -> A.Compose | None:
    """The transforms in order, for images of (height, width); None when there are none.

    `random_grey`: before them, half of the images lose their colour.

    Raises OnehourError for an unknown name, an argument that albumentations would drop or refuse, and for transforms
    that change an image's shape or type.
    """
    built = [_build(transform, f"augment.{i}") for i, transform in enumerate(transforms)]
    if random_grey:
        built.insert(0, A.ToGray(p=0.5))
    if not built:
        return None
    composed = A.Compose(built, seed=0)
    blank = np.zeros((*image_size, 3), np.uint8)
    for _ in range(8):  # a transform may act on some images only
        try:
            made = composed(image=blank)["image"]
        except Exception as error:
            raise OnehourError(f"the transforms fail on an image: {_sentence(error)}", "augment") from None
        if made.shape != blank.shape or made.dtype != blank.dtype:
            raise OnehourError(
                f"the transforms turn {blank.shape} uint8 images into {made.shape} {made.dtype}",
                "augment",
                "Images have spec.image_size before and after; normalisation is part of the model.",
            )
    return composed


def _build(transform: Transform, where: str) -> A.BasicTransform:
    where = f"{where} ({transform.name})"
    kind = KNOWN.get(transform.name)
    if kind is None:
        raise OnehourError(f"albumentations has no transform {transform.name!r}", where, nearest(transform.name, KNOWN))
    known = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "kwargs")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            built = kind(**{key: _as_tuple(value) for key, value in transform.args.items()})
        except Exception as error:  # a pydantic error, a TypeError, a ValueError: all mean a wrong argument
            raise OnehourError(
                f"wrong arguments: {_sentence(error)}", where, f"Arguments: {', '.join(known)}."
            ) from None
    for warning in caught:
        if found := re.search(r"Argument\(s\) '(.+?)' (?:is|are) not valid", str(warning.message)):
            wrong = found.group(1).split(", ")[0].strip("'")
            raise OnehourError(
                f"unknown argument {wrong!r}", where, nearest(wrong, known) or f"Known: {', '.join(known)}."
            )
    return built


def _as_tuple(value: object) -> object:
    """YAML has lists where albumentations asks for tuples."""
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "arguments"
        return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return " ".join(str(error).split())[:200]
