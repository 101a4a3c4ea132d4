"""Where the sets of decoded images lie (engine.data.cache) and what was computed from them (engine.data.cache_arrays), and
which of them go when there is no room for another.

The sets used longest ago go when all together would pass 20 GB or a third of the disk that is free without them; one that
another run still reads stays readable for it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from engine.contract import OnehourError

BOUND = 20_000_000_000  # bytes of all sets together
RAW, JPEGS, ARRAY, PART = ".rgb", ".jpegs", ".npy", ".part"
WAIT_S = 0.1  # between two looks whether another process has made the set


def cache_dir() -> Path:
    return Path(os.environ.get("ONEHOUR_CACHE") or "~/.cache/onehour/pixels").expanduser()


def cache_size() -> tuple[int, int]:
    """Number of sets, arrays among them, and bytes of all of them."""
    sizes = _sizes(cache_dir())
    return len(sizes), sum(sizes.values())


def clear_cache() -> int:
    """Remove every set and what was cut off while being written. Returns the bytes of it."""
    with as_sentence(cache_dir()):
        removed = _remove_cut_off(cache_dir())
        for path, size in _sizes(cache_dir()).items():
            path.unlink(missing_ok=True)
            removed += size
    return removed


def _sizes(place: Path) -> dict[Path, int]:
    """Bytes of each set, the one used longest ago first."""
    found = []
    for path in (path for suffix in (RAW, JPEGS, ARRAY) for path in place.glob(f"*{suffix}")):
        with suppress(FileNotFoundError):  # removed by another process just now
            seen = path.stat()
            found.append((seen.st_mtime_ns, path, seen.st_size))
    return {path: size for _, path, size in sorted(found)}


def make_room(place: Path, needed: int) -> None:
    _remove_cut_off(place)
    sizes = _sizes(place)
    held = sum(sizes.values())
    bound = min(BOUND, (shutil.disk_usage(place).free + held) // 3)
    for path, size in sizes.items():
        if held + needed <= bound:
            break
        path.unlink(missing_ok=True)
        held -= size
    free = shutil.disk_usage(place).free
    if free < needed:
        raise OnehourError(
            f"the disk has {free / 1e9:.2f} GB free and the decoded images need {needed / 1e9:.2f} GB",
            str(place),
            "Free some space, or set ONEHOUR_CACHE to a folder on another disk.",
        )


def _remove_cut_off(place: Path) -> int:
    """Remove what killed processes left half written. Returns the bytes of it."""
    removed = 0
    for path in place.glob(f"*{PART}"):
        # One that is gone was finished just now, one that is locked is being written.
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed += os.fstat(file.fileno()).st_size
            path.unlink(missing_ok=True)
    return removed


@contextmanager
def as_sentence(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OnehourError(
            f"the cache of decoded images cannot be written ({error.strerror or error})",
            str(place),
            "Set ONEHOUR_CACHE to a folder you may write to, on a disk with room.",
        ) from None


@contextmanager
def alone(path: Path, check: Callable[[], None]) -> Iterator[IO[bytes]]:
    """`path`, empty and locked; gone afterwards unless it was renamed. Waits while another process holds it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(file, path):
                break
        except BlockingIOError:
            with closing(file):
                check()
            time.sleep(WAIT_S)
        file.close()  # whoever held it has renamed or removed it
    try:
        file.truncate(0)
        yield file
    finally:
        if _is(file, path):
            path.unlink()
        file.close()


def _is(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
