"""One image: decoded to its last pixel, and what can be seen in it without knowing what it shows."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engine.data.decode import as_rgb, file_bytes, large_alone, reason_of

LOOKED_AT = 480  # longest side in pixels at which blur, colour and text are measured, so that sizes compare
HASHED = 32  # side of the grey square under the perceptual hash
THUMBNAIL = 16  # side of the grey thumbnail that decides whether two hashes met by chance
MIRRORED_BITS = np.uint64(0xAAAAAAAAAAAAAAAA)  # odd columns of the 8×8: what changes its sign in a mirror


@dataclass(frozen=True)
class Picture:
    """What was seen in one image. Where `unreadable` says why it cannot be decoded, all else is empty."""

    unreadable: str = ""
    width: int = 0  # as shown, after EXIF rotation
    height: int = 0
    format: str = ""
    mode: str = ""  # Pillow's: RGB, L, P, CMYK, RGBA, I;16 …
    bits: int = 8  # of one channel in the file
    frames: int = 1
    orientation: int = 1  # EXIF: 1 is upright
    transparent: bool = False  # carries an alpha channel or a transparent colour
    brightness: float = 0.0  # mean grey, 0…255
    contrast: float = 0.0  # standard deviation of grey
    colour: float = 0.0  # mean distance between a pixel's largest and smallest channel, 0…255
    sharpness: float = 0.0  # variance of the Laplacian
    text_like: float = 0.0  # share of the image under rows of small sharp strokes near an edge, 0…1: a guess
    content: str = ""  # equal for exact copies, whatever the file is called
    phash: int = 0  # 64 bits: near copies differ in few
    thumbnail: str = ""  # 16×16 grey bytes, base64

    @property
    def flat(self) -> bool:
        """Whether there is too little to see for a perceptual hash to mean anything."""
        return self.contrast < 2.0 or min(self.width, self.height) < 8


def look_at(path: Path) -> Picture:
    """Decode `path` whole and describe it. Never raises for what a file holds: the reason stands in `unreadable`.

    The file is opened here, for its mode, bits and frames are told; its pixels come by the rules of engine.data.decode, at
    full size however large: what training would refuse is unreadable here too, in the same words.
    """
    try:
        with Image.open(BytesIO(file_bytes(path))) as image:
            return _described(image)
    except Exception as error:  # a broken file makes Pillow's plug-ins raise almost anything; the file is at fault
        return Picture(unreadable=reason_of(error))


def perceptual_hash(grey: np.ndarray) -> int:
    """64 bits of a grey uint8 image (h, w): the signs of its lowest 8×8 cosines, the mean left out.

    Signs, not the comparison with a median: then the hash of the mirrored image is this one with all odd columns turned.
    """
    small = cv2.resize(grey, (HASHED, HASHED), interpolation=cv2.INTER_AREA).astype(np.float32)
    signs = cv2.dct(small)[:8, :8] > 0
    signs[0, 0] = False
    return int(np.packbits(signs.ravel(), bitorder="little").view("<u8")[0])


def mirrored(hashes: np.ndarray) -> np.ndarray:
    """The perceptual hashes (N,) uint64 of the same images seen in a mirror."""
    return hashes ^ MIRRORED_BITS


def content_hash(rgb: np.ndarray) -> str:
    """A hash over the pixels of an (h, w, 3) uint8 image and its shape."""
    digest = hashlib.blake2b(f"{rgb.shape[1]}x{rgb.shape[0]}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def text_like(grey: np.ndarray) -> float:
    """The share of a grey uint8 image (h, w) that lies under rows of small sharp strokes in its outer fifth: 0…1.

    Burnt-in text is much brighter or darker than what is around it, on strokes of one width, in a row. Waves, grass and
    fences can look the same, so this is a guess that ranks images for the eye, never a verdict.
    """
    height, width = grey.shape
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (9, 9))
    row = cv2.getStructuringElement(cv2.MORPH_RECT, (13, 1))
    found = 0
    for band in (grey[: round(0.2 * height)], grey[-round(0.2 * height) :]):
        for transform in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            strokes = (cv2.morphologyEx(band, transform, kernel) > 60).astype(np.uint8)
            if not strokes.any():
                continue
            rows = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, row)
            count, _, boxes, _ = cv2.connectedComponentsWithStats(rows, connectivity=8)
            for left, top, wide, high, _ in boxes[1:count]:
                if not (5 <= high <= 0.12 * height and wide >= 5 * high):
                    continue
                inside = strokes[top : top + high, left : left + wide]
                turns = np.count_nonzero(np.diff(inside, axis=1), axis=1).max() / (wide / high)
                if 0.15 < inside.mean() < 0.75 and turns > 1.5:  # letters: strokes and gaps take turns along the row
                    found += int(wide * high)
    return min(1.0, found / (height * width))


def _described(image: Image.Image) -> Picture:
    # Pillow opens 48-bit PNGs as RGB; how it will unpack them tells, until something (a PNG's EXIF) makes it do so.
    tile = getattr(image, "tile", None)
    raw_mode = str(tile[0][3]) if tile else ""
    frames = getattr(image, "n_frames", 1)
    orientation = int(image.getexif().get(0x0112, 1))
    mode, kind = image.mode, image.format or ""
    bits = 1 if mode == "1" else 16 if mode.startswith("I") or ";16" in raw_mode else 8
    transparent = image.has_transparency_data
    with large_alone(image.width * image.height):
        pixels = np.asarray(as_rgb(image))
    height, width = pixels.shape[:2]
    seen = _shrunk(pixels)
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return Picture(
        width=width,
        height=height,
        format=kind,
        mode=mode,
        bits=bits,
        frames=frames,
        orientation=orientation,
        transparent=transparent,
        brightness=round(float(grey.mean()), 2),
        contrast=round(float(grey.std()), 2),
        colour=round(_colour(seen), 2),
        sharpness=round(float(cv2.Laplacian(grey, cv2.CV_32F).var()), 2),
        text_like=round(text_like(grey), 4) if min(grey.shape) >= 32 else 0.0,
        content=content_hash(pixels),
        phash=perceptual_hash(grey),
        thumbnail=base64.b64encode(thumbnail.tobytes()).decode(),
    )


def _colour(rgb: np.ndarray) -> float:
    red, green, blue = cv2.split(rgb)
    widest = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return float(widest.mean())


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """At most LOOKED_AT pixels on the longer side, at least one on the shorter."""
    height, width = pixels.shape[:2]
    scale = LOOKED_AT / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
