"""One worker and one server a home: a file lock that says who is there. A process that dies gives its lock back by itself."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.journal.home import Home
from engine.contract import OnehourError


def worker_lock(home: Home) -> Path:
    return home.path / "worker.lock"


def driver_lock(home: Home, backend: str) -> Path:
    return home.path / f"driver-{backend}.lock"


def server_lock(home: Home) -> Path:
    return home.path / "server.lock"


@contextmanager
def present(path: Path, who: str, told: Mapping[str, Any]) -> Iterator[int]:
    """Hold the lock `path` and write the pid and `told` (slots, an address) into it, for others to read. Yields the open file.

    Raises OnehourError, with `who` as its subject, when somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if not _lock(handle):
            other = _read(path)
            raise OnehourError(
                f"{who} is already running (process {other.get('pid', 'unknown')})",
                where=str(path.parent),
                fix=f"It is at {other['address']}" if "address" in other else "One is enough.",
            )
        os.truncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), **told}).encode(), 0)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    # More than one try: `who_holds` takes the lock for the blink of an eye.
    for wait_s in (0.0, 0.05, 0.1, 0.2):
        time.sleep(wait_s)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def who_holds(path: Path) -> dict[str, Any] | None:
    """What the holder of the lock told, or None when nobody holds it."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(handle)
    return None


def worker_slots(home: Home) -> tuple[str, ...] | None:
    """The slots of the running worker; None when no worker is running."""
    told = who_holds(worker_lock(home))
    return None if told is None else tuple(told.get("slots", ()))


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # taken a moment ago, nothing written yet
        return {}
    return told if isinstance(told, dict) else {}
