"""One way from a file to pixels, for training, test and checks alike: 8 bits, RGB, upright.

What a file may hold, and what becomes of it:
- 16 bits a channel: the upper 8. The range of the type counts, not that of the picture: two pictures stay comparable.
- alpha: laid over the middle grey. What lies under transparent pixels is nobody's picture; black or white would draw
  an edge as strong as there is, grey is near zero once a net has normalised it.
- a turn or mirror in EXIF: carried out. Boxes are in pixels of the picture as it is seen then.
- several frames: the first.
- more than LARGE pixels: sides halved until it is below (in the JPEG decoder itself), one such picture at a time, so
  that memory stays bounded; Pillow refuses what has 179 megapixels and more.
- cut off, or 32 bits a channel (of no known range): refused.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from engine.contract import OnehourError
from engine.data.boxes import Box, crop_of

cv2.setNumThreads(0)  # its threads fight torch's, and do not survive the fork of loader workers
LARGE = 16_000_000  # pixels
GREY = (128, 128, 128, 255)
_REDUCED = {1: cv2.IMREAD_COLOR_RGB, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
_one_large = threading.Lock()


def read_image(path: Path, box: Box | None = None, margin: float = 0.0) -> np.ndarray:
    """The picture, or what `box` and `margin` cut out of it (see crop_of): RGB, uint8 (h, w, 3).

    Raises OnehourError naming the file that cannot be decoded, or whose box lies outside.
    """
    try:
        image, halvings = _decode(file_bytes(path))
    except Exception as error:  # a broken file makes Pillow's plug-ins raise almost anything; the file is at fault
        fix = "Fetch the file again or remove its row."
        raise OnehourError(f"the image cannot be decoded ({reason_of(error)})", str(path), fix) from None
    return image if box is None else _cut(image, box, margin, halvings, path)


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of the picture in the file as it is seen: what boxes are measured in, however large it is.

    Raises OSError where there is no such image.
    """
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) >= 5
        return (image.height, image.width) if turned else (image.width, image.height)


def file_bytes(path: Path) -> bytes:
    """What the file holds; ValueError when that is nothing."""
    raw = path.read_bytes()
    if not raw:
        raise ValueError("zero bytes")
    return raw


def reason_of(error: Exception) -> str:
    """In a few words, why what raised `error` is no picture."""
    if isinstance(error, OSError):
        return error.strerror or ("truncated" if "truncated" in str(error) else "no image that can be read")
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than can be decoded safely"
    return " ".join(str(error).split()) or type(error).__name__


def large_alone(pixels: int) -> AbstractContextManager[object]:
    """Held while a picture of so many pixels is decoded: one large picture at a time, small ones as they come."""
    return _one_large if pixels > LARGE else nullcontext()


def _decode(raw: bytes) -> tuple[np.ndarray, int]:
    """Pixels, and by what their sides were divided. OpenCV decodes plain JPEGs half again as fast as Pillow."""
    if (pixels := _plain_jpeg_pixels(raw)) and (divided := _divisor(pixels)) in _REDUCED:
        with large_alone(pixels):
            image = cv2.imdecode(np.frombuffer(raw, np.uint8), _REDUCED[divided])
        if image is not None and divided > 1:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if image is not None:
            return image, divided
    with Image.open(BytesIO(raw)) as opened:
        pixels = opened.width * opened.height
        divided = _divisor(pixels)
        with large_alone(pixels):
            return np.array(as_rgb(opened, divided)), divided


def _plain_jpeg_pixels(raw: bytes) -> int:
    """Number of pixels of a whole JPEG of 8 bits in grey or colour; 0 for everything else.

    OpenCV would return a JPEG that was cut off as if it were whole, with grey where the rest is missing: so it must
    close with its end marker, and what does not goes to Pillow, which refuses it.
    """
    if not (raw.startswith(b"\xff\xd8") and raw.endswith(b"\xff\xd9")):
        return 0
    at = 2
    while at + 10 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = int.from_bytes(raw[at + 5 : at + 7]), int.from_bytes(raw[at + 7 : at + 9])
            return height * width if raw[at + 4] == 8 and raw[at + 9] in (1, 3) else 0
        at += 1 if marker == 0xFF else 2 + int.from_bytes(raw[at + 2 : at + 4])
    return 0


def _divisor(pixels: int) -> int:
    divided = 1
    while pixels > LARGE * divided**2:
        divided *= 2
    return divided


def as_rgb(image: Image.Image, divided: int = 1) -> Image.Image:
    """An opened file as upright 8-bit RGB by the rules above, its sides divided by `divided`."""
    turned = image.getexif().get(0x0112, 1)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("32 bits a channel have no known range; save 8 or 16")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("32 bits a channel have no known range; save 8 or 16")
    transparent = image.has_transparency_data
    image = image.convert("RGBA" if transparent else "RGB")
    if divided > 1:
        image = image.reduce(divided)
    if transparent:
        image = Image.alpha_composite(Image.new("RGBA", image.size, GREY), image).convert("RGB")
    if turned != 1:
        image.getexif()[0x0112] = turned
        image = ImageOps.exif_transpose(image)
    return image


def _cut(image: np.ndarray, box: Box, margin: float, divided: int, path: Path) -> np.ndarray:
    height, width = (divided * side for side in image.shape[:2])
    if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
        raise OnehourError(
            f"its box {', '.join(f'{edge:g}' for edge in box)} lies outside the picture of {width} × {height} pixels",
            str(path),
            "Correct its row in data.boxes, or remove the row to use the whole picture.",
        )
    x0, y0, x1, y1 = crop_of(box, width, height, margin)
    return image[y0 // divided : -(-y1 // divided), x0 // divided : -(-x1 // divided)]
