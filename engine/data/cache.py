"""Decoded images at target size, kept on disk for the folds, stages and runs that want the same ones again.

One file a set of images in `$ONEHOUR_CACHE`, or `~/.cache/onehour/pixels`. Its name is a hash of what was asked: path,
size and both dates (of the contents and of the last change of any kind) of every image, its box, the margin and the target
size; changed data is another file. The second date cannot be set, so contents exchanged under the same size and date
(rsync -t, cp -p) are seen; what is trusted is that the file system and the clock keep it.
Written beside and renamed, so that it is whole or absent; a second process that wants the same waits for the first.
How much room all sets together take: engine.data.cache_room.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Protocol

import cv2
import numpy as np

from engine.contract import OnehourError
from engine.data.boxes import Box
from engine.data.cache_room import JPEGS, PART, RAW, alone, as_sentence, cache_dir, make_room
from engine.data.decode import read_image

log = logging.getLogger(__name__)
FORMAT = 2  # to be raised when images are decoded, resized or stored in another way
# As they are is three times as fast to read as JPEG and loses nothing; large images in large numbers would not fit.
JPEG_FROM_SIDE, JPEG_FROM_BYTES, JPEG_QUALITY = 384, 2_000_000_000, 95


class Pixels(Protocol):
    """Images of one size, RGB uint8, not to be written to. One row gives (h, w, 3), an array of rows (n, h, w, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


class JpegImages:
    """Images kept as JPEGs of target size, decoded when asked for. The file: offsets (N + 1, int64), then the JPEGs."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._bytes = path, np.asarray(np.memmap(path, np.uint8, "r"))
        self._offsets = self._bytes[: 8 * (count + 1)].view(np.int64)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        if isinstance(rows, int | np.integer):
            return self._image(int(rows))
        return np.stack([self._image(row) for row in np.arange(len(self))[rows]])

    def _image(self, row: int) -> np.ndarray:
        start, end = self._offsets[:-1][row], self._offsets[1:][row]
        image = cv2.imdecode(self._bytes[start:end], cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise OnehourError(f"image {row} of it is damaged", str(self._path), "Remove the file: it is made again.")
        return image


def cached_images(
    paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None] | None = None, margin: float = 0.0,
    check: Callable[[], None] = lambda: None,
) -> Pixels:  # fmt: skip
    """The images of `paths`, each cut to its box with `margin` where it has one, at `size` (height, width).

    `check` is asked before each image is decoded, and while another process makes the set: what it raises ends the work.
    Raises OnehourError naming an image that cannot be decoded, and when the cache cannot be written or the disk is full.
    """
    if not paths:
        return np.zeros((0, *size, 3), np.uint8)
    boxes = _one_each(paths, boxes)
    entry = _entry(paths, size, boxes, margin)
    with as_sentence(entry.parent):
        entry.parent.mkdir(parents=True, exist_ok=True)
        while (kept := _opened(entry, len(paths), size)) is None:
            part_path = entry.with_suffix(PART)
            with alone(part_path, check) as part:
                if _opened(entry, len(paths), size) is not None:
                    continue  # another process made it while this one waited
                log.info("decoding %d images to %d × %d pixels", len(paths), *size)
                make_room(entry.parent, bytes_needed(len(paths), size))
                (_write_jpegs if entry.suffix == JPEGS else _write_raw)(part, paths, size, boxes, margin, check)
                part.flush()
                os.fsync(part.fileno())
                os.replace(part_path, entry)
    return kept


def is_cached(
    paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None] | None = None, margin: float = 0.0
) -> bool:
    """Whether `cached_images` finds these and need not decode them. Raises OnehourError naming an image that is not there."""
    return _opened(_entry(paths, size, _one_each(paths, boxes), margin), len(paths), size) is not None


def bytes_needed(count: int, size: tuple[int, int]) -> int:
    """The most bytes that a set of `count` images of `size` (height, width) takes."""
    return _raw_bytes(count, size) // (4 if _as_jpeg(count, size) else 1)


def _one_each(paths: Sequence[Path], boxes: Sequence[Box | None] | None) -> Sequence[Box | None]:
    return boxes if boxes is not None and any(boxes) else [None] * len(paths)


def _entry(paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None], margin: float) -> Path:
    return cache_dir() / f"{_key(paths, size, boxes, margin)}{JPEGS if _as_jpeg(len(paths), size) else RAW}"


def _key(paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None], margin: float) -> str:
    return digest_of((FORMAT, size, margin if any(boxes) else 0.0), paths, boxes)


def digest_of(asked: object, paths: Sequence[Path], boxes: Sequence[Box | None]) -> str:
    """A name for what is `asked` of these images, another one when a file or box is another.

    Raises OnehourError naming an image that is not there.
    """
    digest = hashlib.blake2b(repr(asked).encode(), digest_size=16)
    real = {folder: os.path.realpath(folder) for folder in {path.parent for path in paths}}
    for path, box in zip(paths, boxes, strict=True):
        try:
            seen = path.stat()
        except OSError as error:
            raise OnehourError(f"the image cannot be read ({error.strerror})", str(path)) from None
        stamp = seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
        digest.update(repr((real[path.parent], path.name, *stamp, box)).encode())
    return digest.hexdigest()


def _opened(entry: Path, count: int, size: tuple[int, int]) -> Pixels | None:
    """The images of a set, or None where there is none or it has another length than it must have."""
    try:
        os.utime(entry)  # used now
        if entry.suffix == JPEGS:
            kept = JpegImages(entry, count)
            return kept if len(kept) == count and kept._offsets[-1] == len(kept._bytes) else None
        # As a plain array: a memory map's own type costs several microseconds at each access.
        return np.asarray(np.memmap(entry, np.uint8, "r")).reshape(count, *size, 3)
    except (FileNotFoundError, ValueError):
        return None


def _images(
    paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None], margin: float,
    check: Callable[[], None], take: Callable[[int, np.ndarray], Any],
) -> Iterator[Any]:  # fmt: skip
    """What `take` makes of each image at target size, in order."""

    def one(i: int) -> Any:
        check()
        image = read_image(paths[i], boxes[i], margin)
        return take(i, cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA))

    with ThreadPoolExecutor() as pool:
        yield from pool.map(one, range(len(paths)))


def _write_raw(
    part: IO[bytes], paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None], margin: float,
    check: Callable[[], None],
) -> None:  # fmt: skip
    os.posix_fallocate(part.fileno(), 0, _raw_bytes(len(paths), size))  # a full disk would kill who writes to the map
    pixels = np.memmap(part, np.uint8, "r+", shape=(len(paths), *size, 3))
    for _ in _images(paths, size, boxes, margin, check, pixels.__setitem__):
        pass
    pixels.flush()


def _write_jpegs(
    part: IO[bytes], paths: Sequence[Path], size: tuple[int, int], boxes: Sequence[Box | None], margin: float,
    check: Callable[[], None],
) -> None:  # fmt: skip
    def encoded(_: int, image: np.ndarray) -> bytes:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

    offsets = np.zeros(len(paths) + 1, np.int64)
    offsets[0] = offsets.nbytes
    part.write(offsets.tobytes())
    for i, jpeg in enumerate(_images(paths, size, boxes, margin, check, encoded)):
        part.write(jpeg)
        offsets[i + 1] = offsets[i] + len(jpeg)
    part.seek(0)
    part.write(offsets.tobytes())


def _as_jpeg(count: int, size: tuple[int, int]) -> bool:
    return max(size) >= JPEG_FROM_SIDE and _raw_bytes(count, size) > JPEG_FROM_BYTES


def _raw_bytes(count: int, size: tuple[int, int]) -> int:
    return count * size[0] * size[1] * 3
