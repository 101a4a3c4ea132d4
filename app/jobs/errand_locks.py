"""Who is at an errand just now: a lock that a process which dies gives back by itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from app.journal.home import Home


@contextmanager
def held(home: Home, errand_id: int) -> Iterator[None]:
    """Tell others that this process is at the errand."""
    with _lock_file(home) as handle:
        fcntl.lockf(handle, fcntl.LOCK_EX, 1, errand_id)
        yield


def is_held(home: Home, errand_id: int) -> bool:
    with _lock_file(home) as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, errand_id)
        except OSError:
            return True
    return False


@contextmanager
def _lock_file(home: Home) -> Iterator[int]:
    """One file for all: the byte at an errand's number is its lock."""
    handle = os.open(home.path / "errands.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)
