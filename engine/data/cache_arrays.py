"""Small arrays that take long to compute from images, kept beside the decoded ones for runs that ask for the same again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.data.cache_room import ARRAY, PART, alone, as_sentence, cache_dir, make_room


def cached_array(key: str, make: Callable[[], np.ndarray], check: Callable[[], None]) -> np.ndarray:
    """What `make` gives, or what it gave when it was asked for under the same `key` before.

    `check` is asked while another process makes it: what it raises ends the waiting. Raises OnehourError when the cache
    cannot be written or the disk is full.
    """
    entry = cache_dir() / f"{key}{ARRAY}"
    with as_sentence(entry.parent):
        entry.parent.mkdir(parents=True, exist_ok=True)
    while (kept := _opened(entry)) is None:
        part_path = entry.with_suffix(PART)
        with alone(part_path, check) as part:
            if _opened(entry) is not None:
                continue  # another process made it while this one waited
            made = make()
            with as_sentence(entry.parent):
                make_room(entry.parent, made.nbytes)
                np.save(part, made)
                part.flush()
                os.fsync(part.fileno())
                os.replace(part_path, entry)
    return kept


def _opened(entry: Path) -> np.ndarray | None:
    try:
        os.utime(entry)  # used now
        return np.load(entry)
    except (FileNotFoundError, EOFError, ValueError):  # not there, empty, or damaged
        return None
